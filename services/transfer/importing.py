"""Reads a ledger from NDJSON into an empty schema, or goes on where another import ended: all, checked, or nothing.

One transaction inserts the events as they are, folds the inline read models from them, anew where it goes on, and
verifies the whole before it commits. The other projections catch up by themselves. The states of all streams are in
memory meanwhile: about a gigabyte for a million subscriptions.
"""

from collections.abc import Sequence
from hashlib import sha256
from typing import Any, BinaryIO, assert_never

import msgspec
import psycopg
from msgspec.structs import asdict
from psycopg import Connection, sql

from projections.declaration import LedgerEvent
from projections.ledger_events import StoredRow
from projections.rebuilding.targets import handlers_of, targets_of
from projections.registry import INLINE, INLINE_ROWS, PROJECTIONS
from projections.writers import EventRowsWriter
from services.integrity.verify.trust import Trust
from services.integrity.verify.verification import Verification
from services.ledger.hashing import event_hash
from services.ledger.mapper import decode_event
from services.postgres.sql import load_queries
from services.process.progress import ReportProgress
from services.transfer.lines import (
    FORM,
    End,
    EventLine,
    Header,
    NotAnExport,
    RefusalLine,
    TestClockLine,
    decode_line,
)

CHUNK_EVENTS = 5_000
_EVENT_TYPES = "int8 int8 timestamptz uuid text bytea bytea".split()


class NotEmpty(RuntimeError):
    """The schema has a ledger already."""


class NotNext(RuntimeError):
    """What is to be imported does not go on where the ledger ends."""


class DoesNotHold(RuntimeError):
    """What was read is not a sound ledger; nothing of it was stored."""


class Import:
    """One import into one schema, by a call of `read`."""

    def __init__(self, connection: Connection[Any], schema: str, report: ReportProgress) -> None:
        self._connection = connection
        self._schema = schema
        self._report = report
        self._queries = load_queries(__file__, "transfer.sql", schema=schema)
        tables = [sql.SQL("SELECT FROM {}").format(sql.Identifier(schema, each.table)) for each in PROJECTIONS]
        rows = sql.SQL(" UNION ALL ").join(tables).as_bytes(None)
        self._is_empty = self._queries["is_empty"].replace(b"{select_rows}", rows)
        self._targets = targets_of(INLINE, connection, schema)
        self._handlers = handlers_of(self._targets)
        self._writers = {each.table: EventRowsWriter(each, schema) for each in INLINE_ROWS}
        self._events: list[EventLine] = []
        self._counts = dict.fromkeys((TestClockLine, EventLine, RefusalLine), 0)
        self._total = self._after = self._last = 0

    def read(self, file: BinaryIO) -> End:
        """Import a file in one transaction of an autocommit connection, and return its last line.

        Raises NotEmpty, NotNext, NotAnExport, DoesNotHold, psycopg.Error.
        """
        with self._connection.transaction():
            (self._last,) = self._connection.execute(self._queries["begin_import"]).fetchone() or (0,)
            try:
                end = self._read_lines(file)
                self._finish()
            except (psycopg.IntegrityError, psycopg.DataError) as error:
                raise DoesNotHold(f"what was read does not hold, and was not kept. {error}") from None
            verified = Verification(self._schema, Trust(), self._report).check(self._connection)
            if not verified.holds:
                raise DoesNotHold(f"what was read does not hold, and was not kept. {verified.findings[0]}")
            return end

    def _read_lines(self, file: BinaryIO) -> End:
        digest = sha256()
        number = 0
        for number, text in enumerate(file, start=1):
            line = decode_line(text, number)
            if isinstance(line, End):
                self._check_end(line, digest.hexdigest(), number)
                if file.read(1):
                    raise NotAnExport(f"line {number + 1}: something comes after the end")
                return line
            if isinstance(line, Header) != (number == 1):
                raise NotAnExport(f"line {number}: the first line, and no other, is the header")
            digest.update(text)
            self._take(line, number)
        raise NotAnExport(f"the end is missing: the file was cut behind line {number}")

    def _take(self, line: Header | TestClockLine | EventLine | RefusalLine, number: int) -> None:
        match line:
            case Header():
                if line.form != FORM:
                    raise NotAnExport(f"form {line.form}, and this program reads form {FORM}")
                self._total = line.events
                self._begin(line.after)
                return
            case EventLine():
                self._take_event(line, number)
            case TestClockLine() | RefusalLine():
                self._connection.execute(self._queries[f"insert_{line.__struct_config__.tag}"], asdict(line))
            case _:
                assert_never(line)
        self._counts[type(line)] += 1

    def _begin(self, after: int) -> None:
        """Make sure that the file fits the schema, and fold what is in it already."""
        self._after = after
        if after == 0:
            (is_empty,) = self._connection.execute(self._is_empty).fetchone() or (False,)
            if not is_empty:
                raise NotEmpty(f"there is a ledger in the schema {self._schema} already: import into an empty one")
            return
        if after != self._last:
            raise NotNext(f"the file goes on after event {after}, and the last one here is {self._last}")
        for each in INLINE:
            self._connection.execute(sql.SQL("DELETE FROM {}").format(sql.Identifier(self._schema, each.table)))
        with self._connection.cursor("stored") as cursor:
            cursor.itersize = CHUNK_EVENTS
            cursor.execute(self._queries["scan_stored"])
            while rows := cursor.fetchmany(CHUNK_EVENTS):
                self._fold([StoredRow(*row) for row in rows])

    def _take_event(self, line: EventLine, number: int) -> None:
        expected = self._after + self._counts[EventLine] + 1
        if line.position != expected:
            raise NotAnExport(f"line {number}: event {line.position} where {expected} comes next")
        own_hash = event_hash(
            *(line.stream_id, line.version, line.recorded_at, bytes.fromhex(line.previous_hash)),
            *(line.type, line.state.encode()),
        )
        if own_hash.hex() != line.hash:
            raise NotAnExport(f"line {number}: event {line.position} does not have the hash that it comes with")
        self._events.append(line)
        if len(self._events) == CHUNK_EVENTS:
            self._write_events()

    def _write_events(self) -> None:
        with self._connection.cursor().copy(self._queries["copy_events"]) as copy:
            copy.set_types(_EVENT_TYPES)
            for line in self._events:
                place = line.position, line.version, line.recorded_at, line.stream_id
                copy.write_row((*place, line.type, bytes.fromhex(line.previous_hash), line.state.encode()))
        self._fold([_row_of(line) for line in self._events])
        self._report("Reading events", self._counts[EventLine], self._total)
        self._events = []

    def _fold(self, rows: Sequence[StoredRow]) -> None:
        if not rows:
            return
        try:
            for row in rows:
                each = LedgerEvent(
                    row.position, row.stream, row.version, row.recorded_at, decode_event(row.topic, row.state)
                )
                for handle in self._handlers.get(row.topic, ()):
                    handle(each)
        except (ValueError, msgspec.MsgspecError) as error:
            raise DoesNotHold(f"events {rows[0].position} to {rows[-1].position}: {error}") from None
        for target in self._targets:
            target.flush()

    def _finish(self) -> None:
        self._write_events()
        for target in self._targets:
            target.finish()
            if target.deferred:
                self._writers[target.table].apply(self._connection, target.deferred)
        self._connection.execute(self._queries["move_head"], {"last": self._after + self._counts[EventLine]})
        self._connection.execute(self._queries["analyze_events"])

    def _check_end(self, end: End, digest: str, number: int) -> None:
        if (end.test_clocks, end.events, end.refusals) != (*self._counts.values(),):
            raise NotAnExport(f"line {number}: the end counts other lines than there are")
        if end.sha256 != digest:
            raise NotAnExport(f"line {number}: the lines before it are not those that it was written for")


def _row_of(line: EventLine) -> StoredRow:
    state = line.state.encode()
    return StoredRow(line.position, line.stream_id.bytes, line.version, line.recorded_at, line.type, state)
