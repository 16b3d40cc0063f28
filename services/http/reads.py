"""Reads subscriptions and balances as of now, with every due boundary applied, whether or not it is recorded yet."""

from collections.abc import Sequence
from datetime import datetime
from typing import Any
from uuid import UUID

from msgspec import Struct
from msgspec.structs import replace
from psycopg import Connection

from projections.balance.project import project as balance_row
from projections.balance.queries import BalanceQueries, RecordedBalance
from projections.balance.view import Balance, balance_view
from projections.renewal.queries import RecordedSubscription, RenewalQueries, SubscriptionFilter
from projections.renewal.view import SubscriptionView, subscription_view
from services.http.backend import Backend
from services.http.confinement import Confinements
from services.keys import Key
from services.subscription import state as core
from services.subscription.boundaries import as_read


class CurrentSubscription(Struct, frozen=True):
    """A subscription as of an instant; the state's version and `position` are those of its last recorded event."""

    subscription_id: UUID
    state: core.Subscription
    now: datetime
    position: int

    def view(self) -> SubscriptionView:
        """Return the public form."""
        return subscription_view(self.subscription_id, self.state, self.state.version)


class Reads:
    """Reads one ledger, each time on a connection of its own. Every method may raise psycopg.Error."""

    def __init__(self, backend: Backend, confinements: Confinements) -> None:
        self._confinements = confinements
        self._connections = backend.reads
        self._clock = backend.clock
        self._balances = BalanceQueries(backend.schema)
        self._renewals = RenewalQueries(backend.schema)

    def balances(self, ids: Sequence[UUID]) -> dict[UUID, Balance | None]:
        """Read the balance of each subscription; None where there is no such subscription.

        A balance is one row, unless a boundary is due that is not recorded yet.
        """
        with self._connections.connection() as connection:
            rows = self._balances.find(connection, ids)
            return {id: self._balance(connection, id, rows.get(id)) for id in ids}

    def _balance(self, connection: Connection[Any], id: UUID, recorded: RecordedBalance | None) -> Balance | None:
        if recorded is None:
            return None
        now = recorded.clock_now or self._clock()
        row = recorded.row
        is_due = now >= row.cycle_ends_at and row.status != "ended"
        if not is_due and (row.holds_expire_at is None or now < row.holds_expire_at):
            return balance_view(id, row, now)
        if (subscription := self._renewals.find(connection, id)) is None:
            return None
        current = self._current(subscription)
        return balance_view(id, balance_row(current.state, current.position), current.now)

    def subscription(self, subscription_id: UUID) -> CurrentSubscription | None:
        """Read a subscription; None where there is no such subscription."""
        with self._connections.connection() as connection:
            recorded = self._renewals.find(connection, subscription_id)
        return None if recorded is None else self._current(recorded)

    def subscriptions(self, key: Key, chosen: SubscriptionFilter, *, after: UUID, limit: int) -> list[SubscriptionView]:
        """Read the subscriptions of the key that are the chosen ones now, with ids above `after`, in id order."""
        found: list[SubscriptionView] = []
        with self._connections.connection() as connection:
            chosen = replace(chosen, within=self._confinements.subscriptions(key, connection))
            while True:
                recorded = self._renewals.list(connection, chosen, now=self._clock(), after=after, limit=limit)
                current = map(self._current, recorded)
                found += [each.view() for each in current if chosen.includes(each.state)]
                if len(found) >= limit or len(recorded) < limit:
                    return found[:limit]
                after = recorded[-1].subscription_id

    def _current(self, recorded: RecordedSubscription) -> CurrentSubscription:
        now = recorded.clock_now or self._clock()
        return CurrentSubscription(recorded.subscription_id, as_read(recorded.state, now), now, recorded.position)
