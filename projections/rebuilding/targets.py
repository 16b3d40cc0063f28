"""Takes a ledger's events from the first one on, and copies the rows that they make into empty tables.

A rebuild fills staged tables so, and an import the tables themselves.
"""

from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import Any, Protocol

from msgspec import Struct
from msgspec.structs import astuple
from psycopg import Connection

from projections import statements
from projections.declaration import (
    COUNTER_EVENTS,
    SUBSCRIPTION_EVENTS,
    AnyProjection,
    EventRows,
    LedgerEvent,
    StateRows,
    Sums,
)
from projections.ledger_events import BadEvent
from projections.rebuilding.staging import PARTS
from projections.statements import CopyStatement
from projections.writers import Totals
from services.subscription.events import ChargeReversed
from services.subscription.state import Subscription, evolve

SUMS_IN_MEMORY = 200_000

Take = Callable[[LedgerEvent], None]


class Target(Protocol):
    """The table of one projection, or the tables that hold the states."""

    table: str
    takers: Mapping[type, Take]
    """By type, what takes an event. Events come in the order of the ledger."""
    late: list[LedgerEvent]
    """Events that need rows in their places: a `Writer` applies them when all the others have been taken."""

    def flush(self) -> None:
        """Write the rows that can be written by now."""

    def finish(self) -> None:
        """Write the rest."""


def targets_of(
    projections: Iterable[AnyProjection], connection: Connection[Any], schema: str, suffix: str = ""
) -> list[Target]:
    """The targets of projections, in tables whose names end in `suffix`."""
    states = [each for each in projections if isinstance(each, StateRows)]
    targets: list[Target] = [StatesTarget(states, connection, schema, suffix)] if states else []
    for each in projections:
        match each:
            case EventRows():
                targets.append(EventRowsTarget(each, connection, schema, suffix))
            case Sums():
                targets.append(SumsTarget(each, connection, schema, suffix))
            case StateRows():
                pass
    return targets


def takers_of(targets: Iterable[Target]) -> Mapping[type, Sequence[Take]]:
    """By type, what takes an event on its way into targets."""
    takers: dict[type, list[Take]] = {}
    for target in targets:
        for kind, take in target.takers.items():
            takers.setdefault(kind, []).append(take)
    return takers


class Head(Struct):
    """A stream as far as it is folded."""

    state: Subscription
    position: int
    changed: Subscription
    """The state at the last event that moved more than counters."""

    def row(self, projection: StateRows) -> Struct:
        """The row of the stream."""
        return projection.project(self.state if projection.has_counters else self.changed, self.position)


class Heads(dict[bytes, Head]):
    """Streams by id, as far as they are folded."""

    def fold(self, each: LedgerEvent) -> None:
        """Fold the next event of a subscription. Raises BadEvent where it does not follow those before it."""
        head = self.get(each.stream)
        state = evolve(head.state if head else None, each.event)
        if state.version != each.version:
            reason = f"is version {each.version} of its stream, but comes as {state.version}"
            raise BadEvent(f"event {each.position} {reason}")
        if head is None:
            self[each.stream] = Head(state, each.position, state)
        else:
            head.state, head.position = state, each.position
            if type(each.event) not in COUNTER_EVENTS:
                head.changed = state


class StatesTarget:
    """Folds states, and in the end writes the rows of every projection that is made from them."""

    table = "states"

    def __init__(self, projections: Sequence[StateRows], connection: Connection[Any], schema: str, suffix: str) -> None:
        self.late: list[LedgerEvent] = []
        self._connection = connection
        self._copies = [(each, statements.copy(each, schema, suffix)) for each in projections]
        self._heads = Heads()
        self.takers: Mapping[type, Take] = dict.fromkeys(SUBSCRIPTION_EVENTS, self._heads.fold)

    def flush(self) -> None:
        """No row can be written before the end."""

    def finish(self) -> None:
        """Write a row of each table for every stream."""
        for projection, statement in self._copies:
            rows = ((stream, *astuple(head.row(projection))) for stream, head in self._heads.items())
            _copy(self._connection, statement, rows)
        self._heads.clear()


class EventRowsTarget:
    """Writes the rows of single events; what changes rows comes late."""

    def __init__(
        self, projection: EventRows[LedgerEvent], connection: Connection[Any], schema: str, suffix: str
    ) -> None:
        self.table = projection.table
        self.takers: Mapping[type, Take] = dict.fromkeys(projection.events, self._take)
        self.late: list[LedgerEvent] = []
        self._project, self._new = projection.project, projection.row
        self._connection = connection
        self._copy = statements.copy(projection, schema, suffix)
        self._rows: list[tuple[Any, ...]] = []

    def flush(self) -> None:
        """Write the rows so far."""
        if self._rows:
            _copy(self._connection, self._copy, self._rows)
            self._rows.clear()

    def finish(self) -> None:
        """Write the rest."""
        self.flush()

    def _take(self, each: LedgerEvent) -> None:
        row = self._project(each)
        if type(row) is self._new:
            self._rows.append((each.stream, *astuple(row)))
        elif row is not None:
            self.late.append(each)


class SumsTarget:
    """Adds up in memory, and writes that when it gets large: parts of rows, to be added up in the end.

    A reversal comes late, since its charge has to be found.
    """

    def __init__(self, projection: Sums, connection: Connection[Any], schema: str, suffix: str) -> None:
        self.table = projection.table
        self.late: list[LedgerEvent] = []
        self._totals = Totals(projection)
        self._connection = connection
        self._copy = statements.copy(projection, schema, f"{suffix}{PARTS}")
        self.takers: Mapping[type, Take] = {
            kind: self.late.append if kind is ChargeReversed else self._totals.add for kind in projection.events
        }

    def flush(self) -> None:
        """Write the sums so far, if they are many."""
        if len(self._totals) > SUMS_IN_MEMORY:
            self.finish()

    def finish(self) -> None:
        """Write the sums so far."""
        _copy(self._connection, self._copy, ((*key, *sums) for key, sums in self._totals.items()))
        self._totals.clear()


def _copy(connection: Connection[Any], statement: CopyStatement, rows: Iterable[tuple[Any, ...]]) -> None:
    with connection.cursor().copy(statement.text) as copy:
        copy.set_types(statement.types)
        for row in rows:
            copy.write_row(row)
