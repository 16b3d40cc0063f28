"""Customers and readers over HTTP who note whatever is not as it must be, while something else goes on."""

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
    """Threads that do one thing over and over, how long each took, and what was wrong."""

    def __init__(self, threads: int) -> None:
        self._threads = threads
        self._stop = threading.Event()
        self._marked_at = 0
        self.took_seconds: list[float] = []
        self.wrong: list[str] = []

    @contextmanager
    def going_on(self) -> Iterator[None]:
        """Do it as long as this context lasts."""
        working = [threading.Thread(target=self._work, args=(number,)) for number in range(self._threads)]
        for each in working:
            each.start()
        try:
            yield
        finally:
            self._stop.set()
            for each in working:
                each.join()

    def wait_for(self, more: int) -> None:
        """Wait until so many more were done, or something was wrong."""
        enough = len(self.took_seconds) + more
        while len(self.took_seconds) < enough and not self.wrong:
            time.sleep(0.01)

    def mark(self) -> None:
        """Count from here."""
        self._marked_at = len(self.took_seconds)

    def since_mark(self, seconds: float) -> str:
        """How many since the mark, how fast, and the longest that anyone waited."""
        took = sorted(self.took_seconds[self._marked_at :])
        middle, slow, slowest = (took[min(len(took) - 1, int(part * len(took)))] * 1000 for part in (0.5, 0.99, 1))
        rate = len(took) / seconds
        return (
            f"{len(took):,} {type(self).__name__.lower()} ({rate:,.0f}/s),"
            f" p50 {middle:.1f} ms, p99 {slow:.1f} ms, worst {slowest:.0f} ms"
        )

    def once(self, number: int) -> None:
        """Do it once, in a thread of this number. Raises AssertionError for what is wrong."""
        raise NotImplementedError

    def _work(self, number: int) -> None:
        while not self._stop.is_set() and not self.wrong:
            began_at = time.perf_counter()
            try:
                self.once(number)
            except Exception as error:  # noqa: BLE001 # whatever it is, it is told where all threads are looked after
                self.wrong.append(repr(error))
            self.took_seconds.append(time.perf_counter() - began_at)


class Charging(Load):
    """Customers who charge, each a subscription of its own."""

    def __init__(self, http: httpx.Client, customers: int) -> None:
        super().__init__(customers)
        self._http = http
        self.ids = [uuid4() for _ in range(customers)]
        self.answered = [0] * customers
        """How many charges of each were answered."""
        for id in self.ids:
            body = {"subscription_id": str(id), "account_id": "load", "plan_id": PLAN}
            assert http.post("/v1/subscriptions", json=body).status_code == 201

    @property
    def charged(self) -> int:
        """How many charges were answered."""
        return sum(self.answered)

    def once(self, number: int) -> None:
        generation_id = f"load-{number}-{self.answered[number]}"
        body = {"generation_id": generation_id, "model": "example-voice-1", "settings": {"characters": 100}}
        answer = self._http.post(f"/v1/subscriptions/{self.ids[number]}/charges", json=body)
        assert answer.status_code == 201, answer.text
        assert answer.json()["balance_after"] == 240_000 - CREDITS * (self.answered[number] + 1)
        self.answered[number] += 1


class Reading(Load):
    """Readers of those who charge, who must see every charge that was answered, and of others, who stay as they are."""

    def __init__(self, http: httpx.Client, others: Sequence[UUID], readers: int) -> None:
        super().__init__(readers)
        self._http = http
        self._others = others
        self._known = {id: self._all_of(id) for id in others}
        self._readers: list[Callable[[], None]] = [self._read_another]

    def of_charging(self, charging: Charging) -> None:
        """Read these as well."""
        self._readers += [lambda: self._read_balance(charging), lambda: self._read_charges(charging)]

    def once(self, number: int) -> None:
        self._readers[number % len(self._readers)]()

    def _read_balance(self, charging: Charging) -> None:
        number = random.randrange(len(charging.ids))
        answered = charging.answered[number]
        balance = self._get(f"/v1/subscriptions/{charging.ids[number]}/balance")
        assert balance["used_credits"] >= CREDITS * answered, (balance, answered)
        assert balance["balance_credits"] == 240_000 - balance["used_credits"]

    def _read_charges(self, charging: Charging) -> None:
        number = random.randrange(len(charging.ids))
        if answered := charging.answered[number]:
            path = f"/v1/subscriptions/{charging.ids[number]}/charges"
            newest = self._get(path, limit=1)["data"][0]
            assert int(newest["generation_id"].rpartition("-")[2]) >= answered - 1, (newest, answered)
            which = random.randrange(answered)
            assert self._get(f"{path}/load-{number}-{which}")["credits"] == CREDITS

    def _read_another(self) -> None:
        id = random.choice(self._others)
        found, known = self._all_of(id), self._known[id]
        if found[0]["cycle"]["number"] == known[0]["cycle"]["number"]:
            assert found == known
        else:  # its cycle has just ended
            self._known[id] = found

    def _all_of(self, id: UUID) -> list[Any]:
        path = f"/v1/subscriptions/{id}"
        balance = self._get(f"{path}/balance")
        del balance["as_of"]
        return [balance, self._get(path), self._get(f"{path}/renewal"), self._get(f"{path}/charges", limit=5)]

    def _get(self, path: str, **query: Any) -> Any:
        answer = self._http.get(path, params=query)
        assert answer.status_code == 200, (path, answer.status_code, answer.text)
        return answer.json()
