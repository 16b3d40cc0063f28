"""Reads events as projections see them: what happened, in which stream, at which position of the ledger.

How stored JSON becomes an event is the ledger's business, so the reader is given a function for it.
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
"""From a topic and the stored JSON to the event. Raises ValueError for what cannot be read."""

MAX_POSITION = 2**63 - 1
"""No event comes after it."""


class StoredRow(Struct, frozen=True):
    """One event at its place, not yet decoded; `stream` is the stream's id as bytes."""

    position: int
    stream: bytes
    version: int
    recorded_at: datetime
    topic: str
    state: bytes

    def __str__(self) -> str:
        return f"event {self.position} ({self.topic}, version {self.version} of {UUID(bytes=self.stream)})"


class BadEvent(ValueError):
    """An event cannot be read, or does not follow from those before it in its stream; the message names it."""


class MissingEvent(RuntimeError):
    """A position between two events has none. The ledger's own rules exclude it; `tallystick verify` says more."""


class EventReader:
    """Reads the events of one schema in order; `suffix` is that of the charges table, where it is a rebuild's."""

    def __init__(self, schema: str, decode: Decode, suffix: str = "") -> None:
        self._queries = load_queries(__file__, "ledger_events.sql", schema=schema)
        charges = f"{CHARGES.table}{suffix}"
        self._select_charges = self._queries["select_charges"].replace(b"{charges}", charges.encode())
        self._decode = decode

    def last_position(self, connection: Connection[Any]) -> int:
        """The position of the last event that is committed; 0 on an empty ledger."""
        row = connection.execute(self._queries["last_position"]).fetchone()
        assert row is not None, "a migration put the head row there"
        return int(row[0])

    def rows(
        self, connection: Connection[Any], *, after: int, until: int = MAX_POSITION, limit: int | None = None
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
        return LedgerEvent(row.position, row.stream, row.version, row.recorded_at, event)

    def with_charges(self, connection: Connection[Any], events: Sequence[LedgerEvent]) -> Sequence[LedgerEvent]:
        """The events, each reversal with the charge that it gives back. Raises LookupError where that is not found."""
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
        raise LookupError(f"no charge of {generation_id} is found, which event {reversal.position} gave back")
    return replace(reversal, reversed_charge=charge)
