"""How a projection declares its table, its rows, and how events become rows. Pure.

A projection declares itself once, in its own `project.py`, as one of three kinds, and `registry.py` lists it. Every
runner reads that declaration: the live write, the catch-up engine, a rebuild and its comparison, an import, `verify`.

A row is a struct with one field per column, of the same name. The table's first column is missing in it: the id of the
stream that the row comes from, which the runner knows. PostgreSQL's types follow from the annotations.
"""

from collections.abc import Callable
from dataclasses import dataclass
from datetime import datetime
from typing import Any, Generic, Protocol, TypeVar, get_args
from uuid import UUID

from msgspec import Struct, inspect

from services.subscription.events import ChargeReversed, CreditsHeld, Event, GenerationCharged, HoldReleased
from services.subscription.state import Subscription

SUBSCRIPTION_EVENTS = frozenset(get_args(Event))

MAX_POSITION = 2**63 - 1
"""The highest position there can be: as a bound, it includes every event."""

_TYPES = {
    inspect.UUIDType: "uuid",
    inspect.IntType: "int8",
    inspect.StrType: "text",
    inspect.LiteralType: "text",
    inspect.DateTimeType: "timestamptz",
    inspect.DateType: "date",
    inspect.BytesType: "bytea",
}


class StreamEvent(Protocol):
    """An event as an inline projection sees it: at its place in its stream, before it has a position."""

    @property
    def event(self) -> Any:
        """What happened."""

    @property
    def version(self) -> int:
        """Its place in its stream, from 1."""

    @property
    def recorded_at(self) -> datetime:
        """When it was recorded."""


class LedgerEvent(Struct, frozen=True, gc=False):
    """A recorded event at its place in the ledger."""

    position: int
    stream: bytes
    """The id of its stream, 16 bytes: making a UUID costs more than projecting most events."""
    version: int
    recorded_at: datetime
    event: Any
    reversed_charge: GenerationCharged | None = None
    """The charge that a `ChargeReversed` reverses. It is looked up for `Sums` only."""
    plan_id: str | None = None
    """The plan that the subscription then had. It is looked up for `Sums` only."""

    @property
    def stream_id(self) -> UUID:
        """The id of its stream."""
        return UUID(bytes=self.stream)


def changes_state(event: Event) -> bool:
    """Whether an event changes more of a subscription than open holds and counters: version, used, reversed credits."""
    match event:
        case GenerationCharged() | CreditsHeld():
            return bool(event.alerts)
        case ChargeReversed():
            return event.deducted_credits != 0
        case _:
            return not isinstance(event, HoldReleased)


def moves_holds(event: Event) -> bool:
    """Whether an event makes or ends a hold."""
    if isinstance(event, GenerationCharged):
        return event.held_credits is not None
    return isinstance(event, CreditsHeld | HoldReleased)


class Column(Struct, frozen=True):
    """A column of a table, with PostgreSQL's name of its type."""

    name: str
    type: str
    is_nullable: bool = False


@dataclass(frozen=True, kw_only=True)
class Projection:
    """The declaration of a table. Its three kinds say how events become rows."""

    table: str
    """The name of the table, which is that of the projection too."""
    row: type[Struct]
    """The struct of a new row."""
    stream: str = "subscription_id"
    """The name of the first column: the id of the stream that a row comes from."""
    key: tuple[str, ...] = ()
    """The columns that distinguish the rows of one stream. With the first column they are the primary key."""
    events: frozenset[type]
    """The types of events that concern the table."""

    @property
    def columns(self) -> tuple[Column, ...]:
        """The columns of a new row, the first column included."""
        return Column(self.stream, "uuid"), *columns_of(self.row)

    @property
    def all_columns(self) -> tuple[Column, ...]:
        """The columns of the table."""
        return self.columns


@dataclass(frozen=True, kw_only=True)
class StateRows(Projection):
    """One row per subscription, made from its folded state. Inline.

    Every event that `changes_state` replaces the row. After another one, which nearly all are, the row stays as it is;
    but where `has_counters`, `move_balances` updates its counters and its position, and after one that `moves_holds`,
    `move_holds` updates those and the open holds.
    """

    events: frozenset[type] = SUBSCRIPTION_EVENTS
    project: Callable[[Subscription, int], Struct]
    """Makes the row from the state and the position of the stream's last event; 0 while that is not known."""
    has_counters: bool = False


E = TypeVar("E", contravariant=True)


@dataclass(frozen=True, kw_only=True)
class EventRows(Projection, Generic[E]):
    """Rows that single events make and later events change. Inline or catch-up."""

    project: Callable[[E], Struct | None]
    """Makes the new row of an event, or the change that it brings to an existing row; None for any other event."""
    changes: tuple[type[Struct], ...] = ()
    """The structs of changes: the columns of `key`, which identify the row, and columns with their new values.

    No column is in two of them. A column that `row` does not have is null until a change sets it.
    """

    @property
    def all_columns(self) -> tuple[Column, ...]:
        """The columns of the table: those of a new row, then those that only a change has."""
        columns = {column.name: column for column in self.columns}
        for change in self.changes:
            for column in columns_of(change):
                columns.setdefault(column.name, Column(column.name, column.type, is_nullable=True))
        return tuple(columns.values())


@dataclass(frozen=True, kw_only=True)
class Sums(Projection):
    """Rows that add up what single events contribute: every column outside the key is a sum. Catch-up."""

    project: Callable[[LedgerEvent], Struct]
    """Makes a row of what one event adds. The event comes with its plan, and a reversal with its charge."""


AnyProjection = StateRows | EventRows[LedgerEvent] | Sums
CatchUp = EventRows[LedgerEvent] | Sums
"""The kinds that can follow the ledger by position, after the commit."""


def columns_of(row: type[Struct]) -> tuple[Column, ...]:
    """List the columns of a struct's fields. Raises TypeError for a type that no column can have."""
    form = inspect.type_info(row)
    assert isinstance(form, inspect.StructType)
    return tuple(_column(row, field.name, field.type) for field in form.fields)


def _column(row: type[Struct], name: str, annotated: inspect.Type) -> Column:
    members = annotated.types if isinstance(annotated, inspect.UnionType) else (annotated,)
    types = {_TYPES.get(type(member)) for member in members if not isinstance(member, inspect.NoneType)}
    match tuple(types):
        case (str() as only,):
            return Column(name, only, is_nullable=isinstance(annotated, inspect.UnionType))
        case _:
            raise TypeError(f"{row.__name__}.{name} is of a type that has no column: {annotated}")
