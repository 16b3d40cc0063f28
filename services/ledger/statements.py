"""Reads statements: the cycles of a subscription, and what moved its balance in each.

Which versions a cycle has is in the cycles table; where the projector has not come as far as the subscription, the rest
is read from the events. A statement reads the events of its own cycle. What is due and not recorded is added, as in
every read.
"""

from collections.abc import Callable, Iterator, Sequence
from datetime import UTC, datetime
from typing import Any
from uuid import UUID

import msgspec
from msgspec import UNSET, Struct, UnsetType
from msgspec.structs import replace
from psycopg import Connection

from projections.cycles.project import CYCLES, CycleRenewal, CycleRow
from projections.declaration import LedgerEvent
from projections.renewal.queries import RecordedSubscription, RenewalQueries
from services.ledger.mapper import UPCASTERS, decode_event
from services.postgres.sql import load_queries
from services.subscription.boundaries import boundaries
from services.subscription.events import CycleReset, GenerationCharged, TermRenewed
from services.subscription.statement import ChargeInBrief, CycleFold, StatementLine

_PAGE_EVENTS = 5_000


class Statement(Struct, frozen=True, kw_only=True):
    """What moved the balance in one credit cycle, line by line.

    `opening + granted - used + reversed - lapsed - held = closing`. `held_credits` are those that were held over from
    the cycle before; `carried_credits` are a part of the rest, which lived on through an upgrade. The versions are null
    while nothing of the cycle is recorded. `checkpoint` is the newest signed note, where it covers `last_version`.
    """

    subscription_id: UUID
    cycle: int
    plan_id: str
    opening_credits: int
    granted_credits: int
    carried_credits: int
    used_credits: int
    reversed_credits: int
    lapsed_credits: int
    held_credits: int
    closing_credits: int
    lines: Sequence[StatementLine]
    first_version: int | None
    last_version: int | None
    checkpoint: str | UnsetType = UNSET


class Cycle(Struct, frozen=True):
    """A cycle that has begun: its versions, as far as it is recorded, and what is due in it and not recorded."""

    number: int
    plan_id: str
    first_version: int | None
    last_version: int | None
    due: Sequence[tuple[datetime, Any]] = ()


class Statements:
    """Reads the statements of one schema. Every method raises psycopg.Error."""

    def __init__(self, schema: str, clock: Callable[[], datetime]) -> None:
        self._queries = load_queries(__file__, "statements.sql", schema=schema)
        self._subscriptions = RenewalQueries(schema)
        self._clock = clock

    def cycles(self, connection: Connection[Any], id: UUID) -> list[Cycle] | None:
        """List the cycles that a subscription has begun by now, oldest first; None where there is none with this id."""
        found = self._subscriptions.find(connection, id)
        if found is None:
            return None
        rows = self._recorded(connection, found)
        cycles = []
        plan_id = ""
        for row, following in zip(rows, [*rows[1:], None], strict=True):
            plan_id = found.state.plan.plan_id if following is None else row.plan_id or plan_id
            last_version = found.state.version if following is None else following.first_version - 1
            cycles.append(Cycle(row.cycle_number, plan_id, row.first_version, last_version))
        return [*cycles[:-1], *_with_due(cycles[-1], found, found.clock_now or self._clock())]

    def statement(
        self,
        connection: Connection[Any],
        id: UUID,
        cycle: Cycle,
        on_page: Callable[[], None] = lambda: None,
    ) -> Statement:
        """Make the statement of one of the cycles; `on_page` is called between some thousand events.

        Raises UnreadableEvent, and what `on_page` raises.
        """
        fold = CycleFold()
        for at, event in self._events(connection, id, cycle, on_page):
            fold.take(event, at)
        return Statement(
            subscription_id=id,
            cycle=cycle.number,
            plan_id=cycle.plan_id,
            **fold.figures._asdict(),
            lines=fold.lines,
            first_version=cycle.first_version,
            last_version=cycle.last_version,
        )

    def position(self, connection: Connection[Any], id: UUID, version: int) -> int:
        """Return the position of a version that there is."""
        row = connection.execute(self._queries["select_position"], {"id": id, "version": version}).fetchone()
        assert row is not None
        return int(row[0])

    def _recorded(self, connection: Connection[Any], found: RecordedSubscription) -> list[CycleRow]:
        """Read the beginnings of the recorded cycles: from the table, and after it from the events."""
        id, state = found.subscription_id, found.state
        rows = [CycleRow(*row) for row in connection.execute(self._queries["select_cycles"], {"id": id})]
        rows = [row for row in rows if row.first_version <= state.version]
        if rows and rows[-1].cycle_number == state.cycle.number:
            return rows
        bounds = {"id": id, "after": rows[-1].first_version if rows else 0, "until": state.version}
        for version, topic, stored in connection.execute(self._queries["select_beginnings"], bounds):
            event = LedgerEvent(0, id.bytes, version, found.state.started_at, decode_event(topic, bytes(stored)))
            match CYCLES.project(event):
                case CycleRow() as row:
                    rows.append(row)
                case CycleRenewal(first_version=first_version, plan_id=plan_id):
                    if rows[-1].first_version == first_version:
                        rows[-1] = replace(rows[-1], plan_id=plan_id)
                case _:
                    pass
        return rows

    def _events(
        self, connection: Connection[Any], id: UUID, cycle: Cycle, on_page: Callable[[], None]
    ) -> Iterator[tuple[datetime, Any]]:
        if cycle.first_version is not None and cycle.last_version is not None:
            for first in range(cycle.first_version, cycle.last_version + 1, _PAGE_EVENTS):
                last = min(first + _PAGE_EVENTS - 1, cycle.last_version)
                bounds = {"id": id, "first": first, "last": last}
                rows = connection.cursor(binary=True).execute(self._queries["select_events"], bounds)
                for topic, state, recorded_at in rows:
                    yield recorded_at.astimezone(UTC), _decoded(topic, state)
                on_page()
        yield from cycle.due


class _StoredCharge(Struct, frozen=True):
    data: ChargeInBrief


_CHARGE_IN_BRIEF = msgspec.json.Decoder(_StoredCharge)


def _decoded(topic: str, state: bytes) -> Any:
    """Decode an event; of a charge, which nearly all are, only what its line shows. Raises UnreadableEvent."""
    if topic == GenerationCharged.__name__ and topic not in UPCASTERS:
        try:
            return _CHARGE_IN_BRIEF.decode(state).data
        except msgspec.MsgspecError:  # the decoder of all of it says what is wrong
            pass
    return decode_event(topic, state)


def _with_due(newest: Cycle, found: RecordedSubscription, now: datetime) -> list[Cycle]:
    """Return the newest recorded cycle with what is due in it, and the cycles that have begun since."""
    cycles, due = [newest], list[tuple[datetime, Any]]()
    number, plan_id = newest.number, newest.plan_id
    for boundary in boundaries(found.state, now):
        for event in boundary.events:
            if isinstance(event, CycleReset):
                cycles[-1] = Cycle(number, plan_id, cycles[-1].first_version, cycles[-1].last_version, due)
                number, due = event.cycle.number, []
                cycles.append(Cycle(number, plan_id, None, None))
            elif isinstance(event, TermRenewed):
                plan_id = event.plan.plan_id
            due.append((boundary.at, event))
    cycles[-1] = Cycle(number, plan_id, cycles[-1].first_version, cycles[-1].last_version, due)
    return cycles
