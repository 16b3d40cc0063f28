"""A stop under load fails no request: not ready first, then connections end with their answers, then the listener."""

import threading
import time
from collections import Counter
from pathlib import Path
from uuid import uuid4

import httpx

from tests.acceptance.server import Customer, plain_client
from tests.faults.service import KEY
from tests.processes import running

CLIENTS = 16
HEADERS = {"Authorization": f"Bearer {KEY}"}


class Traffic:
    """Clients that charge until the service is not ready any more, as a load balancer lets them."""

    def __init__(self, url: str, path: str) -> None:
        self.answers: Counter[str] = Counter()
        self.charged: set[str] = set()
        self._url, self._path = url, path
        self._is_ready = True
        self._threads = [threading.Thread(target=self._charge) for _ in range(CLIENTS)]
        self._threads.append(threading.Thread(target=self._probe))

    def __enter__(self) -> "Traffic":
        for thread in self._threads:
            thread.start()
        return self

    def __exit__(self, *_exception: object) -> None:
        self._is_ready = False
        for thread in self._threads:
            thread.join()

    def _charge(self) -> None:
        with plain_client(self._url, HEADERS) as client:
            while self._is_ready:
                body = {"generation_id": str(uuid4()), "model": "lyria-3"}
                try:
                    answer = client.post(f"{self._path}/charges", json=body)
                except httpx.HTTPError as error:
                    self.answers[repr(error)] += 1
                    continue
                self.answers[str(answer.status_code)] += 1
                if answer.status_code == 201:
                    self.charged.add(body["generation_id"])

    def _probe(self) -> None:
        with plain_client(self._url, {}) as client:
            while self._is_ready:
                self._is_ready = client.get("/readyz").status_code == 200
                time.sleep(0.2)


def test_a_stop_under_load_fails_no_request(tmp_path: Path) -> None:
    with running("serve", folder=tmp_path, bootstrap_key=KEY, workers=2) as service:
        service.page("/readyz")
        with plain_client(service.url, HEADERS) as http:
            customer = Customer.with_plan(http, "max-pro-240000-yearly")
        with Traffic(service.url, customer.path) as traffic:
            time.sleep(1)
            began_at = time.monotonic()
            service.stop()
            took_seconds = time.monotonic() - began_at
    assert traffic.charged
    assert set(traffic.answers) <= {"201", "402"}
    assert took_seconds < 30

    with running("serve", folder=tmp_path, bootstrap_key=KEY) as again:
        again.page("/readyz")
        with plain_client(again.url, HEADERS) as http:
            answers = [http.get(f"{customer.path}/charges/{id}").status_code for id in traffic.charged]
    assert set(answers) == {200}
