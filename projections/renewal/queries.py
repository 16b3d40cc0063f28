"""Reads whole subscriptions from the renewal and balance tables."""

from collections.abc import Collection, Sequence
from datetime import datetime
from typing import Any
from uuid import UUID

from msgspec import Struct
from msgspec.structs import asdict
from psycopg import Connection

from projections.renewal.project import Moved, with_balance
from services.postgres.arrays import Uuids
from services.postgres.sql import load_queries
from services.subscription.state import ShownStatus, Subscription


class SubscriptionFilter(Struct, frozen=True):
    """The subscriptions to list: those that equal the fields. None matches everything."""

    account_id: str | None = None
    plan_id: str | None = None
    status: ShownStatus | None = None
    within: Sequence[UUID] | None = None
    """The subscriptions of whom asks, of which none other is listed."""

    def includes(self, state: Subscription) -> bool:
        """Whether a subscription as it is now is meant."""
        return self.plan_id in {None, state.plan.plan_id} and self.status in {None, state.shown_status}


_CONDITIONS = {"plan_id": b"b.plan_id = %(plan_id)s", "status": b"b.status = %(status)s"}


class RecordedSubscription(Struct, frozen=True):
    """A subscription as of its last event, at `position`; `clock_now` is its test clock's time, where it has one."""

    subscription_id: UUID
    state: Subscription
    position: int
    clock_now: datetime | None


class RenewalQueries:
    """Reads the subscriptions of one schema. Every method raises psycopg.Error."""

    def __init__(self, schema: str) -> None:
        queries = load_queries("projections.renewal", "renewal.sql", schema=schema)
        self._select_subscription, self._list = queries["select_subscription"], queries["list_subscriptions"]
        self._list_by_plan_and_status = queries["list_by_plan_and_status"]
        self._select_accounts = queries["select_accounts"]
        self._select_ids_of_accounts = queries["select_ids_of_accounts"]

    def find(self, connection: Connection[Any], subscription_id: UUID) -> RecordedSubscription | None:
        """Read a subscription; None where there is none with this id."""
        row = connection.execute(self._select_subscription, {"id": subscription_id}).fetchone()
        return None if row is None else _recorded(row)

    def accounts(self, connection: Connection[Any], ids: Collection[UUID]) -> dict[UUID, str]:
        """Read the account of each subscription that there is. It never changes."""
        return dict(connection.execute(self._select_accounts, {"ids": Uuids([*ids])}).fetchall())

    def of_accounts(
        self, connection: Connection[Any], account_ids: Collection[str], subscription_ids: Collection[UUID]
    ) -> Sequence[UUID]:
        """Return the ids of all subscriptions of accounts, and those of these that there are."""
        arguments = {"account_ids": [*account_ids], "ids": [*subscription_ids]}
        return [id for (id,) in connection.execute(self._select_ids_of_accounts, arguments)]

    def list(
        self, connection: Connection[Any], chosen: SubscriptionFilter, *, now: datetime, after: UUID, limit: int
    ) -> list[RecordedSubscription]:
        """List the chosen subscriptions with ids above `after`, in id order, and others where something is due."""
        arguments = {**asdict(chosen), "now": now, "after": after, "limit": limit}
        return [_recorded(row) for row in connection.execute(self._list_of(chosen), arguments)]

    def _list_of(self, chosen: SubscriptionFilter) -> bytes:
        """Return the query of a list. An account has few subscriptions, a plan or a status may have any number."""
        conditions = [condition for name, condition in _CONDITIONS.items() if getattr(chosen, name) is not None]
        if chosen.account_id is not None or chosen.within is not None or not conditions:
            return self._list
        return self._list_by_plan_and_status.replace(b"{filters}", b" AND ".join(conditions))


def _recorded(row: Sequence[Any]) -> RecordedSubscription:
    subscription_id, state, position, clock_now, *moved = row
    return RecordedSubscription(subscription_id, with_balance(state, Moved(*moved)), position, clock_now)
