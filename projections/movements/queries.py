"""Reads trial balances from movements and their blocks."""

from collections.abc import Iterator
from datetime import UTC, datetime
from typing import Any, NamedTuple
from uuid import UUID

from msgspec import Struct
from psycopg import Connection

from services.postgres.sql import load_queries


class Interval(NamedTuple):
    """The events that count: recorded in `[since, until)`, up to a position. None is the beginning, or the end."""

    position: int
    since: datetime | None = None
    until: datetime | None = None


class Totals(NamedTuple):
    """What was there before an interval, what moved in it, and what is held and left at its end."""

    opening_credits: int
    granted_credits: int
    used_credits: int
    reversed_credits: int
    lapsed_credits: int
    held_credits: int
    left_credits: int

    @property
    def sum_credits(self) -> int:
        """What does not add up, which is 0."""
        there = self.opening_credits + self.granted_credits + self.reversed_credits
        return there - self.used_credits - self.lapsed_credits - self.held_credits - self.left_credits


class SubscriptionTotals(NamedTuple):
    """The totals of a subscription, and the first and last position that moved anything in the interval."""

    subscription_id: UUID
    totals: Totals
    first_position: int | None
    last_position: int | None


class Movement(Struct, frozen=True, gc=False):
    """What one event moved."""

    position: int
    subscription_id: UUID
    recorded_at: datetime
    granted_credits: int
    used_credits: int
    reversed_credits: int
    lapsed_credits: int
    held_credits: int
    left_credits: int


class Reached(NamedTuple):
    """The position up to which there are movements, and that of the last event."""

    position: int
    last: int


class MovementQueries:
    """Reads the movements of one schema. Every method raises psycopg.Error."""

    def __init__(self, schema: str) -> None:
        self._queries = load_queries("projections.movements", "movements.sql", schema=schema)

    def reached(self, connection: Connection[Any]) -> Reached:
        """Read up to which position there are movements."""
        row = connection.execute(self._queries["select_position"]).fetchone()
        assert row is not None
        return Reached(*row)

    def totals(self, connection: Connection[Any], interval: Interval) -> Totals:
        """Add up all subscriptions."""
        row = connection.execute(self._queries["select_totals"], _arguments(interval)).fetchone()
        assert row is not None
        return Totals(*row)

    def by_subscription(
        self, connection: Connection[Any], interval: Interval, *, after: UUID, limit: int
    ) -> list[SubscriptionTotals]:
        """Add up each subscription that has anything, in the order of their ids, after one of them."""
        arguments = {**_arguments(interval), "after": after, "limit": limit}
        rows = connection.execute(self._queries["select_by_subscription"], arguments)
        return [SubscriptionTotals(id, Totals(*sums), first, last) for id, *sums, first, last in rows]

    def rows(self, connection: Connection[Any], *, after: int, until: int) -> Iterator[Movement]:
        """Yield the movements after a position, up to another, by a cursor in the caller's transaction."""
        with connection.cursor("movements") as cursor:
            cursor.itersize = 5_000
            for row in cursor.execute(self._queries["select_rows"], {"after": after, "until": until}):
                yield Movement(*row)


def _arguments(interval: Interval) -> dict[str, Any]:
    since, until = interval.since or "-infinity", interval.until or "infinity"
    cuts = (_minute(each) for each in (interval.since, interval.until) if each is not None)
    return {
        "position": interval.position,
        "since": since,
        "until": until,
        "cut_minutes": [each for each in cuts if each],
    }


def _minute(at: datetime) -> datetime | None:
    """Return the minute that an instant cuts in two; None at the beginning of one."""
    begins_at = at.astimezone(UTC).replace(second=0, microsecond=0)
    return None if begins_at == at else begins_at
