"""Takes events into staged tables that are filled already, up to the newest: few at a time, in transactions.

The state of a stream is read back from its two staged rows, so that nothing of the fill must stay in memory.
"""

from collections.abc import Iterable, Sequence
from typing import Any
from uuid import UUID

from psycopg import Connection

from projections.declaration import SUBSCRIPTION_EVENTS, AnyProjection, LedgerEvent, StateRows
from projections.ledger_events import Decode, EventReader
from projections.rebuilding.staging import SUFFIX
from projections.rebuilding.targets import Head, Heads
from projections.registry import INLINE_ROWS
from projections.renewal.project import state_of, with_counters
from projections.writers import StateRowsWriter, writer_of
from services.postgres.arrays import Uuids
from services.postgres.sql import load_queries

EVENTS_A_TRANSACTION = 5_000


class Tail:
    """The newest events on their way into the staged tables; `position` is the last one that is in."""

    def __init__(self, schema: str, decode: Decode, projections: Sequence[AnyProjection], position: int) -> None:
        has_charges = any(each in projections for each in INLINE_ROWS)
        self._reader = EventReader(schema, decode, SUFFIX if has_charges else "")
        self._queries = load_queries(__file__, "rebuild.sql", schema=schema)
        self._states = [StateRowsWriter(each, schema, SUFFIX) for each in projections if isinstance(each, StateRows)]
        self._others = [each for each in projections if not isinstance(each, StateRows)]
        self._writers = {each.table: writer_of(each, schema, self._reader, SUFFIX) for each in self._others}
        self.position = position

    def follow(self, connection: Connection[Any]) -> None:
        """Take what is there, on an autocommit connection. Raises BadEvent."""
        last = self._reader.last_position(connection)
        while self.position < last:
            with connection.transaction():
                position = self.take(connection, last, EVENTS_A_TRANSACTION)
            self.position = position

    def take(self, connection: Connection[Any], until: int, limit: int | None = None) -> int:
        """Take events in the caller's transaction; the last one's position, to be kept once that has committed."""
        rows = self._reader.rows(connection, after=self.position, until=until, limit=limit)
        if not rows:
            return self.position
        events = [self._reader.decode(row) for row in rows]
        if self._states:
            self._take_states(connection, events)
        for each in self._others:
            self.apply(connection, each.table, [event for event in events if type(event.event) in each.events])
        return events[-1].position

    def apply(self, connection: Connection[Any], table: str, events: Sequence[LedgerEvent]) -> None:
        """Write what events change in one table, all of types that its projection takes."""
        self._writers[table].apply(connection, events)

    def _take_states(self, connection: Connection[Any], events: Sequence[LedgerEvent]) -> None:
        heads = self._heads(connection, {each.stream_id for each in events})
        for each in events:
            if type(each.event) in SUBSCRIPTION_EVENTS:
                heads.fold(each)
        for writer in self._states:
            writer.write(
                connection, {UUID(bytes=stream): head.row(writer.projection) for stream, head in heads.items()}
            )

    def _heads(self, connection: Connection[Any], ids: Iterable[UUID]) -> Heads:
        rows = connection.execute(self._queries["select_staged_states"], {"ids": Uuids(list(ids))})
        heads = Heads()
        for stream, state, version, used, reversed_credits in rows:
            now = with_counters(state, version=version, used_credits=used, reversed_credits=reversed_credits)
            heads[stream] = Head(now, 0, state_of(state))
        return heads
