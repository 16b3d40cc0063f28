"""Reads sums of usage. The table is a moment behind the events; the projector's lag tells how far."""

from datetime import date
from typing import Any
from uuid import UUID

from msgspec import Struct
from msgspec.structs import asdict
from psycopg import Connection

from projections.usage.view import Usage, UsageGroup, UsageKey, usage_view
from services.catalogue.model import AssetType
from services.postgres.sql import load_queries


class UsageFilter(Struct, frozen=True):
    """The usage to add up: that of the days in `[since, until)` that equals the other fields. None matches all."""

    subscription_id: UUID | None = None
    since: date | None = None
    until: date | None = None
    model: str | None = None
    asset_type: AssetType | None = None


class UsageQueries:
    """Reads the usage table of one schema."""

    def __init__(self, schema: str) -> None:
        self._queries = load_queries("projections.usage", "usage.sql", schema=schema)

    def sums(
        self,
        connection: Connection[Any],
        usage_filter: UsageFilter,
        keys: frozenset[UsageKey],
        *,
        after: UsageGroup | None,
        limit: int,
    ) -> list[Usage]:
        """Add usage up by keys, of which day and month exclude each other, in key order after a group.

        Without keys there is one row, the total. Raises psycopg.Error.
        """
        query = {
            **asdict(usage_filter),
            "period": "day" if "day" in keys else "month" if "month" in keys else "",
            "by_model": "model" in keys,
            "by_asset_type": "asset_type" in keys,
            "after_period": after.period if after else None,
            "after_model": after.model if after else None,
            "after_asset_type": after.asset_type if after else None,
            "limit": limit,
        }
        rows = connection.execute(self._queries["select_sums"], query).fetchall()
        if not rows and not keys and after is None:
            rows = [("", "", "", 0, 0, 0)]
        return [usage_view(UsageGroup(*row[:3]), keys, row[3:]) for row in rows]
