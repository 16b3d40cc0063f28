"""Loads the API with charges and reads, and checks each response, while something else goes on."""

import random
import threading
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from typing import Any
from uuid import UUID, uuid4

import httpx

PLAN = "max-pro-240000-yearly"
CREDITS = 3


class Load:
    """Threads that repeat one request, with the durations and the errors."""

    def __init__(self, threads: int) -> None:
        self._threads = threads
        self._stop = threading.Event()
        self._marked_at = 0
        self.durations_seconds: list[float] = []
        self.errors: list[str] = []

    @contextmanager
    def running(self) -> Iterator[None]:
        """Repeat the request as long as this context lasts."""
        threads = [threading.Thread(target=self._work, args=(number,)) for number in range(self._threads)]
        for each in threads:
            each.start()
        try:
            yield
        finally:
            self._stop.set()
            for each in threads:
                each.join()

    def wait_for(self, more: int) -> None:
        """Wait until so many more requests were made, or there was an error."""
        enough = len(self.durations_seconds) + more
        while len(self.durations_seconds) < enough and not self.errors:
            time.sleep(0.01)

    def mark(self) -> None:
        """Count requests from here on."""
        self._marked_at = len(self.durations_seconds)

    def since_mark(self, seconds: float) -> str:
        """The number of requests since the mark, their rate, and their latencies, in words."""
        durations = sorted(self.durations_seconds[self._marked_at :])
        count = len(durations)
        middle, slow, slowest = (durations[min(count - 1, int(part * count))] * 1000 for part in (0.5, 0.99, 1))
        rate = count / seconds
        return (
            f"{count:,} {type(self).__name__.lower()} ({rate:,.0f}/s),"
            f" p50 {middle:.1f} ms, p99 {slow:.1f} ms, worst {slowest:.0f} ms"
        )

    def once(self, number: int) -> None:
        """Make the request once, in the thread of this number. Raises AssertionError."""
        raise NotImplementedError

    def _work(self, number: int) -> None:
        while not self._stop.is_set() and not self.errors:
            began_at = time.perf_counter()
            try:
                self.once(number)
            except Exception as error:  # noqa: BLE001 # the test that started the threads asserts that there is none
                self.errors.append(repr(error))
            self.durations_seconds.append(time.perf_counter() - began_at)


class Charging(Load):
    """Threads that charge, each a subscription of its own."""

    def __init__(self, http: httpx.Client, customers: int) -> None:
        super().__init__(customers)
        self._http = http
        self.ids = [uuid4() for _ in range(customers)]
        self.charge_counts = [0] * customers
        """The number of acknowledged charges of each subscription."""
        for id in self.ids:
            body = {"subscription_id": str(id), "account_id": "load", "plan_id": PLAN}
            assert http.post("/v1/subscriptions", json=body).status_code == 201

    @property
    def charged(self) -> int:
        """The number of acknowledged charges."""
        return sum(self.charge_counts)

    def once(self, number: int) -> None:
        generation_id = f"load-{number}-{self.charge_counts[number]}"
        body = {"generation_id": generation_id, "model": "example-voice-1", "settings": {"characters": 100}}
        response = self._http.post(f"/v1/subscriptions/{self.ids[number]}/charges", json=body)
        assert response.status_code == 201, response.text
        assert response.json()["balance_after"] == 240_000 - CREDITS * (self.charge_counts[number] + 1)
        self.charge_counts[number] += 1


class Reading(Load):
    """Threads that read subscriptions: those that are charged must show every acknowledged charge, others no change."""

    def __init__(self, http: httpx.Client, others: Sequence[UUID], readers: int) -> None:
        super().__init__(readers)
        self._http = http
        self._others = others
        self._before = {id: self._all_of(id) for id in others}
        self._readers: list[Callable[[], None]] = [self._read_another]

    def of_charging(self, charging: Charging) -> None:
        """Read the subscriptions that are charged as well."""
        self._readers += [lambda: self._read_balance(charging), lambda: self._read_charges(charging)]

    def once(self, number: int) -> None:
        self._readers[number % len(self._readers)]()

    def _read_balance(self, charging: Charging) -> None:
        number = random.randrange(len(charging.ids))
        count = charging.charge_counts[number]
        balance = self._get(f"/v1/subscriptions/{charging.ids[number]}/balance")
        assert balance["used_credits"] >= CREDITS * count, (balance, count)
        assert balance["balance_credits"] == 240_000 - balance["used_credits"]

    def _read_charges(self, charging: Charging) -> None:
        number = random.randrange(len(charging.ids))
        if count := charging.charge_counts[number]:
            path = f"/v1/subscriptions/{charging.ids[number]}/charges"
            newest = self._get(path, limit=1)["data"][0]
            assert int(newest["generation_id"].rpartition("-")[2]) >= count - 1, (newest, count)
            which = random.randrange(count)
            assert self._get(f"{path}/load-{number}-{which}")["credits"] == CREDITS

    def _read_another(self) -> None:
        id = random.choice(self._others)
        now, before = self._all_of(id), self._before[id]
        if now[0]["cycle"]["number"] == before[0]["cycle"]["number"]:
            assert now == before
        else:  # its cycle has just ended
            self._before[id] = now

    def _all_of(self, id: UUID) -> list[Any]:
        path = f"/v1/subscriptions/{id}"
        balance = self._get(f"{path}/balance")
        del balance["as_of"]
        return [balance, self._get(path), self._get(f"{path}/renewal"), self._get(f"{path}/charges", limit=5)]

    def _get(self, path: str, **query: Any) -> Any:
        response = self._http.get(path, params=query)
        assert response.status_code == 200, (path, response.status_code, response.text)
        return response.json()
