"""What a projection declares of itself: its table, the form of its rows, and how events become rows. Pure.

A projection declares itself once, in its own `project.py`, as one of three kinds, and `registry.py` lists it. Every
runner reads that declaration: the live write, the catch-up engine, a rebuild, an import, the comparison, `verify`.

A row is a struct with a field a column, of the same name, but without the table's first column: the id of the stream
that the row comes from, which the runner knows. PostgreSQL's types follow from the annotations.
"""

from collections.abc import Callable
from dataclasses import dataclass
from datetime import datetime
from typing import Any, Generic, Protocol, TypeVar, get_args
from uuid import UUID

from msgspec import Struct, inspect

from services.subscription.events import ChargeReversed, Event, GenerationCharged
from services.subscription.state import Subscription

SUBSCRIPTION_EVENTS = frozenset(get_args(Event))
COUNTER_EVENTS = frozenset((GenerationCharged, ChargeReversed))
"""Events that move the counters of a subscription (version, used and reversed credits), and nothing else of it."""

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
    """An event as an inline projection knows it: at its place in its stream, before it has a position."""

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
    """The id of its stream, 16 bytes: a UUID costs more to make than most events cost to project."""
    version: int
    recorded_at: datetime
    event: Any
    reversed_charge: GenerationCharged | None = None
    """The charge that a `ChargeReversed` gives back. Only `Sums` are told."""

    @property
    def stream_id(self) -> UUID:
        """The id of its stream."""
        return UUID(bytes=self.stream)


class Column(Struct, frozen=True):
    """A column of a table, with PostgreSQL's name of its type."""

    name: str
    type: str
    is_nullable: bool = False


@dataclass(frozen=True, kw_only=True)
class Projection:
    """What the three kinds have in common."""

    table: str
    """The table's name, which is the projection's too."""
    row: type[Struct]
    """What a new row says in each column but the first."""
    stream: str = "subscription_id"
    """The first column: the id of the stream that a row comes from."""
    key: tuple[str, ...] = ()
    """The columns that tell apart the rows of one stream."""

    @property
    def columns(self) -> tuple[Column, ...]:
        """The columns of a new row, the stream's id first."""
        return Column(self.stream, "uuid"), *columns_of(self.row)

    @property
    def all_columns(self) -> tuple[Column, ...]:
        """The columns of the table."""
        return self.columns


@dataclass(frozen=True, kw_only=True)
class StateRows(Projection):
    """One row a subscription, made from its folded state. Inline.

    The row is written anew by every event that is not one of `COUNTER_EVENTS`. After those, which are nearly all, the
    row stays as it is, unless it `has_counters`: then `move_balances` moves its counters and its position.
    """

    project: Callable[[Subscription, int], Struct]
    """From the state, and the position of the stream's last event, or 0 where that is not known before the commit."""
    has_counters: bool = False


E = TypeVar("E", contravariant=True)


@dataclass(frozen=True, kw_only=True)
class EventRows(Projection, Generic[E]):
    """Rows that are made from single events, and changed by later ones. Inline, or catching up."""

    events: frozenset[type]
    """The types of events that it takes."""
    project: Callable[[E], Struct | None]
    """The new row that an event makes, or what it changes in a row that is there."""
    changes: tuple[type[Struct], ...] = ()
    """The structs that say what changes: the columns of `key`, which find the row, and columns with their new values.

    No column is changed by two of them. A column that `row` does not have is null until it is changed.
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
    """Rows that add up what single events say: all columns but the key's are sums. Catching up."""

    events: frozenset[type]
    """The types of events that it takes."""
    project: Callable[[LedgerEvent], Struct]
    """What an event adds, in a row of its own. A sum may have a default of 0."""


AnyProjection = StateRows | EventRows[LedgerEvent] | Sums
CatchUp = EventRows[LedgerEvent] | Sums
"""The projections that come after the commit, in the order of the ledger."""


def columns_of(row: type[Struct]) -> tuple[Column, ...]:
    """The columns of a struct's fields. Raises TypeError for a type that no column can have."""
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
