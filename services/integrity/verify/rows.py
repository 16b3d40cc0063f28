"""Checks the read models row by row, beside the streams that they come from.

Streams and rows are both read in the order of stream ids, so a check holds the rows of one stream at a time.
"""

from collections.abc import Callable, Collection, Iterator, Mapping, Sequence
from typing import Any
from uuid import UUID

import msgspec
from msgspec import Struct
from msgspec.structs import astuple
from psycopg import sql

from projections.declaration import MAX_POSITION, SUBSCRIPTION_EVENTS, Column, LedgerEvent, Projection, StateRows
from projections.renewal.project import RENEWAL, read_state
from services.integrity.findings import BEHIND_EVENTS, Findings
from services.integrity.verify.stored_columns import date_bytes, instant_bytes
from services.ledger.mapper import encode_head
from services.ledger.records import StreamHead

EXCERPT_CHARACTERS = 200
_TO_BYTES: Mapping[str, Callable[[Any], bytes]] = {
    "uuid": lambda id: bytes(id.bytes),
    "timestamptz": instant_bytes,
    "date": date_bytes,
}
"""The types that a scan reads as bytes, each with the function that encodes a value."""


class Stream(Struct):
    """A stream up to the event that was read last."""

    id: bytes
    version: int = 0
    position: int = 0
    recorded_at: bytes = b""
    hash: bytes = b""
    state: Any = None
    """The folded state of a subscription or of a dispute; None before the first event."""
    changed_version: int = 0
    """The last version that changed more than counters."""
    is_broken: bool = False
    """Whether an event could not be folded, so that the rows cannot be checked."""
    is_subscription: bool = False


class Rows:
    """Reads the rows of a table in the order of their streams; each begins with its stream's id, as bytes."""

    def __init__(self, table: str, rows: Iterator[Any], findings: Findings) -> None:
        self.table = table
        self._rows = rows
        self._findings = findings
        self.next: Any = next(rows, None)

    def advance(self) -> Any:
        """Return the next row and go on to the one after it."""
        row, self.next = self.next, next(self._rows, None)
        return row

    def of(self, stream_id: bytes) -> list[Any]:
        """Return the rows of a stream. Rows of earlier streams that are left are findings."""
        self.skip_to(stream_id)
        rows = []
        while self.next is not None and self.next[0] == stream_id:
            rows.append(self.advance())
        return rows

    def skip_to(self, stream_id: bytes | None) -> None:
        """Add a finding for every row before a stream, or for every row (None): no event is behind it."""
        while self.next is not None and (stream_id is None or self.next[0] < stream_id):
            self.add_surplus(self.advance())

    def add_surplus(self, row: Any) -> None:
        """Add a finding for a row that no event is behind."""
        key = " ".join([str(value) for value in row[1:] if isinstance(value, int | str)][:2])
        self._findings.add(MAX_POSITION, f"{self.table} row of {UUID(bytes=row[0])} ({key})", "no event is behind it")

    def compare(
        self, stream: Stream, columns: Sequence[str], row: Sequence[Any] | None, expected: Sequence[Any]
    ) -> None:
        """Add a finding for each column in which a row differs from the expected one, both without the stream's id."""
        subject = f"{self.table} row of {UUID(bytes=stream.id)}, at its event {stream.position}"
        place = BEHIND_EVENTS + stream.position
        if row is None:
            self._findings.add(place, subject, "not there")
            return
        for column, value, right in zip(columns, row, expected, strict=True):
            if value != right:
                self._findings.add(place, subject, f"{column} is {_excerpt(value)}, not {_excerpt(right)}")


class EventsCheck:
    """Checks something beside the streams, as their events are read."""

    event_types: Collection[type] = ()
    """The types of the events that `take` is called with."""

    def begin(self, stream: Stream) -> None:
        """Begin a stream, none of whose events was read yet."""

    def take(self, stream: Stream, event: LedgerEvent, row: Sequence[Any]) -> None:
        """Take an event that was folded into the stream; `row` is its stored row."""

    def end(self, stream: Stream) -> None:
        """End a stream, all of whose events were read."""

    def finish(self) -> None:
        """Finish, after the last stream."""


class RowsCheck(EventsCheck):
    """Checks the rows of one table. A row that no stream accounts for is a finding."""

    def __init__(self, rows: Rows) -> None:
        self._rows = rows

    def begin(self, stream: Stream) -> None:
        """Begin a stream: rows before it have none."""
        self._rows.skip_to(stream.id)

    def end(self, stream: Stream) -> None:
        """End a stream: rows of it that are left have no event."""
        for row in self._rows.of(stream.id):
            if not stream.is_broken:
                self._rows.add_surplus(row)

    def finish(self) -> None:
        """Finish, after the last stream."""
        self._rows.skip_to(None)


class StateRowsCheck(RowsCheck):
    """Checks that each subscription has one row, made from its state at its last event."""

    def __init__(self, projection: StateRows, rows: Rows) -> None:
        super().__init__(rows)
        self._projection = projection
        self._names = [column.name for column in projection.columns[1:]]
        self._row: Any = None

    def begin(self, stream: Stream) -> None:
        """Read the row of the stream."""
        rows = self._rows.of(stream.id)
        self._row = rows[0] if rows else None

    def end(self, stream: Stream) -> None:
        """Compare the row with the one that the state makes."""
        if stream.is_broken:
            return
        if not stream.is_subscription:
            if self._row:
                self._rows.add_surplus(self._row)
            return
        expected = as_scanned(self._projection.columns[1:], astuple(self.expected(stream)))
        self._rows.compare(stream, self._names, self._row[1:] if self._row else None, expected)

    def expected(self, stream: Stream) -> Struct:
        """The row that the stream's state makes."""
        return self._projection.project(stream.state, stream.position)


class RenewalCheck(StateRowsCheck):
    """Checks that each subscription has one row, made from its state at its last change or some charges after it."""

    event_types = SUBSCRIPTION_EVENTS

    def __init__(self, rows: Rows) -> None:
        super().__init__(RENEWAL, rows)
        self._version = 0
        self._row_then: Struct | None = None
        """The row that the state at the stored row's version makes."""

    def begin(self, stream: Stream) -> None:
        """Read the row of the stream, and from it the version at which it was written."""
        super().begin(stream)
        self._row_then, self._version = None, 0
        try:
            self._version = read_state(self._row[-1]).version if self._row else 0
        except (msgspec.MsgspecError, UnicodeDecodeError):
            self._version = -1

    def take(self, stream: Stream, event: LedgerEvent, row: Sequence[Any]) -> None:
        """Make the row of the version at which the stored one was written."""
        if stream.version == self._version:
            self._row_then = super().expected(stream)

    def expected(self, stream: Stream) -> Struct:
        """The row of that version, unless a later event should have changed it."""
        if self._row_then is None or self._version < stream.changed_version:
            return super().expected(stream)
        return self._row_then


class SnapshotsCheck(RowsCheck):
    """Checks that each snapshot is the head of its stream at its version, since the service decides on it."""

    event_types = SUBSCRIPTION_EVENTS

    def take(self, stream: Stream, event: LedgerEvent, row: Sequence[Any]) -> None:
        """Compare the snapshot of this version, if there is one."""
        snapshot = self._rows.next
        if snapshot is None or snapshot[1] != stream.version or snapshot[0] != stream.id:
            return
        self._rows.advance()
        head = StreamHead(event.stream_id, stream.state, stream.hash, event.recorded_at)
        expected = stream.version, encode_head(head)
        self._rows.compare(stream, ("originator_version", "state"), snapshot[1:], expected)


def scan_of(projection: Projection, schema: str, *order: str) -> bytes:
    """The statement that reads the rows of a range of streams as bytes and numbers, in the order of streams."""
    columns = projection.all_columns
    selected = sql.SQL(", ").join(
        sql.SQL(f"{column.type}_send({{}})" if column.type in _TO_BYTES else "{}").format(sql.Identifier(column.name))
        for column in columns
    )
    statement = sql.SQL("SELECT {} FROM {} WHERE {} BETWEEN %(first)s AND %(last)s ORDER BY {}").format(
        selected,
        sql.Identifier(schema, projection.table),
        sql.Identifier(projection.stream),
        sql.SQL(", ").join(map(sql.Identifier, (projection.stream, *order))),
    )
    return statement.as_bytes(None)


def as_scanned(columns: Sequence[Column], values: Sequence[Any]) -> list[Any]:
    """The values of columns in the form in which `scan_of` reads them."""
    return [
        value if value is None or column.type not in _TO_BYTES else _TO_BYTES[column.type](value)
        for column, value in zip(columns, values, strict=True)
    ]


def _excerpt(value: object) -> str:
    """The beginning of a value; bytes that are text as text."""
    text = value.decode("utf-8", "backslashreplace") if isinstance(value, bytes) else str(value)
    return text if len(text) <= EXCERPT_CHARACTERS else f"{text[:EXCERPT_CHARACTERS]}..."
