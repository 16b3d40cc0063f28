"""Makes rows of all events of a ledger and copies them into empty tables.

A rebuild fills staged tables in this way, an import the tables themselves.
"""

from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import Any, Protocol

from msgspec import Struct
from msgspec.structs import astuple, replace
from psycopg import Connection

from projections import statements
from projections.cycles.project import PLAN_EVENTS
from projections.declaration import (
    SUBSCRIPTION_EVENTS,
    AnyProjection,
    EventRows,
    LedgerEvent,
    StateRows,
    Sums,
    changes_state,
)
from projections.ledger_events import BadEvent
from projections.rebuilding.staging import PARTS
from projections.statements import CopyStatement
from projections.writers import Totals
from services.subscription.events import ChargeReversed
from services.subscription.state import Subscription, evolve

SUMS_IN_MEMORY = 200_000

Handle = Callable[[LedgerEvent], None]


class Target(Protocol):
    """The table of one projection, or all tables of states. The methods raise psycopg.Error."""

    table: str
    handlers: Mapping[type, Handle]
    """By type of event, the function to call with each event, in the order of the ledger."""
    deferred: list[LedgerEvent]
    """Events that concern rows of other events: a `Writer` has to apply them after all rows are written."""

    def flush(self) -> None:
        """Write the rows that are complete."""

    def finish(self) -> None:
        """Write all other rows."""


def targets_of(
    projections: Iterable[AnyProjection], connection: Connection[Any], schema: str, suffix: str = ""
) -> list[Target]:
    """Make the targets of projections, in tables whose names end in `suffix`."""
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


def handlers_of(targets: Iterable[Target]) -> Mapping[str, Sequence[Handle]]:
    """Collect the handlers of targets by the topic of their events."""
    handlers: dict[str, list[Handle]] = {}
    for target in targets:
        for kind, handle in target.handlers.items():
            handlers.setdefault(kind.__name__, []).append(handle)
    return handlers


class Head(Struct):
    """The newest end of a stream so far."""

    state: Subscription
    position: int
    changed: Subscription
    """The state at the last event that moved more than counters."""

    def row(self, projection: StateRows) -> Struct:
        """Make the row of the stream."""
        return projection.project(self.state if projection.has_counters else self.changed, self.position)


class Heads(dict[bytes, Head]):
    """The heads of streams, by id."""

    def fold(self, each: LedgerEvent) -> None:
        """Fold the next event of a subscription. Raises BadEvent where its version does not follow."""
        head = self.get(each.stream)
        state = evolve(head.state if head else None, each.event)
        if state.version != each.version:
            reason = f"is version {each.version} of its stream, but comes as {state.version}"
            raise BadEvent(f"event {each.position} {reason}")
        if head is None:
            self[each.stream] = Head(state, each.position, state)
        else:
            head.state, head.position = state, each.position
            if changes_state(each.event):
                head.changed = state


class StatesTarget:
    """Folds states, and writes the rows of all `StateRows` at the end."""

    table = "states"

    def __init__(self, projections: Sequence[StateRows], connection: Connection[Any], schema: str, suffix: str) -> None:
        self.deferred: list[LedgerEvent] = []
        self._connection = connection
        self._copies = [(each, statements.copy(each, schema, suffix)) for each in projections]
        self._heads = Heads()
        self.handlers: Mapping[type, Handle] = dict.fromkeys(SUBSCRIPTION_EVENTS, self._heads.fold)

    def flush(self) -> None:
        """Write nothing: no row is complete before the end."""

    def finish(self) -> None:
        """Write the row of every stream into each table."""
        for projection, statement in self._copies:
            rows = ((stream, *astuple(head.row(projection))) for stream, head in self._heads.items())
            _copy(self._connection, statement, rows)
        self._heads.clear()


class EventRowsTarget:
    """Writes the rows that events make. Events that change rows are deferred."""

    def __init__(
        self, projection: EventRows[LedgerEvent], connection: Connection[Any], schema: str, suffix: str
    ) -> None:
        self.table = projection.table
        self.handlers: Mapping[type, Handle] = dict.fromkeys(projection.events, self._handle)
        self.deferred: list[LedgerEvent] = []
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
        """Write the rows so far."""
        self.flush()

    def _handle(self, each: LedgerEvent) -> None:
        row = self._project(each)
        if type(row) is self._new:
            self._rows.append((each.stream, *astuple(row)))
        elif row is not None:
            self.deferred.append(each)


class SumsTarget:
    """Adds up in memory, and writes parts of rows, which `add_up` adds up at the end.

    Reversals are deferred, since their charges have to be looked up.
    """

    def __init__(self, projection: Sums, connection: Connection[Any], schema: str, suffix: str) -> None:
        self.table = projection.table
        self.deferred: list[LedgerEvent] = []
        self._totals = Totals(projection)
        self._connection = connection
        self._copy = statements.copy(projection, schema, f"{suffix}{PARTS}")
        self._plans: dict[bytes, str] = {}
        self.handlers: Mapping[type, Handle] = {
            **dict.fromkeys(PLAN_EVENTS, self._take_plan),
            **{kind: self.deferred.append if kind is ChargeReversed else self._add for kind in projection.events},
        }

    def flush(self) -> None:
        """Write the sums so far if there are many."""
        if len(self._totals) > SUMS_IN_MEMORY:
            self.finish()

    def finish(self) -> None:
        """Write the sums so far."""
        _copy(self._connection, self._copy, ((*key, *sums) for key, sums in self._totals.items()))
        self._totals.clear()

    def _take_plan(self, each: LedgerEvent) -> None:
        self._plans[each.stream] = each.event.plan.plan_id

    def _add(self, each: LedgerEvent) -> None:
        if (plan_id := self._plans.get(each.stream)) is None:
            raise BadEvent(f"event {each.position} is of a subscription that has not started")
        self._totals.add(replace(each, plan_id=plan_id))


def _copy(connection: Connection[Any], statement: CopyStatement, rows: Iterable[tuple[Any, ...]]) -> None:
    with connection.cursor().copy(statement.text) as copy:
        copy.set_types(statement.types)
        for row in rows:
            copy.write_row(row)
