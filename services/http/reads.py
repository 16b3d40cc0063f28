"""What the read models show now: every boundary that is due is applied, whether or not it is recorded yet."""

from collections.abc import Sequence
from datetime import datetime
from typing import Any
from uuid import UUID

from msgspec import Struct
from psycopg import Connection

from projections.balance.project import project as balance_row
from projections.balance.queries import BalanceQueries, FoundBalance
from projections.balance.view import Balance, balance_view
from projections.charges.queries import ChargeFilter, ChargeQueries
from projections.charges.view import Charge
from projections.renewal.agenda import Agenda, UpcomingChange
from projections.renewal.queries import FoundSubscription, RenewalQueries
from projections.renewal.view import Subscription, subscription_view
from services.http.backend import Backend
from services.http.problems import Problem, UnknownCharge
from services.ledger.history import History, RefusalPlace, StoredEvent, StoredRefusal, charge_from_row
from services.subscription import state as core
from services.subscription.boundaries import as_of
from services.subscription.refusals import UnknownSubscription


class CurrentSubscription(Struct, frozen=True):
    """A subscription as of an instant; `position` is that of its last recorded event.

    The state's version counts the boundaries that are due as if they were recorded, as they will be before anything
    else is. So what was read can be named in `If-Match`, whether or not the renewal worker was there in between.
    """

    subscription_id: UUID
    state: core.Subscription
    now: datetime
    position: int

    def view(self) -> Subscription:
        """The public form."""
        return subscription_view(self.subscription_id, self.state, self.state.version)


class Reads:
    """Queries of one ledger, each on a connection of its own. They raise psycopg.Error, and Problem for what is not."""

    def __init__(self, backend: Backend) -> None:
        self._connections = backend.reads
        self._clock = backend.clock
        self._balances = BalanceQueries(backend.schema)
        self._renewals = RenewalQueries(backend.schema)
        self._charges = ChargeQueries(backend.schema, charge_from_row)
        self._history = History(backend.schema)
        self._agenda = Agenda(backend.schema)

    def balances(self, ids: Sequence[UUID]) -> dict[UUID, Balance | Problem]:
        """The balance of each subscription now: one row, unless a boundary has passed that is not recorded yet."""
        with self._connections.connection() as connection:
            found = self._balances.find(connection, ids)
            return {id: self._balance(connection, id, found.get(id)) for id in ids}

    def _balance(self, connection: Connection[Any], id: UUID, found: FoundBalance | None) -> Balance | Problem:
        if found is None:
            return Problem(UnknownSubscription())
        now = found.clock_now or self._clock()
        if now < found.row.cycle_ends_at or found.row.status == "ended":
            return balance_view(id, found.row, now)
        current = self._current(self._subscription(connection, id))
        return balance_view(id, balance_row(current.state, current.position), current.now)

    def subscription(self, subscription_id: UUID) -> CurrentSubscription:
        """The subscription now."""
        with self._connections.connection() as connection:
            return self._current(self._subscription(connection, subscription_id))

    def subscriptions(self, account_id: str, *, after: UUID, limit: int) -> list[Subscription]:
        """The subscriptions of an account with ids above `after`, in id order."""
        with self._connections.connection() as connection:
            found = self._renewals.of_account(connection, account_id, after=after, limit=limit)
        return [self._current(each).view() for each in found]

    def charge(self, subscription_id: UUID, generation_id: str) -> Charge:
        """The charge of a generation."""
        with self._connections.connection() as connection:
            charge = self._charges.find(connection, subscription_id, generation_id)
            if charge is None:
                self._subscription(connection, subscription_id)
                raise Problem(UnknownCharge(generation_id))
        return charge

    def charges(self, subscription_id: UUID, wanted: ChargeFilter, *, before: int, limit: int) -> list[Charge]:
        """Charges of a subscription below a version, newest first."""
        with self._connections.connection() as connection:
            charges = self._charges.of_subscription(connection, subscription_id, wanted, before=before, limit=limit)
            return charges or self._none_of(connection, subscription_id)

    def all_charges(self, wanted: ChargeFilter, *, generation_id: str | None, before: int, limit: int) -> list[Charge]:
        """Charges of all subscriptions below a position, newest first."""
        with self._connections.connection() as connection:
            return self._charges.of_ledger(connection, wanted, generation_id=generation_id, before=before, limit=limit)

    def events(self, subscription_id: UUID, *, after_version: int, topic: str | None, limit: int) -> list[StoredEvent]:
        """Recorded events of a subscription, oldest first."""
        with self._connections.connection() as connection:
            events = self._history.of_stream(
                connection, subscription_id, after_version=after_version, topic=topic, limit=limit
            )
            return events or self._none_of(connection, subscription_id)

    def all_events(self, *, after_position: int, topic: str | None, limit: int) -> list[StoredEvent]:
        """Recorded events of the ledger, in its order."""
        with self._connections.connection() as connection:
            return self._history.of_ledger(connection, after_position=after_position, topic=topic, limit=limit)

    def refusals(self, subscription_id: UUID, *, after: RefusalPlace, limit: int) -> list[StoredRefusal]:
        """What was refused to a subscription, newest first."""
        with self._connections.connection() as connection:
            refusals = self._history.refusals(connection, subscription_id, after=after, limit=limit)
            return refusals or self._none_of(connection, subscription_id)

    def agenda(self, *, after: tuple[datetime, UUID], before: datetime | None, limit: int) -> list[UpcomingChange]:
        """Subscriptions by their next boundary, nearest first, above a place and before an instant."""
        with self._connections.connection() as connection:
            return self._agenda.list(connection, self._clock(), after=after, before=before, limit=limit)

    def _subscription(self, connection: Connection[Any], subscription_id: UUID) -> FoundSubscription:
        found = self._renewals.find(connection, subscription_id)
        if found is None:
            raise Problem(UnknownSubscription())
        return found

    def _none_of(self, connection: Connection[Any], subscription_id: UUID) -> list[Any]:
        """An empty list, if there is such a subscription."""
        self._subscription(connection, subscription_id)
        return []

    def _current(self, found: FoundSubscription) -> CurrentSubscription:
        now = found.clock_now or self._clock()
        return CurrentSubscription(found.subscription_id, as_of(found.state, now), now, found.position)
