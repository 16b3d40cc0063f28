"""Writers of the rows of one projection: for live writes, for the catch-up engine and for the end of a rebuild."""

from collections.abc import Iterable, Mapping, Sequence
from operator import add
from typing import Any, Protocol
from uuid import UUID

from msgspec import Struct
from msgspec.structs import astuple
from psycopg import Connection

from projections import statements
from projections.declaration import CatchUp, EventRows, LedgerEvent, StateRows, Sums
from projections.ledger_events import EventReader
from projections.movements.blocks import Blocks
from projections.movements.project import MOVEMENTS
from projections.statements import Executor


class Writer(Protocol):
    """Writes the rows of a catch-up projection."""

    def apply(self, connection: Connection[Any], events: Sequence[LedgerEvent]) -> None:
        """Apply events to the table, in the caller's transaction. All are of the projection's types.

        Whatever it raises stops the projection.
        """


def writer_of(projection: CatchUp, schema: str, reader: EventReader, suffix: str = "") -> Writer:
    """Make the writer of a projection's table; `reader` looks up charges and plans."""
    if isinstance(projection, Sums):
        return SumsWriter(projection, schema, reader, suffix)
    if projection == MOVEMENTS and not suffix:
        return MovementsWriter(schema)
    return EventRowsWriter(projection, schema, suffix)


class StateRowsWriter:
    """Writes the rows of `StateRows`."""

    def __init__(self, projection: StateRows, schema: str, suffix: str = "") -> None:
        self.projection = projection
        self._upsert = statements.upsert(projection, schema, suffix)

    def write(self, executor: Executor, rows: Mapping[UUID, Struct]) -> None:
        """Insert or replace rows, given by the ids of their streams. Raises psycopg.Error."""
        self._upsert.run(executor, list(rows), list(rows.values()))


class EventRowsWriter:
    """Writes the rows of `EventRows`."""

    def __init__(self, projection: EventRows[Any], schema: str, suffix: str = "") -> None:
        self.projection = projection
        self._insert = statements.insert(projection, schema, suffix)
        self._changes = {kind: statements.change(projection, kind, schema, suffix) for kind in projection.changes}

    def apply(self, connection: Connection[Any], events: Sequence[LedgerEvent]) -> None:
        """Apply events. Raises psycopg.Error, and what `project` raises."""
        project = self.projection.project
        self.write(connection, [(each.stream_id, row) for each in events if (row := project(each)) is not None])

    def write(self, executor: Executor, rows: Iterable[tuple[UUID, Struct]]) -> None:
        """Insert new rows, then apply changes; each comes with its stream's id. Raises psycopg.Error."""
        ids: list[UUID] = []
        new: list[Struct] = []
        new_kind = self.projection.row
        changes: dict[type[Struct], dict[Any, tuple[UUID, Struct]]] = {}
        for id, row in rows:
            if type(row) is new_kind:
                ids.append(id)
                new.append(row)
            else:
                key = id, *(getattr(row, name) for name in self.projection.key)
                changes.setdefault(type(row), {})[key] = id, row  # a later change replaces an earlier one
        if new:
            self._insert.run(executor, ids, new)
        for kind, changed in changes.items():
            changed_ids, changed_rows = zip(*changed.values(), strict=True)
            self._changes[kind].run(executor, changed_ids, changed_rows)


class MovementsWriter(EventRowsWriter):
    """Writes movements in use, and the block that they complete."""

    def __init__(self, schema: str) -> None:
        super().__init__(MOVEMENTS, schema)
        self._blocks = Blocks(schema)

    def apply(self, connection: Connection[Any], events: Sequence[LedgerEvent]) -> None:
        """Apply events. Raises psycopg.Error."""
        super().apply(connection, events)
        self._blocks.fill(connection)


class SumsWriter:
    """Writes the rows of `Sums`; `reader` looks up the charges that are reversed, and plans."""

    def __init__(self, projection: Sums, schema: str, reader: EventReader, suffix: str = "") -> None:
        self.projection = projection
        self._reader = reader
        self._add = statements.add(projection, schema, suffix)

    def apply(self, connection: Connection[Any], events: Sequence[LedgerEvent]) -> None:
        """Apply events. Raises psycopg.Error, LookupError for a missing charge or plan, and what `project` raises."""
        totals = Totals(self.projection)
        for each in self._reader.with_context(connection, events):
            totals.add(each)
        if totals:
            rows = [self.projection.row(*key[1:], *sums) for key, sums in totals.items()]
            self._add.run(connection, [UUID(bytes=key[0]) for key in totals], rows)


class Totals(dict[tuple[Any, ...], tuple[int, ...]]):
    """Sums by key: the stream's id as bytes, then the columns of `key`."""

    def __init__(self, projection: Sums) -> None:
        super().__init__()
        self._project, self._length = projection.project, len(projection.key)

    def add(self, each: LedgerEvent) -> None:
        """Add what an event contributes. It is of one of the projection's types."""
        row = astuple(self._project(each))
        key, sums = (each.stream, *row[: self._length]), row[self._length :]
        before = self.get(key)
        self[key] = sums if before is None else tuple(map(add, before, sums))
