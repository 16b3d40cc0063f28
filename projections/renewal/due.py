"""Which subscriptions are due: time has reached their next boundary, and nobody has recorded it yet."""

from collections.abc import Sequence
from datetime import datetime
from typing import Any
from uuid import UUID

from msgspec import Struct
from psycopg import Connection

from services.postgres.sql import load_queries

_SHORTEST_MONTH_DAYS = 28
_MOST_EVENTS_AT_A_BOUNDARY = 2


class DueSubscription(Struct, frozen=True):
    """A subscription whose next boundary is not after `now`, by the clock that it lives by."""

    subscription_id: UUID
    next_due_at: datetime
    now: datetime
    test_clock_id: str | None

    @property
    def most_events(self) -> int:
        """No more events than this are due: a reset and a renewal for every month that may have passed."""
        months = (self.now - self.next_due_at).days // _SHORTEST_MONTH_DAYS + 1
        return months * _MOST_EVENTS_AT_A_BOUNDARY


class Backlog(Struct, frozen=True):
    """What is due and not recorded: by the real clock, since when at the longest, and by test clocks."""

    due: int
    oldest_due_at: datetime | None
    due_on_test_clocks: int

    @property
    def total(self) -> int:
        """Subscriptions that are due, by whatever clock."""
        return self.due + self.due_on_test_clocks


class DueQueries:
    """The queries of one schema. `now` is the real clock's; test clocks say their own."""

    def __init__(self, schema: str) -> None:
        self._queries = load_queries("projections.renewal", "due.sql", schema=schema)

    def list(self, connection: Connection[Any], now: datetime, *, limit: int) -> Sequence[DueSubscription]:
        """The longest due, `limit` at most; and as many again that are due by test clocks."""
        rows = connection.execute(self._queries["list_due"], {"now": now, "limit": limit})
        return [DueSubscription(*row) for row in rows]

    def on_clock(self, connection: Connection[Any], test_clock_id: str, *, limit: int) -> Sequence[DueSubscription]:
        """Those that are due by one test clock, `limit` at most, the longest due first."""
        arguments = {"test_clock_id": test_clock_id, "limit": limit}
        rows = connection.execute(self._queries["list_due_on_clock"], arguments)
        return [DueSubscription(*row) for row in rows]

    def still(self, connection: Connection[Any], listed: Sequence[DueSubscription]) -> Sequence[DueSubscription]:
        """Those of the listed that nobody has recorded since."""
        arguments = {
            "ids": [due.subscription_id for due in listed],
            "dues": [due.next_due_at for due in listed],
        }
        kept = {id for (id,) in connection.execute(self._queries["keep_due"], arguments)}
        return [due for due in listed if due.subscription_id in kept]

    def next_due_at(self, connection: Connection[Any]) -> datetime | None:
        """When the next boundary of a subscription without a test clock is; None where none will ever be."""
        row = connection.execute(self._queries["next_due"]).fetchone()
        assert row is not None
        at: datetime | None = row[0]
        return at

    def backlog(self, connection: Connection[Any], now: datetime) -> Backlog:
        """How much is due and not recorded."""
        row = connection.execute(self._queries["measure_backlog"], {"now": now}).fetchone()
        assert row is not None
        return Backlog(*row)
