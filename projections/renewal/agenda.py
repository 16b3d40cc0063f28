"""The agenda: subscriptions in the order of their next boundary, as of now.

The renewal table is in that order, but for subscriptions with a boundary that is due and not recorded yet. The core
computes the next boundary of those. They are few, unless no renewal worker has run for long.
"""

import heapq
from collections.abc import Iterator, Sequence
from datetime import datetime
from typing import Any
from uuid import UUID

from msgspec import UNSET, Struct, UnsetType
from psycopg import Connection

from projections.renewal.project import read_state
from services.postgres.sql import Queries, load_queries
from services.subscription.boundaries import as_of
from services.subscription.state import Status

_ROWS_PER_PAGE = 1_000
_LOWEST_ID = UUID(int=0)


class UpcomingChange(Struct, frozen=True):
    """A subscription and what time will next do to it: a reset, a renewal, or its end."""

    subscription_id: UUID
    account_id: str
    plan_id: str
    status: Status
    credits_renew_at: datetime | None
    subscription_renews_at: datetime | None
    next_boundary_at: datetime
    test_clock_id: str | UnsetType = UNSET

    @property
    def place(self) -> tuple[datetime, UUID]:
        """Its place in the order of the agenda."""
        return self.next_boundary_at, self.subscription_id


class Agenda:
    """Reads the agenda of one schema."""

    def __init__(self, schema: str) -> None:
        self._queries: Queries = load_queries("projections.renewal", "agenda.sql", schema=schema)

    def list(
        self,
        connection: Connection[Any],
        now: datetime,
        *,
        after: tuple[datetime, UUID],
        before: datetime | None,
        limit: int,
        within: Sequence[UUID] | None = None,
    ) -> list[UpcomingChange]:
        """List subscriptions above the place `after` whose next boundary is before `before`, nearest first.

        Those that have ended are not among them, nor those outside `within`, if it is given. `connection` is in
        autocommit mode.
        """
        with connection.transaction():
            connection.execute(self._queries["begin_agenda"])
            overdue = (
                change
                for change in self._overdue(connection, now, within)
                if after < change.place and (before is None or change.next_boundary_at < before)
            )
            nearest_overdue = heapq.nsmallest(limit, overdue, key=lambda change: change.place)
            place = {"after_at": after[0], "after_id": after[1], "before": before}
            arguments = {**place, "now": now, "within": within, "limit": limit}
            rows = connection.execute(self._queries["list_to_come"], arguments).fetchall()
        to_come = [change for row in rows if (change := _change(row, now)) is not None]
        return heapq.nsmallest(limit, [*nearest_overdue, *to_come], key=lambda change: change.place)

    def _overdue(
        self, connection: Connection[Any], now: datetime, within: Sequence[UUID] | None
    ) -> Iterator[UpcomingChange]:
        for query in ("list_overdue", "list_overdue_on_clocks"):
            after_id = _LOWEST_ID
            while True:
                arguments = {"now": now, "after_id": after_id, "within": within, "limit": _ROWS_PER_PAGE}
                rows = connection.execute(self._queries[query], arguments).fetchall()
                for row in rows:
                    if (change := _change(row, now)) is not None:
                        yield change
                if len(rows) < _ROWS_PER_PAGE:
                    break
                after_id = rows[-1][0]


def _change(row: Any, now: datetime) -> UpcomingChange | None:
    """Make the entry of a row as of now; None where the subscription has ended by then."""
    subscription_id, recorded, clock_now = row
    state = as_of(read_state(recorded), clock_now or now)
    boundary_at = state.cycle_boundary_at
    if boundary_at is None:
        return None
    return UpcomingChange(
        subscription_id=subscription_id,
        account_id=state.account_id,
        plan_id=state.plan.plan_id,
        status=state.status,
        credits_renew_at=state.credits_renew_at,
        subscription_renews_at=state.term.ends_at if state.status == "active" else None,
        next_boundary_at=boundary_at,
        test_clock_id=UNSET if state.test_clock_id is None else state.test_clock_id,
    )
