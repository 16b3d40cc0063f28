"""Reads the usage table. It is a moment behind the events; the projector's lag says how far."""

from datetime import date
from typing import Any
from uuid import UUID

from psycopg import Connection

from projections.usage.project import UsageRow
from services.postgres.sql import load_queries


class UsageQueries:
    """The queries of one schema."""

    def __init__(self, schema: str) -> None:
        self._queries = load_queries("projections.usage", "usage.sql", schema=schema)

    def of_subscription(
        self, connection: Connection[Any], subscription_id: UUID, *, since: date, until: date
    ) -> list[UsageRow]:
        """What a subscription used in `[since, until)`, by day, model and asset type."""
        return self._rows(connection, "select_usage_of_subscription", id=subscription_id, since=since, until=until)

    def of_ledger(self, connection: Connection[Any], *, since: date, until: date) -> list[UsageRow]:
        """What all subscriptions together used in `[since, until)`, by day, model and asset type."""
        return self._rows(connection, "select_usage_of_ledger", since=since, until=until)

    def _rows(self, connection: Connection[Any], query: str, **arguments: Any) -> list[UsageRow]:
        rows = connection.execute(self._queries[query], arguments)
        return [UsageRow(*row) for row in rows]
