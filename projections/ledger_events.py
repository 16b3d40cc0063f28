"""Reads events in the order of the ledger.

Decoding stored JSON is the ledger's business, so the reader takes a function for it.
"""

from collections.abc import Callable, Mapping, Sequence
from datetime import datetime
from typing import Any
from uuid import UUID

from msgspec import Struct
from msgspec.structs import replace
from psycopg import Connection

from projections.charges.project import CHARGES
from projections.cycles.project import CYCLES
from projections.cycles.queries import PlanQueries
from projections.declaration import MAX_POSITION, LedgerEvent
from services.postgres.arrays import Texts, Uuids
from services.postgres.sql import load_queries
from services.subscription.events import ChargeReversed, GenerationCharged

Decode = Callable[[str, bytes], Any]
"""Decodes an event from its topic and its stored JSON. Raises ValueError for what cannot be read."""


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
    """Reads the events of one schema. `suffixes` end the names of tables to look in, for those of a rebuild."""

    def __init__(self, schema: str, decode: Decode, suffixes: Mapping[str, str] | None = None) -> None:
        self._queries = load_queries(__file__, "ledger_events.sql", schema=schema)
        suffixes = suffixes or {}
        charges = f"{CHARGES.table}{suffixes.get(CHARGES.table, '')}"
        self._select_charges = self._queries["select_charges"].replace(b"{charges}", charges.encode())
        self._plans = PlanQueries(schema, suffixes.get(CYCLES.table, ""))
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

    def with_context(self, connection: Connection[Any], events: Sequence[LedgerEvent]) -> Sequence[LedgerEvent]:
        """Look up what `Sums` need: the charge of each reversal, and the plan of each event of a subscription.

        Raises LookupError where there is none.
        """
        return self._with_plans(connection, self._with_charges(connection, events))

    def _with_plans(self, connection: Connection[Any], events: Sequence[LedgerEvent]) -> Sequence[LedgerEvent]:
        """Look up plans, once for all charges of one cycle: only a late capture is of another one than its version."""
        if not events:
            return events
        places = {_plan_key(each): (each.stream_id, each.version) for each in events}
        found = self._plans.at(connection, list(places.values()), until=max(each.position for each in events))
        plans = dict(zip(places, found, strict=True))
        return [replace(each, plan_id=_plan_of(each, plans)) for each in events]

    def _with_charges(self, connection: Connection[Any], events: Sequence[LedgerEvent]) -> Sequence[LedgerEvent]:
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


def _plan_key(each: LedgerEvent) -> tuple[bytes, int, int]:
    match each.event:
        case GenerationCharged(is_late=False, cycle_number=cycle_number) | ChargeReversed(cycle_number=cycle_number):
            return each.stream, cycle_number, 0
        case _:
            return each.stream, 0, each.version


def _plan_of(each: LedgerEvent, plans: Mapping[tuple[bytes, int, int], str | None]) -> str:
    plan_id = plans[_plan_key(each)]
    if plan_id is None:
        raise LookupError(f"event {each.position} is of a subscription without a plan")
    return plan_id
