"""Lists due subscriptions: those whose cycle has ended, or of which a hold has expired, and nobody recorded it yet."""

from collections.abc import Iterable, Sequence
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
        """An upper bound of the events that are due: a reset and a renewal for each month that may have passed.

        Expiries of holds are not counted: that there are some is known here, and not how many.
        """
        months = (self.now - self.next_due_at).days // _SHORTEST_MONTH_DAYS + 1
        return months * _MOST_EVENTS_AT_A_BOUNDARY


class Backlog(Struct, frozen=True):
    """How many subscriptions are due by the real clock, since when the longest is, and how many by test clocks."""

    due: int
    oldest_due_at: datetime | None
    due_on_test_clocks: int

    @property
    def total(self) -> int:
        """The number of due subscriptions, by all clocks."""
        return self.due + self.due_on_test_clocks


class DueQueries:
    """Reads what is due in one schema. `now` is the real clock's. Every method raises psycopg.Error."""

    def __init__(self, schema: str) -> None:
        self._queries = load_queries("projections.renewal", "due.sql", schema=schema)

    def list(self, connection: Connection[Any], now: datetime, *, limit: int) -> Sequence[DueSubscription]:
        """List at most `limit` that are due by the real clock, longest due first, and as many by test clocks."""
        rows = connection.execute(self._queries["list_due"], {"now": now, "limit": limit})
        return _each_once(rows)

    def list_on_clock(
        self, connection: Connection[Any], test_clock_id: str, *, limit: int
    ) -> Sequence[DueSubscription]:
        """List at most `limit` that are due by one test clock, longest due first."""
        arguments = {"test_clock_id": test_clock_id, "limit": limit}
        rows = connection.execute(self._queries["list_due_on_clock"], arguments)
        return _each_once(rows)

    def still_due(self, connection: Connection[Any], listed: Sequence[DueSubscription]) -> Sequence[DueSubscription]:
        """Return those of a list that are not recorded since."""
        arguments = {
            "ids": [due.subscription_id for due in listed],
            "dues": [due.next_due_at for due in listed],
        }
        ids = {id for (id,) in connection.execute(self._queries["select_still_due"], arguments)}
        return [due for due in listed if due.subscription_id in ids]

    def next_due_at(self, connection: Connection[Any]) -> datetime | None:
        """Read the instant of the next boundary, test clocks aside; None where there is none."""
        row = connection.execute(self._queries["next_due"]).fetchone()
        assert row is not None
        at: datetime | None = row[0]
        return at

    def backlog(self, connection: Connection[Any], now: datetime) -> Backlog:
        """Count what is due and not recorded."""
        row = connection.execute(self._queries["measure_backlog"], {"now": now}).fetchone()
        assert row is not None
        return Backlog(*row)


def _each_once(rows: Iterable[Sequence[Any]]) -> list[DueSubscription]:
    """List each subscription once, by the first thing that is due: recording it records all that is."""
    due: dict[UUID, DueSubscription] = {}
    for each in sorted((DueSubscription(*row) for row in rows), key=lambda each: each.next_due_at):
        due.setdefault(each.subscription_id, each)
    return list(due.values())
