"""Reads holds: from the charges table where they are recorded and how they ended, from their events what they were."""

from collections.abc import Callable, Sequence
from datetime import datetime
from typing import Any, Generic, TypeVar
from uuid import UUID

from psycopg import Connection

from projections.charges.queries import EVENT_COLUMNS
from projections.holds.view import HoldStatus
from services.postgres.sql import load_queries

T = TypeVar("T")

ReadHold = Callable[[list[Sequence[Any]]], T]
"""Makes a hold from the columns of its event and of those that ended it and reversed its charge, in the recorder's
order."""


class HoldQueries(Generic[T]):
    """Reads the holds of one schema. Every method raises psycopg.Error."""

    def __init__(self, schema: str, read_hold: ReadHold[T]) -> None:
        self._queries = load_queries("projections.holds", "holds.sql", schema=schema)
        self._read_hold = read_hold

    def find(self, connection: Connection[Any], subscription_id: UUID, generation_id: str) -> T | None:
        """Read the hold of a generation; None where there is none."""
        arguments = {"id": subscription_id, "generation_id": generation_id}
        row = connection.execute(self._queries["find_hold"], arguments).fetchone()
        return None if row is None else self._hold(row)

    def of_subscription(
        self,
        connection: Connection[Any],
        subscription_id: UUID,
        *,
        status: HoldStatus | None,
        member: str | None,
        now: datetime,
        before: int,
        limit: int,
    ) -> list[T]:
        """List holds of a subscription below the version `before`, newest first; of a status as of `now` if given."""
        arguments = {
            "id": subscription_id,
            "status": status,
            "member": member,
            "now": now,
            "before": before,
            "limit": limit,
        }
        return [self._hold(row) for row in connection.execute(self._queries["list_holds"], arguments)]

    def _hold(self, row: Sequence[Any]) -> T:
        parts = [row[place : place + EVENT_COLUMNS] for place in range(0, len(row), EVENT_COLUMNS)]
        return self._read_hold([event for event in parts if event[0] is not None])
