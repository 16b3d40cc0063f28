"""Applies the newest events to staged tables that are filled.

The state of a stream is read from its two staged rows, so that nothing of the fill has to stay in memory.
"""

from collections.abc import Iterable, Sequence
from typing import Any
from uuid import UUID

from psycopg import Connection

from projections.declaration import SUBSCRIPTION_EVENTS, AnyProjection, LedgerEvent, StateRows
from projections.ledger_events import Decode, EventReader
from projections.rebuilding.staging import SUFFIX
from projections.rebuilding.targets import Head, Heads
from projections.renewal.project import Moved, read_state, with_balance
from projections.writers import StateRowsWriter, writer_of
from services.postgres.arrays import Uuids
from services.postgres.sql import load_queries

EVENTS_A_TRANSACTION = 5_000


class Tail:
    """Applies events to the staged tables of projections; `position` is that of the last event applied."""

    def __init__(self, schema: str, decode: Decode, projections: Sequence[AnyProjection], position: int) -> None:
        self._reader = EventReader(schema, decode, {each.table: SUFFIX for each in projections})
        self._queries = load_queries(__file__, "rebuild.sql", schema=schema)
        self._states = [StateRowsWriter(each, schema, SUFFIX) for each in projections if isinstance(each, StateRows)]
        self._others = [each for each in projections if not isinstance(each, StateRows)]
        self._writers = {each.table: writer_of(each, schema, self._reader, SUFFIX) for each in self._others}
        self.position = position

    def catch_up(self, connection: Connection[Any]) -> None:
        """Apply all events recorded by now, in transactions. Raises BadEvent, MissingEvent, psycopg.Error."""
        last = self._reader.last_position(connection)
        while self.position < last:
            with connection.transaction():
                position = self.advance(connection, last, EVENTS_A_TRANSACTION)
            self.position = position

    def advance(self, connection: Connection[Any], until: int, limit: int | None = None) -> int:
        """Apply the next events in the caller's transaction.

        Returns the position of the last one, which the caller assigns to `position` after the commit.
        """
        rows = self._reader.rows(connection, after=self.position, until=until, limit=limit)
        if not rows:
            return self.position
        events = [self._reader.decode(row) for row in rows]
        if self._states:
            self._apply_states(connection, events)
        for each in self._others:
            self.apply(connection, each.table, [event for event in events if type(event.event) in each.events])
        return events[-1].position

    def apply(self, connection: Connection[Any], table: str, events: Sequence[LedgerEvent]) -> None:
        """Apply events to one table. All are of its projection's types."""
        self._writers[table].apply(connection, events)

    def _apply_states(self, connection: Connection[Any], events: Sequence[LedgerEvent]) -> None:
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
        for stream, state, *moved in rows:
            heads[stream] = Head(with_balance(state, Moved(*moved)), 0, read_state(state))
        return heads
