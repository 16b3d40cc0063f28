"""Takes a ledger's events from the first one on, chunk by chunk, and copies the rows that they make into empty tables.

A rebuild fills staged tables so, and an import the tables themselves.
"""

from collections.abc import Iterable, Sequence
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
from projections.writers import Totals, add_to
from services.subscription.events import ChargeReversed
from services.subscription.state import Subscription, evolve

SUMS_IN_MEMORY = 200_000


class Target(Protocol):
    """The table of one projection, or the tables that hold the states."""

    table: str
    late: list[LedgerEvent]
    """Events that need rows in their places: a `Writer` applies them when all the others have been taken."""

    def take(self, events: Sequence[LedgerEvent]) -> None:
        """Take the next events of the ledger, whatever their types."""

    def finish(self) -> None:
        """Write what is left."""


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


class Head(Struct):
    """A stream as far as it is folded."""

    state: Subscription
    position: int
    changed: Subscription
    """The state at the last event that moved more than counters."""

    @staticmethod
    def after(head: "Head | None", each: LedgerEvent) -> "Head":
        """The head after the next event of a stream. Raises BadEvent where it does not follow."""
        state = evolve(head.state if head else None, each.event)
        if state.version != each.version:
            reason = f"is version {each.version} of its stream, but comes as {state.version}"
            raise BadEvent(f"event {each.position} {reason}")
        if head is None:
            return Head(state, each.position, state)
        return Head(state, each.position, head.changed if type(each.event) in COUNTER_EVENTS else state)

    def row(self, projection: StateRows) -> Struct:
        """The row of the stream."""
        return projection.project(self.state if projection.has_counters else self.changed, self.position)


class StatesTarget:
    """Folds states, and in the end writes the rows of every projection that is made from them."""

    table = "states"

    def __init__(self, projections: Sequence[StateRows], connection: Connection[Any], schema: str, suffix: str) -> None:
        self.late: list[LedgerEvent] = []
        self._connection = connection
        self._copies = [(each, statements.copy(each, schema, suffix)) for each in projections]
        self._heads: dict[bytes, Head] = {}

    def take(self, events: Sequence[LedgerEvent]) -> None:
        """Fold. Raises BadEvent for an event that does not follow those before it."""
        heads = self._heads
        for each in events:
            if type(each.event) in SUBSCRIPTION_EVENTS:
                heads[each.stream] = Head.after(heads.get(each.stream), each)

    def finish(self) -> None:
        """Write a row of each table for every stream."""
        for projection, statement in self._copies:
            rows = ((stream, *astuple(head.row(projection))) for stream, head in self._heads.items())
            _copy(self._connection, statement, rows)
        self._heads.clear()


class EventRowsTarget:
    """Writes the row of an event as it comes; what changes rows comes late."""

    def __init__(
        self, projection: EventRows[LedgerEvent], connection: Connection[Any], schema: str, suffix: str
    ) -> None:
        self.table = projection.table
        self.late: list[LedgerEvent] = []
        self._projection = projection
        self._connection = connection
        self._copy = statements.copy(projection, schema, suffix)

    def take(self, events: Sequence[LedgerEvent]) -> None:
        """Write the new rows."""
        rows: list[tuple[Any, ...]] = []
        project, kinds, new = self._projection.project, self._projection.events, self._projection.row
        for each in events:
            if type(each.event) not in kinds or (row := project(each)) is None:
                continue
            if type(row) is new:
                rows.append((each.stream, *astuple(row)))
            else:
                self.late.append(each)
        if rows:
            _copy(self._connection, self._copy, rows)

    def finish(self) -> None:
        """Nothing is left."""


class SumsTarget:
    """Adds up in memory, and writes that when it gets large: parts of rows, to be added up in the end."""

    def __init__(self, projection: Sums, connection: Connection[Any], schema: str, suffix: str) -> None:
        self.table = projection.table
        self.late: list[LedgerEvent] = []
        self._projection = projection
        self._connection = connection
        self._copy = statements.copy(projection, schema, f"{suffix}{PARTS}")
        self._totals: Totals = {}

    def take(self, events: Sequence[LedgerEvent]) -> None:
        """Add up; a reversal comes late, since its charge has to be found."""
        taken = [each for each in events if type(each.event) in self._projection.events]
        self.late.extend(each for each in taken if type(each.event) is ChargeReversed)
        add_to(self._totals, self._projection, (each for each in taken if type(each.event) is not ChargeReversed))
        if len(self._totals) > SUMS_IN_MEMORY:
            self.finish()

    def finish(self) -> None:
        """Write the parts."""
        _copy(self._connection, self._copy, (key + sums for key, sums in self._totals.items()))
        self._totals.clear()


def _copy(connection: Connection[Any], statement: CopyStatement, rows: Iterable[tuple[Any, ...]]) -> None:
    with connection.cursor().copy(statement.text) as copy:
        copy.set_types(statement.types)
        for row in rows:
            copy.write_row(row)
