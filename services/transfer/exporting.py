"""Writes a ledger as NDJSON, exact to the byte, in one snapshot while writes go on."""

from collections import Counter
from collections.abc import Iterator
from datetime import datetime
from hashlib import sha256
from typing import Any, BinaryIO

from psycopg import Connection

from services.ledger.hashing import event_hash
from services.ledger.mapper import UnreadableEvent
from services.postgres.sql import load_queries
from services.process.progress import ReportProgress
from services.transfer.lines import (
    FORM,
    End,
    EventLine,
    Header,
    Line,
    RefusalLine,
    TestClockLine,
    encode_line,
)

ROWS_A_FETCH = 2_000
REPORT_EVENTS = 1_000


class NoSuchPosition(ValueError):
    """The ledger does not go as far as that position."""


class Export:
    """The export of one schema."""

    def __init__(self, schema: str) -> None:
        self._queries = load_queries(__file__, "transfer.sql", schema=schema)

    def write(
        self, connection: Connection[Any], file: BinaryIO, exported_at: datetime, report: ReportProgress, after: int = 0
    ) -> End:
        """Write the events after a position, in one transaction of an autocommit connection, and return the last line.

        Raises NoSuchPosition, UnreadableEvent for an event that is not text, and psycopg.Error.
        """
        digest = sha256()
        counts: Counter[type[Line]] = Counter()

        def put(line: Line) -> None:
            text = encode_line(line)
            digest.update(text)
            file.write(text)

        with connection.transaction():
            connection.execute(self._queries["begin_export"])
            (total,) = connection.execute(self._queries["last_position"]).fetchone() or (0,)
            if after > total:
                raise NoSuchPosition(f"the last event is {total}: there is nothing after {after}")
            put(Header(FORM, exported_at, total - after, after))
            for line in self._lines(connection, after):
                put(line)
                counts[type(line)] += 1
                if isinstance(line, EventLine) and line.position % REPORT_EVENTS == 0:
                    report("Writing events", line.position, total)
        end = End(
            test_clocks=counts[TestClockLine],
            events=counts[EventLine],
            refusals=counts[RefusalLine],
            sha256=digest.hexdigest(),
        )
        file.write(encode_line(end))
        return end

    def _lines(self, connection: Connection[Any], after: int) -> Iterator[TestClockLine | EventLine | RefusalLine]:
        for row in self._scan(connection, "scan_test_clocks"):
            yield TestClockLine(*row)
        for row in self._scan(connection, "scan_events", after):
            yield _event_line(*row)
        for row in self._scan(connection, "scan_refusals"):
            yield RefusalLine(*row)

    def _scan(self, connection: Connection[Any], query: str, after: int = 0) -> Iterator[Any]:
        with connection.cursor(query) as cursor:
            cursor.itersize = ROWS_A_FETCH
            yield from cursor.execute(self._queries[query], {"after": after})


def _event_line(
    position: int, stream_id: Any, version: int, recorded_at: datetime, topic: str, previous_hash: bytes, state: bytes
) -> EventLine:
    try:
        text = state.decode()
    except UnicodeDecodeError:
        raise UnreadableEvent(f"event {position} is not text; `tallystick verify` says more") from None
    own_hash = event_hash(stream_id, version, recorded_at, previous_hash, topic, state)
    return EventLine(position, stream_id, version, recorded_at, topic, previous_hash.hex(), own_hash.hex(), text)
