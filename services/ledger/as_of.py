"""A subscription as it was: at any version, or as a read at any instant would have shown it.

Both fold the recorded events with the fold that live state uses, from the nearest snapshot on. By instant, the
boundaries that were due by then are applied as well, recorded or not, because a read at that instant had them applied.
"""

from datetime import datetime
from typing import Any
from uuid import UUID

from msgspec import Struct
from psycopg import Connection

from services.ledger.application import LedgerApplication
from services.ledger.recorder import chained_event
from services.ledger.records import ChainedEvent
from services.sql import load_queries
from services.subscription.boundaries import as_of
from services.subscription.state import Subscription


class PastState(Struct, frozen=True):
    """A subscription as it was at `at`, and the last event that had been recorded by then."""

    state: Subscription
    at: datetime
    last_event: ChainedEvent


class UnknownVersion(LookupError):
    """The stream has no such version."""

    def __init__(self, newest: int) -> None:
        super().__init__(newest)
        self.newest = newest


class NotYetStarted(LookupError):
    """The stream had no event yet at that instant."""

    def __init__(self, started_at: datetime) -> None:
        super().__init__(started_at)
        self.started_at = started_at


class AsOf:
    """The past of the streams of one schema."""

    def __init__(self, application: LedgerApplication, schema: str) -> None:
        self._application = application
        self._queries = load_queries(__file__, "as_of.sql", schema=schema)

    def at_instant(self, connection: Connection[Any], stream_id: UUID, at: datetime) -> PastState | None:
        """The state that a read at `at` showed. None where there is no stream. Raises NotYetStarted."""
        version = self._ask(connection, "newest_version_at", id=stream_id, at=at)
        if version is not None:
            last_event = self._find(connection, stream_id, version)
            assert last_event is not None, "recorded events stay"
            return PastState(as_of(self._at(last_event).state, at), at, last_event)
        first = self._find(connection, stream_id, 1)
        if first is not None:
            raise NotYetStarted(first.recorded_at)
        return None

    def at_version(self, connection: Connection[Any], stream_id: UUID, version: int) -> PastState | None:
        """The state that the event of `version` left, at its instant. None: no stream. Raises UnknownVersion."""
        last_event = self._find(connection, stream_id, version)
        if last_event is not None:
            return self._at(last_event)
        newest = self._ask(connection, "newest_version", id=stream_id)
        if newest is not None:
            raise UnknownVersion(newest)
        return None

    def _at(self, last_event: ChainedEvent) -> PastState:
        state = self._application.state(last_event.originator_id, last_event.originator_version)
        assert state is not None, "a stream that has this version has a state there"
        return PastState(state, last_event.recorded_at, last_event)

    def _find(self, connection: Connection[Any], stream_id: UUID, version: int) -> ChainedEvent | None:
        wanted = {"id": stream_id, "version": version}
        row = connection.execute(self._application.recorder.queries["find_event"], wanted).fetchone()
        return None if row is None else chained_event(row)

    def _ask(self, connection: Connection[Any], query: str, **arguments: Any) -> int | None:
        row = connection.execute(self._queries[query], arguments).fetchone()
        version: int | None = row[0] if row is not None else None
        return version
