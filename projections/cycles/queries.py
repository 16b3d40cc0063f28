"""Reads the plans of subscriptions as they were, from the cycles table and from the events that it lacks."""

from collections.abc import Sequence
from typing import Any
from uuid import UUID

from psycopg import Connection

from projections.declaration import MAX_POSITION
from services.postgres.arrays import Bigints, Uuids
from services.postgres.sql import load_queries


class PlanQueries:
    """Reads the plans of one schema. `suffix` ends the name of the table, for a rebuild's, which is complete."""

    def __init__(self, schema: str, suffix: str = "") -> None:
        queries = load_queries("projections.cycles", "cycles.sql", schema=schema)
        self._select_plans = queries["select_plans"].replace(b"{cycles}", f"cycles{suffix}".encode())
        self._position = MAX_POSITION if suffix else None

    def at(self, connection: Connection[Any], places: Sequence[tuple[UUID, int]], *, until: int) -> list[str | None]:
        """Return the plan of each subscription at a version; None where it had not started.

        No place is recorded after the position `until`. Raises psycopg.Error.
        """
        arguments = {
            "ids": Uuids([id for id, _ in places]),
            "versions": Bigints([version for _, version in places]),
            "position": self._position,
            "until": until,
        }
        return [plan_id for (plan_id,) in connection.execute(self._select_plans, arguments)]
