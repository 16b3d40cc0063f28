"""kill -9 of the whole of `tallystick serve`, database included, in the middle of charges over HTTP.

`TALLYSTICK_KILLS` kills in the long form (1,000), `TALLYSTICK_SEED` for the same choices again.
"""

import os
from pathlib import Path
from random import Random
from tempfile import TemporaryDirectory
from threading import Event, Lock, Thread
from time import sleep
from typing import Any, Self

import httpx
import pytest

from services.postgres.embedded import running_url
from tests.acceptance.server import plain_client
from tests.faults.seeds import seeded
from tests.faults.service import KEY, Service
from tests.integration.ledger.books import Books

CLIENTS = 6
PLAN = "max-pro-240000-yearly"

Charge = dict[str, Any]


class HttpCustomers:
    """Clients that charge over HTTP, one generation after the other, each retried until it is answered."""

    def __init__(self, service: Service, random: Random) -> None:
        self._service = service
        self._random = random
        self._lock = Lock()
        self._is_stopping = Event()
        self._defects: list[BaseException] = []
        self._http = plain_client("", {"Authorization": f"Bearer {KEY}"})
        self._threads = [Thread(target=self._live, args=(f"c{number}",)) for number in range(CLIENTS)]
        self.acknowledged: dict[str, Charge] = {}
        self.replays = 0

    def __enter__(self) -> Self:
        for thread in self._threads:
            thread.start()
        return self

    def __exit__(self, kind: type[BaseException] | None, *_exception: object) -> None:
        self._is_stopping.set()
        for thread in self._threads:
            thread.join()
        self._http.close()
        for defect in self._defects:
            raise defect

    def wait_for_charges(self, count: int) -> None:
        """Return when so many more charges are acknowledged."""
        expected = len(self.acknowledged) + count
        while len(self.acknowledged) < expected and not self._defects:
            sleep(0.002)

    def _live(self, name: str) -> None:
        try:
            started = self._retry_until_answered("/v1/subscriptions", name, {"account_id": name, "plan_id": PLAN})
            subscription_id = started["subscription_id"]
            number = 0
            while not self._is_stopping.is_set():
                number += 1
                generation_id = f"{name}-{number}"
                body = {"generation_id": generation_id, "model": "lyria-3"}
                charge = self._retry_until_answered(f"/v1/subscriptions/{subscription_id}/charges", None, body)
                with self._lock:
                    self.acknowledged[generation_id] = charge
        except BaseException as defect:  # noqa: BLE001 - raised again at the end
            self._defects.append(defect)

    def _retry_until_answered(self, path: str, key: str | None, body: dict[str, Any]) -> dict[str, Any]:
        headers = {"Idempotency-Key": key} if key else {}
        while True:
            try:
                answer = self._http.post(f"{self._service.url}{path}", json=body, headers=headers)
            except httpx.HTTPError:
                sleep(0.1)
                continue
            if answer.status_code in (200, 201):
                self.replays += answer.status_code == 200
                answered: dict[str, Any] = answer.json()
                return answered
            assert answer.status_code == 503, answer.text
            sleep(0.02)


def kill_the_service(kills: int, workers: int) -> None:
    """Kill and restart everything this often, and check what is stored each time."""
    random = seeded("killed service")
    with (
        TemporaryDirectory(prefix="tallystick-service-") as folder,
        Service(Path(folder), workers).running() as service,
    ):
        with HttpCustomers(service, random) as customers:
            for number in range(1, kills + 1):
                customers.wait_for_charges(random.randrange(10, 60))
                acknowledged = dict(customers.acknowledged)
                service.kill()
                service.start()
                assert acknowledged.keys() <= stored_charges(service).keys(), f"lost by kill {number}"
            customers.wait_for_charges(20)
        assert positions(stored_charges(service)) == positions(customers.acknowledged)
        books_of(service).check()
    print(f"{kills} kills; {len(customers.acknowledged)} charges, {customers.replays} of them replays")


def books_of(service: Service) -> Books:
    """Return the stored rows, read past the service."""
    url = running_url(service.data_dir / "postgres")
    assert url is not None
    return Books(url)


def stored_charges(service: Service) -> dict[str, Charge]:
    """Return every charge by its generation id. Fails where one was charged twice."""
    return {
        generation_id: {"position": charge.position, "balance_after": charge.balance_after}
        for (_, generation_id), charge in books_of(service).charged().items()
    }


def positions(charges: dict[str, Charge]) -> dict[str, tuple[int, int]]:
    """Return the position of each charge and the balance after it."""
    return {id: (charge["position"], charge["balance_after"]) for id, charge in charges.items()}


def test_charges_acknowledged_over_http_are_stored_once() -> None:
    kill_the_service(kills=1, workers=1)


@pytest.mark.long
def test_charges_acknowledged_over_http_are_stored_once_many_times_over() -> None:
    kill_the_service(kills=int(os.environ.get("TALLYSTICK_KILLS", "1000")), workers=2)
