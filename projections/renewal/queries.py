"""Reads whole subscriptions from the renewal and balance tables."""

from collections.abc import Sequence
from datetime import datetime
from typing import Any
from uuid import UUID

from msgspec import Struct
from psycopg import Connection

from projections.renewal.project import with_counters
from services.postgres.sql import load_queries
from services.subscription.state import Subscription


class FoundSubscription(Struct, frozen=True):
    """A subscription as last recorded, the position of its last event, and what its test clock says if it has one."""

    subscription_id: UUID
    state: Subscription
    position: int
    clock_now: datetime | None


class RenewalQueries:
    """The queries of one schema."""

    def __init__(self, schema: str) -> None:
        self._queries = load_queries("projections.renewal", "renewal.sql", schema=schema)

    def find(self, connection: Connection[Any], subscription_id: UUID) -> FoundSubscription | None:
        """The subscription; None where there is no such id."""
        row = connection.execute(self._queries["select_subscription"], {"id": subscription_id}).fetchone()
        return None if row is None else _found(row)

    def of_account(
        self, connection: Connection[Any], account_id: str, *, after: UUID, limit: int
    ) -> list[FoundSubscription]:
        """Subscriptions of an account with ids above `after`, in id order."""
        arguments = {"account_id": account_id, "after": after, "limit": limit}
        return [_found(row) for row in connection.execute(self._queries["list_subscriptions"], arguments)]


def _found(row: Sequence[Any]) -> FoundSubscription:
    subscription_id, state, version, position, used_credits, reversed_credits, clock_now = row
    return FoundSubscription(
        subscription_id,
        with_counters(state, version=version, used_credits=used_credits, reversed_credits=reversed_credits),
        position,
        clock_now,
    )
