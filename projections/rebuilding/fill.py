"""Fills the staged tables of a rebuild: one part of the streams, in the ledger's order, through the pure projections.

A part is what one process folds at a time: it keeps the states of its streams in memory and writes their rows at the
end, while rows that come from single events go out as they come.
"""

from collections.abc import Callable, Collection, Sequence
from typing import Any
from uuid import UUID

from msgspec import Struct
from psycopg import Connection

from projections.declaration import LedgerEvent
from projections.ledger_events import BadEvent, Decode
from projections.rebuilding.staging import SUFFIX
from projections.rebuilding.targets import Target, takers_of, targets_of
from projections.registry import PROJECTIONS
from services.postgres.database import connect
from services.postgres.sql import Queries, load_queries

CHUNK_EVENTS = 20_000


class FillTask(Struct, frozen=True):
    """What one process is to do."""

    database_url: str
    schema: str
    decode: Decode
    tables: frozenset[str]
    """The tables of the projections whose staged tables are to be filled."""
    until: int
    parts: Sequence[int]
    part_count: int


class Filled(Struct, frozen=True):
    """What came of it: how many events there were, and by table those that can only be applied in the end."""

    events: int
    late: dict[str, list[LedgerEvent]]


def fill(task: FillTask, report: Callable[[int], None]) -> Filled:
    """Fold the task's parts into the staged tables; `report` is called with numbers of events, as they are done.

    Raises psycopg.Error, and BadEvent for an event that cannot be read or does not fit its stream.
    """
    events, late = 0, dict[str, list[LedgerEvent]]()
    projections = [each for each in PROJECTIONS if each.table in task.tables]
    with connect(task.database_url, autocommit=True) as connection:
        queries = load_queries(__file__, "rebuild.sql", schema=task.schema)
        connection.execute(queries["begin_fill"])
        for part in task.parts:
            targets = targets_of(projections, connection, task.schema, SUFFIX)
            events += _fill_part(task, part, connection, queries, targets, report)
            for target in targets:
                late.setdefault(target.table, []).extend(target.late)
    return Filled(events, late)


def _fill_part(
    task: FillTask,
    part: int,
    connection: Connection[Any],
    queries: Queries,
    targets: Collection[Target],
    report: Callable[[int], None],
) -> int:
    takers, decode, taken = takers_of(targets), task.decode, 0
    for after in range(0, task.until, CHUNK_EVENTS):
        bounds = {"after": after, "until": min(after + CHUNK_EVENTS, task.until)}
        cursor = connection.cursor(binary=True)
        cursor.execute(queries["select_part"], {**bounds, "part": part, "parts": task.part_count})
        for position, stream, version, recorded_at, topic, state in cursor.fetchall():
            try:
                event = decode(topic, state)
            except ValueError as error:
                place = f"event {position} ({topic}, version {version} of {UUID(bytes=stream)})"
                raise BadEvent(f"{place}: {error}") from error
            each = LedgerEvent(position, stream, version, recorded_at, event)
            for take in takers.get(type(event), ()):
                take(each)
        for target in targets:
            target.flush()
        taken += cursor.rowcount
        report(cursor.rowcount)
    for target in targets:
        target.finish()
    return taken
