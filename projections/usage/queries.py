"""Reads sums of usage. The table is a moment behind the events; the projector's lag tells how far."""

from collections.abc import Sequence
from datetime import date
from typing import Any
from uuid import UUID

from msgspec import Struct
from msgspec.structs import asdict
from psycopg import Connection

from projections.usage.view import Usage, UsageGroup, UsageKey, usage_view
from services.catalogue.model import AssetType
from services.postgres.sql import load_queries

_NO_GROUP = UsageGroup("", 0, "", "", "", "", "")


class UsageFilter(Struct, frozen=True):
    """The usage to add up: that of the days in `[since, until)` that equals the other fields. None matches all."""

    subscription_id: UUID | None = None
    since: date | None = None
    until: date | None = None
    day: date | None = None
    month: str | None = None
    cycle: int | None = None
    model: str | None = None
    asset_type: AssetType | None = None
    member: str | None = None
    account_id: str | None = None
    plan_id: str | None = None
    within: Sequence[UUID] | None = None


class UsageQueries:
    """Reads the usage table of one schema."""

    def __init__(self, schema: str) -> None:
        queries = load_queries("projections.usage", "usage.sql", schema=schema)
        self._sums = queries["select_sums"].replace(b"{account}", b"''").replace(b"{accounts}", b"")
        self._sums_by_account = (
            queries["select_sums"].replace(b"{account}", b"account_id").replace(b"{accounts}", queries["accounts"])
        )

    def sums(
        self,
        connection: Connection[Any],
        usage_filter: UsageFilter,
        keys: frozenset[UsageKey],
        *,
        after: UsageGroup | None,
        limit: int,
    ) -> list[Usage]:
        """Add usage up by keys, of which one period at most, in key order after a group.

        Without keys there is one row, the total. Raises psycopg.Error.
        """
        query = {
            **asdict(usage_filter),
            "period": "day" if "day" in keys else "month" if "month" in keys else "",
            **{f"by_{key}": key in keys for key in ("cycle", "model", "asset_type", "member", "account_id", "plan_id")},
            "is_first": after is None,
            **{f"after_{name}": value for name, value in asdict(after or _NO_GROUP).items()},
            "limit": limit,
        }
        needs_accounts = "account_id" in keys or usage_filter.account_id is not None
        statement = self._sums_by_account if needs_accounts else self._sums
        rows = connection.execute(statement, query).fetchall()
        if not rows and not keys and after is None:
            rows = [(*asdict(_NO_GROUP).values(), 0, 0, 0)]
        return [usage_view(UsageGroup(*row[:-3]), keys, row[-3:]) for row in rows]
