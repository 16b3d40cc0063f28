"""Writes what events make of the rows of one projection: live, catching up, and at the end of a rebuild."""

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
from projections.statements import Executor


class Writer(Protocol):
    """Writes the rows of a projection that catches up."""

    def apply(self, connection: Connection[Any], events: Sequence[LedgerEvent]) -> None:
        """Write what events change, all of types that the projection takes, in the caller's transaction.

        Whatever it raises stops the projection.
        """


def writer_of(projection: CatchUp, schema: str, reader: EventReader, suffix: str = "") -> Writer:
    """The writer of a projection's table, or of the one whose name ends in `suffix`."""
    if isinstance(projection, Sums):
        return SumsWriter(projection, schema, reader, suffix)
    return EventRowsWriter(projection, schema, suffix)


class StateRowsWriter:
    """Writes rows that are made from states."""

    def __init__(self, projection: StateRows, schema: str, suffix: str = "") -> None:
        self.projection = projection
        self._upsert = statements.upsert(projection, schema, suffix)

    def write(self, executor: Executor, rows: Mapping[UUID, Struct]) -> None:
        """Put rows in place, by the ids of their streams. Raises psycopg.Error."""
        self._upsert.run(executor, list(rows), list(rows.values()))


class EventRowsWriter:
    """Writes rows that are made from single events."""

    def __init__(self, projection: EventRows[Any], schema: str, suffix: str = "") -> None:
        self.projection = projection
        self._insert = statements.insert(projection, schema, suffix)
        self._changes = {kind: statements.change(projection, kind, schema, suffix) for kind in projection.changes}

    def apply(self, connection: Connection[Any], events: Sequence[LedgerEvent]) -> None:
        """Write what events change. Raises psycopg.Error, and what `project` raises."""
        project = self.projection.project
        self.write(connection, [(each.stream_id, row) for each in events if (row := project(each)) is not None])

    def write(self, executor: Executor, rows: Iterable[tuple[UUID, Struct]]) -> None:
        """Insert new rows, then change what is there; each comes with its stream's id. Raises psycopg.Error."""
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
                changes.setdefault(type(row), {})[key] = id, row  # the last change of a row is how it ends
        if new:
            self._insert.run(executor, ids, new)
        for kind, changed in changes.items():
            changed_ids, changed_rows = zip(*changed.values(), strict=True)
            self._changes[kind].run(executor, changed_ids, changed_rows)


class SumsWriter:
    """Writes rows that add up what events say; `reader` finds the charges that are given back."""

    def __init__(self, projection: Sums, schema: str, reader: EventReader, suffix: str = "") -> None:
        self.projection = projection
        self._reader = reader
        self._add = statements.add(projection, schema, suffix)

    def apply(self, connection: Connection[Any], events: Sequence[LedgerEvent]) -> None:
        """Add what events add. Raises psycopg.Error, LookupError for a reversal of no charge, what `project` raises."""
        totals = Totals(self.projection)
        for each in self._reader.with_charges(connection, events):
            totals.add(each)
        if totals:
            rows = [self.projection.row(*key[1:], *sums) for key, sums in totals.items()]
            self._add.run(connection, [UUID(bytes=key[0]) for key in totals], rows)


class Totals(dict[tuple[Any, ...], tuple[int, ...]]):
    """What events add to each row of sums, by the stream's id as bytes and the other columns of the key."""

    def __init__(self, projection: Sums) -> None:
        super().__init__()
        self._project, self._length = projection.project, len(projection.key)

    def add(self, each: LedgerEvent) -> None:
        """Add what an event adds, which is of a type that the projection takes."""
        row = astuple(self._project(each))
        key, sums = (each.stream, *row[: self._length]), row[self._length :]
        before = self.get(key)
        self[key] = sums if before is None else tuple(map(add, before, sums))
