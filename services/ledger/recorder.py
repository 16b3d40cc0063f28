"""The events table of one schema: appends a batch under the head row; reads the events and the heads of streams.

The table has the columns that the event-sourcing library's recorder would make, and two more for the hash chain.
"""

from collections.abc import Iterator, Sequence
from typing import Any
from uuid import UUID

from psycopg import Connection

from projections.declaration import MAX_POSITION
from services.ledger.mapper import SNAPSHOT_TOPIC, read_event
from services.ledger.records import ChainedEvent, StreamHead, extend
from services.ledger.snapshots import read_snapshot
from services.postgres.arrays import Bigints, Blobs, Instants, Texts, Uuids
from services.postgres.session import PendingResult, Session
from services.postgres.sql import load_queries

COLUMNS = "originator_id, originator_version, topic, state, recorded_at, previous_hash, notification_id"


def chained_event(row: Sequence[Any]) -> ChainedEvent:
    """Make a stored event of a row of `COLUMNS`."""
    stream_id, version, topic, state, recorded_at, previous_hash, position = row
    return ChainedEvent(stream_id, version, topic, bytes(state), recorded_at, bytes(previous_hash), position)


PAGE_EVENTS = 25
"""Of a whole stream so many events are read at a time: reading thousands at once keeps the interpreter from others."""


class Recorder:
    """Appends and selects events. Every method raises psycopg.Error."""

    def __init__(self, schema: str) -> None:
        self.queries = load_queries(__file__, "ledger.sql", schema=schema)

    def append(self, session: Session, events: Sequence[ChainedEvent]) -> "PendingPositions":
        """Append within the caller's transaction; the positions can be read once the pipeline was synced.

        The primary key (stream, version) refuses a version that is stored already.
        """
        result = session.execute(
            self.queries["append_events"],
            {
                "count": len(events),
                "ids": Uuids([event.originator_id for event in events]),
                "versions": Bigints([event.originator_version for event in events]),
                "instants": Instants([event.recorded_at for event in events]),
                "topics": Texts([event.topic for event in events]),
                "previous_hashes": Blobs([event.previous_hash for event in events]),
                "states": Blobs([event.state for event in events]),
            },
        )
        return PendingPositions(result)

    def events(
        self, connection: Connection[Any], stream_id: UUID, *, after: int = 0, until: int = MAX_POSITION
    ) -> list[ChainedEvent]:
        """Return the events of one stream above the version `after`, up to and with `until`, in order."""
        arguments = {"id": stream_id, "after": after, "until": until}
        return [chained_event(row) for row in connection.execute(self.queries["select_stream"], arguments)]

    def events_by_pages(
        self, connection: Connection[Any], stream_id: UUID, *, after: int = 0, until: int
    ) -> Iterator[ChainedEvent]:
        """Yield the events of one stream as `events` returns them, a few at a time, so that others get on."""
        for first in range(after, until, PAGE_EVENTS):
            yield from self.events(connection, stream_id, after=first, until=min(first + PAGE_EVENTS, until))

    def head(self, connection: Connection[Any], stream_id: UUID, version: int = MAX_POSITION) -> StreamHead | None:
        """Fold a subscription's stream up to a version, from the nearest snapshot; None where there is no stream.

        Raises UnreadableEvent.
        """
        arguments = {"id": stream_id, "until": version, "topic": SNAPSHOT_TOPIC}
        row = connection.execute(self.queries["select_snapshot"], arguments).fetchone()
        snapshot = read_snapshot(stream_id, row[0]) if row else None
        tail = self.events(connection, stream_id, after=snapshot.version if snapshot else 0, until=version)
        return extend(snapshot, map(read_event, tail))


class PendingPositions:
    """The positions of appended events, known once their statement has run."""

    def __init__(self, result: PendingResult) -> None:
        self._result = result

    def base(self) -> int:
        """Return the position before the first of them; each event's own is `base + 1`, `base + 2`, ..."""
        ((base,),) = self._result.rows()
        return int(base)
