"""The check of the read models, row by row, beside the streams that they come from.

Streams and rows both go by in the order of stream ids, so a check keeps the rows of one stream at a time.
"""

from collections.abc import Callable, Collection, Iterator, Mapping, Sequence
from typing import Any, Protocol
from uuid import UUID

import msgspec
from msgspec import Struct
from msgspec.structs import astuple
from psycopg import sql

from projections.declaration import SUBSCRIPTION_EVENTS, Column, LedgerEvent, Projection, StateRows
from projections.renewal.project import RENEWAL, state_of
from services.integrity.findings import BEHIND_EVENTS, END_OF_LEDGER, Findings
from services.ledger.mapper import encode_head
from services.ledger.records import StreamHead
from services.ledger.stored_columns import sent_date, sent_instant

SHOWN_CHARACTERS = 200
_SENT: Mapping[str, Callable[[Any], bytes | None]] = {
    "uuid": lambda id: bytes(id.bytes),
    "timestamptz": sent_instant,
    "date": sent_date,
}
"""By type, a value as `scan` reads it, where that is not the value itself."""


class Stream(Struct):
    """The stream that is going by, as far as it has."""

    id: bytes
    version: int = 0
    position: int = 0
    recorded_at: bytes = b""
    hash: bytes = b""
    state: Any = None
    """The folded state: a subscription's, a dispute's, or None."""
    changed_version: int = 0
    """The last version that moved more than counters."""
    is_broken: bool = False
    """Whether an event could not be folded, so that nothing can be said of the rows."""
    is_subscription: bool = False


class RowsCheck(Protocol):
    """Checks the rows of one table."""

    @property
    def wants(self) -> Collection[type]:
        """The types of the events that it takes."""

    def begin(self, stream: Stream) -> None:
        """A stream begins."""

    def take(self, stream: Stream, event: LedgerEvent, row: Sequence[Any]) -> None:
        """An event was folded into the stream; `row` is where it comes from."""

    def end(self, stream: Stream) -> None:
        """The stream ends."""

    def finish(self) -> None:
        """No stream is left."""


class Rows:
    """The rows of a table in the order of their streams; each begins with its stream's id, as bytes."""

    def __init__(self, table: str, rows: Iterator[Any], findings: Findings) -> None:
        self.table = table
        self._rows = rows
        self._findings = findings
        self.next: Any = next(rows, None)

    def advance(self) -> Any:
        """The next row, which is behind then."""
        row, self.next = self.next, next(self._rows, None)
        return row

    def of(self, stream_id: bytes) -> list[Any]:
        """The rows of a stream. Those of earlier ones that are left have no events, which is said."""
        self.skip_to(stream_id)
        found = []
        while self.next is not None and self.next[0] == stream_id:
            found.append(self.advance())
        return found

    def skip_to(self, stream_id: bytes | None) -> None:
        """Say of every row before a stream, or of every row, that no event is behind it."""
        while self.next is not None and (stream_id is None or self.next[0] < stream_id):
            self.say_surplus(self.advance())

    def say_surplus(self, row: Any) -> None:
        """Say of a row that no event is behind it."""
        key = " ".join([str(value) for value in row[1:] if isinstance(value, int | str)][:2])
        self._findings.add(END_OF_LEDGER, f"{self.table} row of {UUID(bytes=row[0])} ({key})", "no event is behind it")

    def compare(
        self, stream: Stream, columns: Sequence[str], row: Sequence[Any] | None, expected: Sequence[Any]
    ) -> None:
        """Say where a row differs from what it should be; both without the stream's id."""
        subject = f"{self.table} row of {UUID(bytes=stream.id)}, at its event {stream.position}"
        place = BEHIND_EVENTS + stream.position
        if row is None:
            self._findings.add(place, subject, "not there")
            return
        for column, value, right in zip(columns, row, expected, strict=True):
            if value != right:
                self._findings.add(place, subject, f"{column} is {_shown(value)}, not {_shown(right)}")


class StateRowsCheck:
    """One row a subscription, made from its state at its last event."""

    wants: Collection[type] = ()

    def __init__(self, projection: StateRows, rows: Rows) -> None:
        self._projection = projection
        self._names = [column.name for column in projection.columns[1:]]
        self._rows = rows
        self._row: Any = None

    def begin(self, stream: Stream) -> None:
        """Read the row."""
        rows = self._rows.of(stream.id)
        self._row = rows[0] if rows else None

    def take(self, stream: Stream, event: LedgerEvent, row: Sequence[Any]) -> None:
        """Nothing yet."""

    def end(self, stream: Stream) -> None:
        """Compare."""
        if stream.is_broken:
            return
        if not stream.is_subscription:
            if self._row:
                self._rows.say_surplus(self._row)
            return
        expected = sent(self._projection.columns[1:], astuple(self.expected(stream)))
        self._rows.compare(stream, self._names, self._row[1:] if self._row else None, expected)

    def expected(self, stream: Stream) -> Struct:
        """The row as it should be."""
        return self._projection.project(stream.state, stream.position)

    def finish(self) -> None:
        """Whatever is left belongs to no stream."""
        self._rows.skip_to(None)


class RenewalCheck(StateRowsCheck):
    """One row a subscription: the state at its last change, or some charges after it."""

    wants = SUBSCRIPTION_EVENTS

    def __init__(self, rows: Rows) -> None:
        super().__init__(RENEWAL, rows)
        self._version = 0
        self._written: Struct | None = None

    def begin(self, stream: Stream) -> None:
        """Learn at which version the row was written."""
        super().begin(stream)
        self._written, self._version = None, 0
        try:
            self._version = state_of(self._row[-1]).version if self._row else 0
        except (msgspec.MsgspecError, UnicodeDecodeError):
            self._version = -1

    def take(self, stream: Stream, event: LedgerEvent, row: Sequence[Any]) -> None:
        """Project the row as it must have been written."""
        if stream.version == self._version:
            self._written = super().expected(stream)

    def expected(self, stream: Stream) -> Struct:
        """The row as it was written, unless it should have been written anew since."""
        if self._written is None or self._version < stream.changed_version:
            return super().expected(stream)
        return self._written


class SnapshotsCheck:
    """Snapshots: each the head of its stream at its version, since the service decides on what they say."""

    wants = SUBSCRIPTION_EVENTS

    def __init__(self, rows: Rows) -> None:
        self._rows = rows

    def begin(self, stream: Stream) -> None:
        """Whatever comes before this stream belongs to none."""
        self._rows.skip_to(stream.id)

    def take(self, stream: Stream, event: LedgerEvent, row: Sequence[Any]) -> None:
        """Compare the snapshot of this version, if there is one."""
        kept = self._rows.next
        if kept is None or kept[1] != stream.version or kept[0] != stream.id:
            return
        self._rows.advance()
        head = StreamHead(event.stream_id, stream.state, stream.hash, event.recorded_at)
        self._rows.compare(stream, ("originator_version", "state"), kept[1:], (stream.version, encode_head(head)))

    def end(self, stream: Stream) -> None:
        """Snapshots that are left are of versions that the stream has not."""
        for row in self._rows.of(stream.id):
            if not stream.is_broken:
                self._rows.say_surplus(row)

    def finish(self) -> None:
        """Whatever is left belongs to no stream."""
        self._rows.skip_to(None)


def scan_of(projection: Projection, schema: str, *order: str) -> bytes:
    """The statement that reads the rows of a range of streams, each as bytes and numbers, in the order of streams."""
    columns = projection.all_columns
    sent = sql.SQL(", ").join(
        sql.SQL(f"{column.type}_send({{}})" if column.type in _SENT else "{}").format(sql.Identifier(column.name))
        for column in columns
    )
    statement = sql.SQL("SELECT {} FROM {} WHERE {} BETWEEN %(first)s AND %(last)s ORDER BY {}").format(
        sent,
        sql.Identifier(schema, projection.table),
        sql.Identifier(projection.stream),
        sql.SQL(", ").join(map(sql.Identifier, (projection.stream, *order))),
    )
    return statement.as_bytes(None)


def sent(columns: Sequence[Column], values: Sequence[Any]) -> list[Any]:
    """The values of columns as `scan_of` reads them."""
    return [
        value if value is None or column.type not in _SENT else _SENT[column.type](value)
        for column, value in zip(columns, values, strict=True)
    ]


def _shown(value: object) -> str:
    """A value in few characters; bytes that are text as text."""
    text = value.decode("utf-8", "backslashreplace") if isinstance(value, bytes) else str(value)
    return text if len(text) <= SHOWN_CHARACTERS else f"{text[:SHOWN_CHARACTERS]}..."
