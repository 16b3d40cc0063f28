"""A test clock through the API, and customers in its time."""

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Any
from uuid import uuid4

import httpx

from services.catalogue import Catalogue
from tests.acceptance.server import Customer, Listener, Server, running_server

MICROSECOND = timedelta(microseconds=1)


@contextmanager
def server_with_clocks(
    listener: Listener, database_url: str, catalogue: Catalogue, clock: Callable[[], datetime]
) -> Iterator[tuple[Server, httpx.Client]]:
    """A server where test clocks are enabled, and a client with every scope."""
    with running_server(listener, database_url, catalogue, clock, test_clocks=True) as server, server.client() as http:
        yield server, http


@dataclass(frozen=True)
class TimeMachine:
    """One test clock. Answers are checked for success; `.http` is for requests that should fail."""

    http: httpx.Client
    test_clock_id: str

    @staticmethod
    def at(http: httpx.Client, now: str) -> "TimeMachine":
        """Make a clock."""
        answer = http.post("/v1/test-clocks", json={"now": now})
        assert answer.status_code == 201, answer.text
        return TimeMachine(http, answer.json()["test_clock_id"])

    def advance(self, to: str | datetime) -> Any:
        """Move the clock; return the counts of what was recorded."""
        text = to if isinstance(to, str) else to.isoformat()
        answer = self.http.post(f"/v1/test-clocks/{self.test_clock_id}/advance", json={"to": text})
        assert answer.status_code == 200, answer.text
        body = answer.json()
        assert datetime.fromisoformat(body["now"]) == datetime.fromisoformat(text)
        return body["recorded"]

    @property
    def now(self) -> str:
        """Read the clock."""
        answer = self.http.get(f"/v1/test-clocks/{self.test_clock_id}")
        assert answer.status_code == 200, answer.text
        now = answer.json()["now"]
        assert isinstance(now, str)
        return now

    def customer(self, plan_id: str) -> Customer:
        """Start a subscription that is bound to the clock."""
        body = {
            "subscription_id": str(uuid4()),
            "account_id": "account-1",
            "plan_id": plan_id,
            "test_clock_id": self.test_clock_id,
        }
        started = self.http.post("/v1/subscriptions", json=body)
        assert started.status_code == 201, started.text
        return Customer(self.http, body["subscription_id"])


def instant(text: str) -> datetime:
    """Parse an instant of the API."""
    return datetime.fromisoformat(text).astimezone(UTC)
