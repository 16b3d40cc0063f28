"""A subscription as it was: at any version, or as a read at any instant up to now would have shown it.

Both fold the recorded events with the fold that live state uses, from the nearest snapshot on. By instant, the
boundaries that were due by then are applied as well, recorded or not, because a read at that instant had them applied.
"""

from collections.abc import Callable
from datetime import UTC, datetime
from typing import Any
from uuid import UUID

from msgspec import Struct
from psycopg import Connection

from projections.balance.project import project as balance_row
from projections.balance.view import Balance, balance_view
from projections.renewal.queries import RenewalQueries
from projections.renewal.view import SubscriptionView, subscription_view
from services.ledger.history import StoredEvent, as_stored
from services.ledger.recorder import Recorder
from services.ledger.records import ChainedEvent
from services.postgres.sql import load_queries
from services.subscription import boundaries
from services.subscription import state as core


class PastSubscription(Struct, frozen=True):
    """A subscription and its balance as they were, and the last event that had been recorded by then.

    The `version` of both, and the balance's `position`, are those of this event.
    """

    subscription: SubscriptionView
    balance: Balance
    last_event: StoredEvent


class PastState(Struct, frozen=True):
    """A state as it was at `at`, and the last event that had been recorded by then."""

    state: core.Subscription
    at: datetime
    last_event: ChainedEvent

    def view(self) -> PastSubscription:
        """Make the public form."""
        id, state = self.last_event.originator_id, self.state
        return PastSubscription(
            subscription=subscription_view(id, state, state.version),
            balance=balance_view(id, balance_row(state, self.last_event.position or 0), self.at),
            last_event=as_stored(self.last_event),
        )


class UnknownVersion(LookupError):
    """The subscription has no such version; `newest` is the last that it has."""

    def __init__(self, newest: int) -> None:
        super().__init__(f"there is no such version: the versions are 1 to {newest}")
        self.newest = newest


class NotYetStarted(LookupError):
    """The subscription had not started at that instant."""

    def __init__(self, started_at: datetime) -> None:
        super().__init__(f"there was no such subscription then: it started at {started_at.isoformat()}")
        self.started_at = started_at


class StillToCome(ValueError):
    """The instant is after now, by the clock that the subscription lives by."""

    def __init__(self, now: datetime) -> None:
        super().__init__(f"must not be after now, which is {now.isoformat()}")
        self.now = now


class AsOf:
    """Reads the past of the subscriptions of one schema, up to now."""

    def __init__(self, schema: str, clock: Callable[[], datetime]) -> None:
        self._recorder = Recorder(schema)
        self._clock = clock
        self._subscriptions = RenewalQueries(schema)
        self._queries = load_queries(__file__, "as_of.sql", schema=schema)

    def at_instant(self, connection: Connection[Any], id: UUID, at: datetime) -> PastState | None:
        """Return what a read at `at` showed; None where there is no such subscription.

        Raises NotYetStarted, StillToCome.
        """
        found = self._subscriptions.find(connection, id)
        if found is None:
            return None
        row = connection.execute(self._queries["newest_version_at"], {"id": id, "at": at}).fetchone()
        if row is None or row[0] is None:
            raise NotYetStarted(self._event(connection, id, 1).recorded_at)
        last_event = self._event(connection, id, row[0])
        now = found.clock_now or self._clock()
        # The newest event may have been recorded by a machine whose clock is a little ahead of ours.
        if at > max(now, last_event.recorded_at) and last_event.originator_version == found.state.version:
            raise StillToCome(now)
        return PastState(boundaries.as_read(self._state(connection, last_event), at), at.astimezone(UTC), last_event)

    def at_version(self, connection: Connection[Any], id: UUID, version: int) -> PastState | None:
        """Return what the event of `version` left, at its instant; None where there is no such subscription.

        Raises UnknownVersion.
        """
        found = self._subscriptions.find(connection, id)
        if found is None:
            return None
        if not 1 <= version <= found.state.version:
            raise UnknownVersion(found.state.version)
        last_event = self._event(connection, id, version)
        return PastState(self._state(connection, last_event), last_event.recorded_at, last_event)

    def now(self, connection: Connection[Any], id: UUID) -> datetime | None:
        """Return the last instant that can be shown; None where there is no such subscription."""
        found = self._subscriptions.find(connection, id)
        if found is None:
            return None
        newest = self._event(connection, id, found.state.version)
        return max(found.clock_now or self._clock(), newest.recorded_at)

    def _state(self, connection: Connection[Any], last_event: ChainedEvent) -> core.Subscription:
        head = self._recorder.head(connection, last_event.originator_id, last_event.originator_version)
        assert head is not None, "a stream that has this version has a state there"
        return head.state

    def _event(self, connection: Connection[Any], id: UUID, version: int) -> ChainedEvent:
        (event,) = self._recorder.events(connection, id, after=version - 1, until=version)
        return event
