"""Proves that files of books are what the events of a ledger add up to: row by row, from the events themselves.

No read model is trusted for it. That the events are those that were recorded, `tallystick verify` proves.
"""

from collections.abc import Iterator
from itertools import zip_longest
from typing import Any, BinaryIO

from msgspec.structs import asdict
from psycopg import Connection

from projections.ledger_events import EventReader
from projections.movements.project import MOVEMENTS
from projections.movements.queries import Movement
from services.ledger.mapper import decode_event
from services.process.progress import ReportProgress
from services.transfer.books.exporting import books_queries, hash_at
from services.transfer.books.form import Head, NotBooks, Reader
from services.transfer.books.ndjson import NdjsonReader
from services.transfer.books.parquet import MAGIC, ParquetReader
from services.transfer.exporting import NoSuchPosition

_EVENTS_A_PAGE = 5_000
_TOPICS = {kind.__name__ for kind in MOVEMENTS.events}


class DoesNotAgree(RuntimeError):
    """A file says something else than the ledger."""


def reader_of(file: BinaryIO) -> Reader:
    """Open a file of books by its first bytes. Raises NotBooks, NoParquet, OSError."""
    begins_with = file.read(len(MAGIC))
    file.seek(0)
    return ParquetReader(file) if begins_with == MAGIC else NdjsonReader(file)


class Proof:
    """Proves files against the ledger of one schema."""

    def __init__(self, schema: str) -> None:
        self._queries = books_queries(schema)
        self._reader = EventReader(schema, decode_event)

    def check(self, connection: Connection[Any], books: Reader, report: ReportProgress) -> Head:
        """Compare each row with its event, on an autocommit connection. Returns what the file is about.

        Raises DoesNotAgree, NotBooks, BadEvent, MissingEvent, psycopg.Error.
        """
        head = books.head
        if head.after > head.position:
            raise NotBooks(f"it begins after {head.after} and ends at {head.position}")
        try:
            hash_here = hash_at(connection, self._queries, head.position)
        except NoSuchPosition as error:
            raise DoesNotAgree(f"it goes up to event {head.position}, and {error}") from None
        if hash_here != head.hash:
            reason = "the file is of another ledger, or altered"
            raise DoesNotAgree(f"event {head.position} has another hash here: {reason}")
        for row, expected in zip_longest(books.rows(), self._expected(connection, head, report)):
            if row != expected:
                raise DoesNotAgree(_difference(row, expected))
        return head

    def _expected(self, connection: Connection[Any], head: Head, report: ReportProgress) -> Iterator[Movement]:
        """Yield the rows that the events make."""
        position = head.after
        while position < head.position:
            rows = self._reader.rows(connection, after=position, until=head.position, limit=_EVENTS_A_PAGE)
            for stored in rows:
                if stored.topic in _TOPICS and (row := _movement(self._reader, stored)) is not None:
                    yield row
            position = rows[-1].position
            report("Comparing with the events", position - head.after, head.position - head.after)


def _movement(reader: EventReader, stored: Any) -> Movement | None:
    event = reader.decode(stored)
    made = MOVEMENTS.project(event)
    if made is None:
        return None
    return Movement(**asdict(made), subscription_id=event.stream_id)


def _difference(row: Movement | None, expected: Movement | None) -> str:
    if row is None or (expected is not None and row.position > expected.position):
        assert expected is not None
        return f"what event {expected.position} moved is missing"
    if expected is None or row.position < expected.position:
        return f"event {row.position} moved nothing, or comes twice"
    ours = asdict(expected)
    name, value = next((name, value) for name, value in asdict(row).items() if value != ours[name])
    return f"event {row.position}: {name} is {value}, and by the ledger {ours[name]}"
