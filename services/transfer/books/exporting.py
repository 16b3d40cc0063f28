"""Writes the movements after a position, up to where the projector has come, in one snapshot while writes go on."""

from datetime import datetime
from typing import Any

from psycopg import Connection

from projections.movements.queries import MovementQueries
from services.ledger.hashing import NO_HASH, event_hash
from services.postgres.sql import Queries, load_queries
from services.process.progress import ReportProgress
from services.transfer.books.form import FORM, End, Head, Writer
from services.transfer.exporting import NoSuchPosition

_REPORT_ROWS = 5_000


def books_queries(schema: str) -> Queries:
    """Load the queries of books."""
    return load_queries(__file__, "books.sql", schema=schema)


def hash_at(connection: Connection[Any], queries: Queries, position: int) -> str:
    """Compute the hash of the event at a position; of no event at 0. Raises NoSuchPosition, psycopg.Error."""
    if position == 0:
        return NO_HASH.hex()
    row = connection.execute(queries["select_event"], {"position": position}).fetchone()
    if row is None:
        raise NoSuchPosition(f"the ledger has no event {position}")
    return event_hash(*row).hex()


class BooksExport:
    """The export of the books of one schema."""

    def __init__(self, schema: str) -> None:
        self._queries = books_queries(schema)
        self._movements = MovementQueries(schema)

    def write(
        self, connection: Connection[Any], writer: Writer, exported_at: datetime, report: ReportProgress, after: int
    ) -> tuple[Head, End]:
        """Write the movements after a position, in one transaction of an autocommit connection.

        Raises NoSuchPosition, psycopg.Error, OSError.
        """
        with connection.transaction():
            connection.execute(self._queries["begin"])
            position, last = self._movements.reached(connection)
            if after > position:
                behind = f", of {last} in the ledger: is a projector running?" if position < last else ""
                raise NoSuchPosition(f"the books go up to event {position}{behind}; there is nothing after {after}")
            head = Head(FORM, exported_at, after, position, hash_at(connection, self._queries, position))
            writer.begin(head)
            for row in self._movements.rows(connection, after=after, until=position):
                writer.add(row)
                if row.position % _REPORT_ROWS == 0:
                    report("Writing movements", row.position - after, position - after)
            return head, writer.end()
