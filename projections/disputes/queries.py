"""Lists disputes. The table is a moment behind the events; the projector's lag tells how far."""

from collections.abc import Sequence
from typing import Any
from uuid import UUID

from msgspec import Struct
from psycopg import Connection

from services.dispute.state import Status
from services.postgres.sql import load_queries


class ListedDispute(Struct, frozen=True):
    """A dispute as the table has it, at `version` of its stream; it was opened at `position`."""

    dispute_id: UUID
    version: int
    position: int


class DisputeQueries:
    """Reads the disputes table of one schema."""

    def __init__(self, schema: str) -> None:
        self._queries = load_queries("projections.disputes", "disputes.sql", schema=schema)

    def list(
        self,
        connection: Connection[Any],
        *,
        subscription_id: UUID | None,
        status: Status | None,
        before: int,
        limit: int,
        within: Sequence[UUID] | None = None,
    ) -> list[ListedDispute]:
        """List disputes opened below the position `before`, newest first. None matches all. Raises psycopg.Error.

        `within` has the subscriptions whose disputes are meant.
        """
        query = {
            "subscription_id": subscription_id,
            "status": status,
            "before": before,
            "limit": limit,
            "within": within,
        }
        return [ListedDispute(*row) for row in connection.execute(self._queries["list_disputes"], query)]
