"""Fills the staged tables of a rebuild: one part of the streams, in the ledger's order, through the pure projections.

A part is what one process folds at a time: it keeps the states of its streams in memory and writes their rows at the
end, while rows that come from single events go out as they come.
"""

from collections.abc import Callable, Collection, Iterable, Sequence
from typing import Any, NamedTuple, Protocol, get_args
from uuid import UUID

from msgspec import Struct
from psycopg import Connection

from projections.balance import project as balance
from projections.charges import project as charges
from projections.ledger_events import BadEvent, Decode, LedgerEvent
from projections.rebuilding.staging import staged
from projections.renewal import project as renewal
from projections.usage import project as usage
from services.postgres.database import connect
from services.postgres.sql import Queries, load_queries
from services.subscription.events import ChargeReversed, Event, GenerationCharged
from services.subscription.state import Subscription, evolve

CHUNK_EVENTS = 20_000
USAGE_ROWS_IN_MEMORY = 200_000
SUBSCRIPTION_EVENTS = frozenset(get_args(Event))
COUNTER_EVENTS = frozenset((GenerationCharged, ChargeReversed))
"""Events that move counters only, so that the renewal row stays as it is."""

BUILT_TABLES = ("balance", "renewal", "charges", "usage")
_BALANCE_TYPES = "uuid int8 int8 text text int8 int8 int8 int8 int8 timestamptz timestamptz timestamptz text".split()
_RENEWAL_TYPES = "uuid text text timestamptz text bytea".split()
_CHARGES_TYPES = "bytea text int8".split()
_USAGE_TYPES = "bytea date text text int8 int8 int8".split()


class Row(NamedTuple):
    """One event as a part reads it: the stream's id as bytes."""

    stream_id: bytes
    version: int
    recorded_at: Any
    topic: str
    state: bytes
    position: int


class Head(Struct):
    """A stream as far as it is folded."""

    state: Subscription
    position: int
    changed: Subscription
    """The state at the last event that moved more than counters: what the renewal row keeps."""


class FillTask(Struct, frozen=True):
    """What one process is to do."""

    database_url: str
    schema: str
    decode: Decode
    tables: frozenset[str]
    """The staged tables to fill, of BUILT_TABLES."""
    until: int
    parts: Sequence[int]
    part_count: int


class Filled(Struct, frozen=True):
    """What came of it: how many events there were, and the reversals among them, which need all charges in place."""

    events: int
    reversals: list[LedgerEvent]


class Target(Protocol):
    """Takes the events of a part, chunk by chunk."""

    def take(self, rows: Sequence[Row], events: Sequence[Any]) -> None:
        """Take the next events, given beside their rows."""

    def finish(self) -> None:
        """Write what is left."""


def fill(task: FillTask, report: Callable[[int], None]) -> Filled:
    """Fold the task's parts into the staged tables; `report` is told how many events were taken, as they are.

    Raises psycopg.Error, and BadEvent for an event that cannot be read or does not fit its stream.
    """
    with connect(task.database_url, autocommit=True) as connection:
        queries = staged(load_queries(__file__, "fold.sql", schema=task.schema), task.schema, BUILT_TABLES)
        connection.execute(queries["begin_fill"])
        taken, reversals = 0, list[LedgerEvent]()
        for part in task.parts:
            taken += _fill_part(task, part, connection, queries, reversals, report)
        return Filled(taken, reversals)


def _fill_part(
    task: FillTask,
    part: int,
    connection: Connection[Any],
    queries: Queries,
    reversals: list[LedgerEvent],
    report: Callable[[int], None],
) -> int:
    targets = _targets(connection, queries, task.tables)
    taken = 0
    for after in range(0, task.until, CHUNK_EVENTS):
        bounds = {"after": after, "until": min(after + CHUNK_EVENTS, task.until)}
        cursor = connection.cursor(binary=True)
        cursor.execute(queries["select_part"], {**bounds, "part": part, "parts": task.part_count})
        rows: list[Row] = cursor.fetchall()  # plain tuples, in the order of its fields
        events = [_decoded(task.decode, row) for row in rows]
        for target in targets:
            target.take(rows, events)
        reversals.extend(
            LedgerEvent(position, UUID(bytes=id), version, recorded_at, event)
            for (id, version, recorded_at, _, _, position), event in zip(rows, events, strict=True)
            if type(event) is ChargeReversed
        )
        taken += len(rows)
        report(len(rows))
    for target in targets:
        target.finish()
    return taken


def _decoded(decode: Decode, row: Row) -> Any:
    id, version, _, topic, state, position = row
    try:
        return decode(topic, state)
    except ValueError as error:
        raise BadEvent(f"event {position} ({topic}, version {version} of {UUID(bytes=id)}): {error}") from error


def _targets(connection: Connection[Any], queries: Queries, tables: Collection[str]) -> list[Target]:
    targets: list[Target] = []
    if "balance" in tables:
        targets.append(States(connection, queries))
    if "charges" in tables:
        targets.append(Charges(connection, queries))
    if "usage" in tables:
        targets.append(Usage(connection, queries))
    return targets


class States:
    """Folds states, and writes balance and renewal rows from them."""

    def __init__(self, connection: Connection[Any], queries: Queries) -> None:
        self._connection = connection
        self._queries = queries
        self._heads: dict[bytes, Head] = {}

    def take(self, rows: Sequence[Row], events: Sequence[Any]) -> None:
        """Fold."""
        heads = self._heads
        for (id, version, _, _, _, position), event in zip(rows, events, strict=True):
            kind = type(event)
            if kind not in SUBSCRIPTION_EVENTS:
                continue
            head = heads.get(id)
            state = evolve(head.state if head else None, event)
            if state.version != version:
                raise BadEvent(f"event {position} is version {version} of its stream, but comes as {state.version}")
            if head is None:
                heads[id] = Head(state, position, state)
            else:
                head.state, head.position = state, position
                if kind not in COUNTER_EVENTS:
                    head.changed = state

    def finish(self) -> None:
        """Write a row of each table for every stream."""
        write_states(self._connection, self._queries, ((UUID(bytes=id), head) for id, head in self._heads.items()))
        self._heads.clear()


class Charges:
    """Writes a row for each charge as it comes."""

    def __init__(self, connection: Connection[Any], queries: Queries) -> None:
        self._connection = connection
        self._queries = queries

    def take(self, rows: Sequence[Row], events: Sequence[Any]) -> None:
        """Write the rows of the charges among the events."""
        with self._connection.cursor().copy(self._queries["copy_charges"]) as copy:
            copy.set_types(_CHARGES_TYPES)
            for row, event in zip(rows, events, strict=True):
                if type(event) is GenerationCharged:
                    charge = charges.project(event, row[1])
                    assert isinstance(charge, charges.ChargeRow)
                    copy.write_row((row[0], charge.generation_id, charge.version))

    def finish(self) -> None:
        """Nothing is left."""


class Usage:
    """Adds usage up in memory, and writes it when it gets large: parts of rows, to be added up in the end."""

    def __init__(self, connection: Connection[Any], queries: Queries) -> None:
        self._connection = connection
        self._queries = queries
        self._counts: dict[tuple[bytes, usage.UsageKey], usage.UsageCounts] = {}

    def take(self, rows: Sequence[Row], events: Sequence[Any]) -> None:
        """Add up."""
        counts = self._counts
        for row, event in zip(rows, events, strict=True):
            if type(event) is GenerationCharged:
                key, added = usage.charged(event, row[2])
                place = (row[0], key)
                before = counts.get(place)
                counts[place] = usage.add(before, added) if before else added
        if len(counts) > USAGE_ROWS_IN_MEMORY:
            self.finish()

    def finish(self) -> None:
        """Write the parts."""
        with self._connection.cursor().copy(self._queries["copy_usage"]) as copy:
            copy.set_types(_USAGE_TYPES)
            for (id, key), sums in self._counts.items():
                row = (id, key.day, key.model, key.asset_type, sums.charges, sums.credits, sums.reversed_credits)
                copy.write_row(row)
        self._counts.clear()


def write_states(connection: Connection[Any], queries: Queries, heads: Iterable[tuple[UUID, Head]]) -> None:
    """Write the balance and renewal rows of streams that have none."""
    kept = list(heads)
    with connection.cursor().copy(queries["copy_balances"]) as copy:
        copy.set_types(_BALANCE_TYPES)
        for id, head in kept:
            row = balance.project(head.state)
            copy.write_row((id, head.position, *(getattr(row, name) for name in row.__struct_fields__)))
    with connection.cursor().copy(queries["copy_renewals"]) as copy:
        copy.set_types(_RENEWAL_TYPES)
        for id, head in kept:
            due = renewal.project(head.changed)
            copy.write_row((id, due.account_id, due.status, due.next_due_at, due.test_clock_id, due.state))
