"""A capture whose answer is lost to a kill -9 of everything, asked again for a week: it is one charge.

`TALLYSTICK_KILLS` kills in the long form (50), `TALLYSTICK_SEED` for the same choices again.
"""

import os
import threading
from contextlib import closing, suppress
from datetime import datetime, timedelta
from pathlib import Path
from random import Random
from tempfile import TemporaryDirectory
from time import sleep
from typing import Any
from uuid import uuid4

import httpx
import pytest

from tests.acceptance.server import plain_client
from tests.faults.seeds import seeded
from tests.faults.service import KEY, Service

START = datetime.fromisoformat("2026-01-01T00:00:00+00:00")
WEEK_SECONDS = 7 * 24 * 60 * 60


class Asking:
    """A client that asks until it is answered, whatever becomes of the service meanwhile."""

    def __init__(self, service: Service) -> None:
        self._service = service
        self._http = plain_client("", {"Authorization": f"Bearer {KEY}"})

    def close(self) -> None:
        """Close its connections."""
        self._http.close()

    def post(self, path: str, **body: Any) -> httpx.Response:
        """Ask until the answer is there and is not that the service is away."""
        while True:
            with suppress(httpx.HTTPError):
                answer = self._http.post(f"{self._service.url}{path}", json=body)
                if answer.status_code != 503:
                    return answer
            sleep(0.05)

    def post_and_forget(self, path: str, **body: Any) -> None:
        """Ask once, and do not care for the answer."""
        with suppress(httpx.HTTPError):
            self._http.post(f"{self._service.url}{path}", json=body)

    def get(self, path: str) -> Any:
        """Read what must be there."""
        answer = self._http.get(f"{self._service.url}{path}")
        assert answer.status_code == 200, answer.text
        return answer.json()


def lose_captures(kills: int) -> None:
    """Kill everything this often while a hold is being captured."""
    random = seeded("lost captures")
    with (
        TemporaryDirectory(prefix="tallystick-captures-") as folder,
        Service(Path(folder), 1, test_clocks="true").running() as service,
        closing(Asking(service)) as client,
    ):
        for number in range(kills):
            lose_one(service, client, random, f"job-{number}")


def lose_one(service: Service, client: Asking, random: Random, id: str) -> None:
    """Capture one hold beside a kill, and ask for the charge at each day of the week after it."""
    clock = client.post("/v1/test-clocks", now=START.isoformat()).json()["test_clock_id"]
    subscription_id = str(uuid4())
    body = {"subscription_id": subscription_id, "account_id": "a", "plan_id": "max-pro-240000-yearly"}
    assert client.post("/v1/subscriptions", **body, test_clock_id=clock).status_code in (200, 201)
    path = f"/v1/subscriptions/{subscription_id}"
    hold = {"generation_id": id, "model": "lyria-3", "expires_in_seconds": WEEK_SECONDS}
    assert client.post(f"{path}/holds", **hold).status_code == 201

    asking = threading.Thread(target=client.post_and_forget, args=(f"{path}/holds/{id}/capture",))
    asking.start()
    sleep(random.random() * 0.01)
    service.kill()
    asking.join()
    service.start()

    first = client.post(f"{path}/holds/{id}/capture").json()
    assert (first["generation_id"], first["credits"], first["held_credits"]) == (id, 150, 150)
    for day in range(1, 9):
        to = (START + timedelta(days=day)).isoformat()
        assert client.post(f"/v1/test-clocks/{clock}/advance", to=to).status_code == 200
        again = client.post(f"{path}/holds/{id}/capture")
        assert (again.status_code, again.json()) == (200, first)
    balance = client.get(f"{path}/balance")
    assert (balance["used_credits"], balance["held_credits"]) == (150, 0)
    assert [each["type"] for each in client.get(f"{path}/events")["data"]].count("GenerationCharged") == 1


def test_a_capture_is_one_charge_whatever_is_lost() -> None:
    lose_captures(kills=1)


@pytest.mark.long
def test_a_capture_is_one_charge_whatever_is_lost_many_times_over() -> None:
    lose_captures(kills=int(os.environ.get("TALLYSTICK_KILLS", "50")))
