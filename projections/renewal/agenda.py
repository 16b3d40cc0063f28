"""The agenda: subscriptions by the instant at which time will next change them, as of now.

The renewal table is in that order, but for what is due and not recorded yet. The next boundary of those is worked out
by the core; they are few, unless no renewal worker has run for long.
"""

import heapq
from collections.abc import Iterator
from datetime import datetime
from typing import Any
from uuid import UUID

from msgspec import UNSET, Struct, UnsetType
from psycopg import Connection

from projections.renewal.project import state_of
from services.postgres.sql import Queries, load_queries
from services.subscription.boundaries import as_of
from services.subscription.state import Status

_READ_AT_A_TIME = 1_000
_BEFORE_ALL = UUID(int=0)


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
        """Where it stands in the order."""
        return self.next_boundary_at, self.subscription_id


class Agenda:
    """The agenda of one schema."""

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
    ) -> list[UpcomingChange]:
        """Subscriptions above the place `after` whose next boundary is before `before`, nearest first.

        Those that have ended are not among them. `connection` is in autocommit mode.
        """
        with connection.transaction():
            connection.execute(self._queries["begin_agenda"])
            overdue = (
                change
                for change in self._overdue(connection, now)
                if after < change.place and (before is None or change.next_boundary_at < before)
            )
            nearest_overdue = heapq.nsmallest(limit, overdue, key=lambda change: change.place)
            arguments = {"after_at": after[0], "after_id": after[1], "before": before, "now": now, "limit": limit}
            rows = connection.execute(self._queries["list_to_come"], arguments).fetchall()
        to_come = [change for row in rows if (change := _change(row, now)) is not None]
        return heapq.nsmallest(limit, [*nearest_overdue, *to_come], key=lambda change: change.place)

    def _overdue(self, connection: Connection[Any], now: datetime) -> Iterator[UpcomingChange]:
        for query in ("list_overdue", "list_overdue_on_clocks"):
            after_id = _BEFORE_ALL
            while True:
                arguments = {"now": now, "after_id": after_id, "limit": _READ_AT_A_TIME}
                rows = connection.execute(self._queries[query], arguments).fetchall()
                for row in rows:
                    if (change := _change(row, now)) is not None:
                        yield change
                if len(rows) < _READ_AT_A_TIME:
                    break
                after_id = rows[-1][0]


def _change(row: Any, now: datetime) -> UpcomingChange | None:
    """The row as of now; None where the subscription has ended by then."""
    subscription_id, recorded, clock_now = row
    state = as_of(state_of(recorded), clock_now or now)
    next_due_at = state.next_due_at
    if next_due_at is None:
        return None
    return UpcomingChange(
        subscription_id=subscription_id,
        account_id=state.account_id,
        plan_id=state.plan.plan_id,
        status=state.status,
        credits_renew_at=state.credits_renew_at,
        subscription_renews_at=state.term.ends_at if state.status == "active" else None,
        next_boundary_at=next_due_at,
        test_clock_id=UNSET if state.test_clock_id is None else state.test_clock_id,
    )
