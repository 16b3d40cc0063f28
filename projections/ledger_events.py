"""Reads events in the order of the ledger.

Decoding stored JSON is the ledger's business, so the reader takes a function for it.
"""

from collections.abc import Callable, Sequence
from datetime import datetime
from typing import Any
from uuid import UUID

from msgspec import Struct
from msgspec.structs import replace
from psycopg import Connection

from projections.charges.project import CHARGES
from projections.declaration import LedgerEvent
from services.postgres.arrays import Texts, Uuids
from services.postgres.sql import load_queries
from services.subscription.events import ChargeReversed

Decode = Callable[[str, bytes], Any]
"""Decodes an event from its topic and its stored JSON. Raises ValueError for what cannot be read."""

MAX_POSITION = 2**63 - 1
"""The highest position there can be: as a bound, it includes every event."""


class StoredRow(Struct, frozen=True):
    """A row of the events table, not yet decoded; `stream` is the stream's id as bytes."""

    position: int
    stream: bytes
    version: int
    recorded_at: datetime
    topic: str
    state: bytes

    def __str__(self) -> str:
        return f"event {self.position} ({self.topic}, version {self.version} of {UUID(bytes=self.stream)})"


class BadEvent(ValueError):
    """An event cannot be read, or does not follow the events before it in its stream. The message names it."""


class MissingEvent(RuntimeError):
    """A position between two events is empty, which the write path excludes. `tallystick verify` says more."""


class EventReader:
    """Reads the events of one schema. `suffix` ends the name of the charges table to look in, for a rebuild's."""

    def __init__(self, schema: str, decode: Decode, suffix: str = "") -> None:
        self._queries = load_queries(__file__, "ledger_events.sql", schema=schema)
        charges = f"{CHARGES.table}{suffix}"
        self._select_charges = self._queries["select_charges"].replace(b"{charges}", charges.encode())
        self._decode = decode

    def last_position(self, connection: Connection[Any]) -> int:
        """Read the position of the last committed event; 0 on an empty ledger."""
        row = connection.execute(self._queries["last_position"]).fetchone()
        assert row is not None, "a migration put the head row there"
        return int(row[0])

    def rows(
        self, connection: Connection[Any], *, after: int, until: int = MAX_POSITION, limit: int | None = None
    ) -> Sequence[StoredRow]:
        """Read the rows after a position, in order and without a gap. Raises MissingEvent."""
        arguments = {"after": after, "until": until, "limit": limit}
        rows = [StoredRow(*row) for row in connection.execute(self._queries["select_events"], arguments)]
        for position, row in enumerate(rows, start=after + 1):
            if row.position != position:
                raise MissingEvent(f"there is no event {position}, but there is {row}")
        return rows

    def decode(self, row: StoredRow) -> LedgerEvent:
        """Decode a row. Raises BadEvent."""
        try:
            event = self._decode(row.topic, row.state)
        except ValueError as error:
            raise BadEvent(f"{row}: {error}") from error
        return LedgerEvent(row.position, row.stream, row.version, row.recorded_at, event)

    def with_charges(self, connection: Connection[Any], events: Sequence[LedgerEvent]) -> Sequence[LedgerEvent]:
        """Look up the charge of each reversal among the events. Raises LookupError where there is none."""
        reversals = [each for each in events if isinstance(each.event, ChargeReversed)]
        if not reversals:
            return events
        query = {
            "ids": Uuids([each.stream_id for each in reversals]),
            "generation_ids": Texts([each.event.generation_id for each in reversals]),
        }
        rows = connection.execute(self._select_charges, query)
        charges = {(stream, generation_id): self._decode(topic, state) for stream, generation_id, topic, state in rows}
        return [_with_charge(each, charges) if isinstance(each.event, ChargeReversed) else each for each in events]


def _with_charge(reversal: LedgerEvent, charges: dict[tuple[bytes, str], Any]) -> LedgerEvent:
    generation_id = reversal.event.generation_id
    charge = charges.get((reversal.stream, generation_id))
    if charge is None:
        raise LookupError(f"event {reversal.position} reverses the charge of {generation_id}, which does not exist")
    return replace(reversal, reversed_charge=charge)
