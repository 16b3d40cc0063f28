"""Fills the staged tables of a rebuild from one part of the streams at a time, in the order of the ledger.

A part is the streams that one process folds in one pass: their states stay in memory to the end of it.
"""

from collections.abc import Callable, Collection, Sequence
from typing import Any
from uuid import UUID

from msgspec import Struct
from psycopg import Connection

from projections.declaration import LedgerEvent
from projections.ledger_events import BadEvent, Decode
from projections.rebuilding.staging import SUFFIX
from projections.rebuilding.targets import Target, handlers_of, targets_of
from projections.registry import PROJECTIONS
from services.postgres.database import connect
from services.postgres.sql import Queries, load_queries

CHUNK_EVENTS = 20_000
_TOPICS = {kind.__name__ for each in PROJECTIONS for kind in each.events}


class FillTask(Struct, frozen=True):
    """The work of one process: to fill from the streams of some parts, up to a position."""

    database_url: str
    schema: str
    decode: Decode
    tables: frozenset[str]
    """The projections whose staged tables are filled."""
    until: int
    parts: Sequence[int]
    part_count: int


class FillResult(Struct, frozen=True):
    """The number of events read, and by table those that can be applied only after all others."""

    events: int
    deferred: dict[str, list[LedgerEvent]]


def fill(task: FillTask, report: Callable[[int], None]) -> FillResult:
    """Fill the staged tables from the parts of a task; `report` gets numbers of events, chunk by chunk.

    Raises psycopg.Error, and BadEvent for an event that cannot be read or does not fit its stream.
    """
    events, deferred = 0, dict[str, list[LedgerEvent]]()
    projections = [each for each in PROJECTIONS if each.table in task.tables]
    with connect(task.database_url, autocommit=True) as connection:
        queries = load_queries(__file__, "rebuild.sql", schema=task.schema)
        connection.execute(queries["begin_fill"])
        for part in task.parts:
            targets = targets_of(projections, connection, task.schema, SUFFIX)
            events += _fill_part(task, part, connection, queries, targets, report)
            for target in targets:
                deferred.setdefault(target.table, []).extend(target.deferred)
    return FillResult(events, deferred)


def _fill_part(
    task: FillTask,
    part: int,
    connection: Connection[Any],
    queries: Queries,
    targets: Collection[Target],
    report: Callable[[int], None],
) -> int:
    handlers, decode, events = handlers_of(targets), task.decode, 0
    unused = _TOPICS - handlers.keys()
    for after in range(0, task.until, CHUNK_EVENTS):
        bounds = {"after": after, "until": min(after + CHUNK_EVENTS, task.until)}
        cursor = connection.cursor(binary=True)
        cursor.execute(queries["select_part"], {**bounds, "part": part, "parts": task.part_count})
        for position, stream, version, recorded_at, topic, state in cursor.fetchall():
            if topic in unused:
                continue
            try:
                event = decode(topic, state)
            except ValueError as error:
                place = f"event {position} ({topic}, version {version} of {UUID(bytes=stream)})"
                raise BadEvent(f"{place}: {error}") from error
            each = LedgerEvent(position, stream, version, recorded_at, event)
            for handle in handlers.get(topic, ()):
                handle(each)
        for target in targets:
            target.flush()
        events += cursor.rowcount
        report(cursor.rowcount)
    for target in targets:
        target.finish()
    return events
