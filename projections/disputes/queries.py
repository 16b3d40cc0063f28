"""Reads the disputes table. It is a moment behind the events; the projector's lag says how far."""

from typing import Any
from uuid import UUID

from msgspec import Struct
from psycopg import Connection

from services.dispute.state import Status
from services.postgres.sql import load_queries


class FoundDispute(Struct, frozen=True):
    """A dispute that the table has, as of `version` of its stream; `position` is that of its opening."""

    dispute_id: UUID
    version: int
    position: int


class DisputeQueries:
    """The queries of one schema."""

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
    ) -> list[FoundDispute]:
        """Disputes that were opened before a position, newest first; None lets everything through."""
        wanted = {"subscription_id": subscription_id, "status": status, "before": before, "limit": limit}
        return [FoundDispute(*row) for row in connection.execute(self._queries["list_disputes"], wanted)]
