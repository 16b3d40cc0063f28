"""Events as projections see them: what happened, in which stream, at which position of the ledger.

How stored JSON becomes an event is the ledger's business, so the reader is given a function for it.
"""

from collections.abc import Callable, Collection, Iterator, Sequence
from datetime import datetime
from typing import Any
from uuid import UUID

from msgspec import Struct
from psycopg import Connection

from services.postgres.sql import load_queries

Decode = Callable[[str, bytes], Any]
"""From a topic and the stored JSON to the event. Raises ValueError for what cannot be read."""

NO_END = 2**63 - 1


class LedgerEvent(Struct, frozen=True):
    """One event at its place."""

    position: int
    stream_id: UUID
    version: int
    recorded_at: datetime
    event: Any


class StoredRow(Struct, frozen=True):
    """One event at its place, not yet decoded."""

    position: int
    stream_id: UUID
    version: int
    recorded_at: datetime
    topic: str
    state: bytes

    def __str__(self) -> str:
        return f"event {self.position} ({self.topic}, version {self.version} of {self.stream_id})"


class BadEvent(ValueError):
    """An event cannot be read, or does not follow from those before it in its stream; the message names it."""


class MissingEvent(RuntimeError):
    """A position between two events has none. The ledger's own rules exclude it; `tallystick verify` says more."""


class EventReader:
    """Reads the events of one schema in order."""

    def __init__(self, schema: str, decode: Decode) -> None:
        self._queries = load_queries(__file__, "ledger_events.sql", schema=schema)
        self._decode = decode

    def last_position(self, connection: Connection[Any]) -> int:
        """The position of the last event that is committed; 0 on an empty ledger."""
        row = connection.execute(self._queries["last_position"]).fetchone()
        assert row is not None, "a migration put the head row there"
        return int(row[0])

    def rows(
        self, connection: Connection[Any], *, after: int, until: int = NO_END, limit: int | None = None
    ) -> Sequence[StoredRow]:
        """The rows behind a position, none left out. Raises MissingEvent."""
        arguments = {"after": after, "until": until, "limit": limit}
        rows = [StoredRow(*row) for row in connection.execute(self._queries["select_events"], arguments)]
        for position, row in enumerate(rows, start=after + 1):
            if row.position != position:
                raise MissingEvent(f"there is no event {position}, but there is {row}")
        return rows

    def decode(self, row: StoredRow) -> LedgerEvent:
        """The event of a row. Raises BadEvent."""
        try:
            event = self._decode(row.topic, row.state)
        except ValueError as error:
            raise BadEvent(f"{row}: {error}") from error
        return LedgerEvent(row.position, row.stream_id, row.version, row.recorded_at, event)

    def events_of(
        self, connection: Connection[Any], topics: Collection[str], *, until: int, chunk: int
    ) -> Iterator[tuple[int, Sequence[LedgerEvent]]]:
        """The events of some topics up to a position, a range of positions at a time, each with where it ends.

        Raises BadEvent.
        """
        for after in range(0, until, chunk):
            end = min(after + chunk, until)
            bounds = {"after": after, "until": end, "topics": list(topics)}
            rows = connection.execute(self._queries["select_events_of_topics"], bounds)
            yield end, [self.decode(StoredRow(*row)) for row in rows]
