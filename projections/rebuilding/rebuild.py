"""Rebuilds read models from the events while writes go on, and puts them in place in one short transaction.

    make tables beside the old -> fill from the events -> follow the newest -> compare -> lock, last events, swap

Balance, renewal and charges are written with every command, so the swap first keeps writers out: it locks the balance
table, on which each of them begins, and the head row. Whoever waits there goes on with the new tables.
"""

import time
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from typing import Any

import psycopg
from msgspec import Struct
from psycopg import Connection

from projections import statements
from projections.declaration import StateRows, Sums
from projections.ledger_events import Decode, EventReader
from projections.positions import Positions
from projections.rebuilding.compare import STALE_STREAMS_LIMIT, RowDifference, differences
from projections.rebuilding.fill import FillTask
from projections.rebuilding.processes import fill_parts
from projections.rebuilding.staging import PARTS, SUFFIX, Staging
from projections.rebuilding.tail import Tail
from projections.registry import CATCH_UP, INLINE, PROJECTIONS, STATES
from services.postgres.database import connect
from services.postgres.sql import load_queries
from services.process.progress import ReportProgress, report_nothing

SWAP_EVENTS_LIMIT = 1_000
_LATE_EVENTS_AT_A_TIME = 1_000
_SWAP_PAUSE_LIMIT_SECONDS = 5.0


class RebuildRuns(RuntimeError):
    """Another rebuild of this ledger is running."""


class UnknownProjection(LookupError):
    """There is no projection of this name."""


class Rebuilt(Struct, frozen=True):
    """What was rebuilt: the events that it was made of, and how the tables in use had differed from it.

    `uncompared` are the tables that were too far behind the events to be compared.
    """

    projections: tuple[str, ...]
    events: int
    differences: tuple[RowDifference, ...]
    uncompared: tuple[str, ...]


class Rebuild:
    """One rebuild of projections of a schema: of all, where no names are given. `run` is all of it.

    Raises UnknownProjection.
    """

    def __init__(
        self,
        database_url: str,
        schema: str,
        names: Iterable[str],
        decode: Decode,
        report: ReportProgress = report_nothing,
        processes: int | None = None,
    ) -> None:
        self._database_url = database_url
        self._schema = schema
        self._report = report
        self._decode = decode
        self._processes = processes
        self._queries = load_queries(__file__, "rebuild.sql", schema=schema)
        self._reader = EventReader(schema, decode)
        self._positions = Positions(schema)
        self._staging = Staging(schema)
        known = [each.table for each in PROJECTIONS]
        self._names = tuple(dict.fromkeys(names or known))
        if unknown := [name for name in self._names if name not in known]:
            raise UnknownProjection(f"no such projection: {', '.join(unknown)}; there are {', '.join(known)}")
        self._swapped = [each for each in PROJECTIONS if each.table in self._names]
        has_states = any(isinstance(each, StateRows) for each in self._swapped)
        self._built = [each for each in PROJECTIONS if each in self._swapped or (has_states and each in STATES)]
        """What is built: the state of a stream is in both balance and renewal, so neither is built alone."""
        self._catch_ups = [each for each in CATCH_UP if each in self._swapped]

    def run(self) -> Rebuilt:
        """Rebuild. Raises RebuildRuns, psycopg.Error, MissingEvent, ProcessFailed, BadEvent."""
        with self._alone(), connect(self._database_url, autocommit=True) as connection:
            try:
                tail = self._fill(connection)
                self._follow(connection, tail)
                found, uncompared = self._compare(connection, tail)
                self._follow(connection, tail)
                self._swap(connection, tail)
            finally:
                self._clean_up(connection)
        return Rebuilt(self._names, tail.position, tuple(found), tuple(uncompared))

    @contextmanager
    def _alone(self) -> Iterator[None]:
        """A transaction beside everything else that holds the lock; it reads nothing, so it holds nothing back."""
        with connect(self._database_url) as connection:
            row = connection.execute(self._queries["begin_alone"], {"schema": self._schema}).fetchone()
            if row is None or not row[0]:
                raise RebuildRuns("another rebuild of this ledger is running")
            yield

    def _fill(self, connection: Connection[Any]) -> Tail:
        sums = [each for each in self._built if isinstance(each, Sums)]
        connection.execute(self._queries["begin_fill"])
        for each in self._built:
            self._staging.make(connection, each.table)
        for each in sums:
            self._staging.make_parts(connection, each.table)
        until = self._reader.last_position(connection)
        (streams,) = connection.execute(self._queries["count_streams"]).fetchone() or (0,)
        tables = frozenset(each.table for each in self._built)
        task = FillTask(self._database_url, self._schema, self._decode, tables, until, (0,), 1)
        filled = fill_parts(task, int(streams), self._counted("Reading events", until), self._processes)
        tail = Tail(self._schema, self._decode, self._built, until)
        for each in sums:
            connection.execute(statements.add_up(each, self._schema, parts=f"{SUFFIX}{PARTS}", into=SUFFIX))
        for each in self._built:
            self._report(f"Indexing {each.table}", 0, 0)
            self._staging.index(connection, each.table)
        for each in self._built:
            late = filled.late.get(each.table, ())
            for start in range(0, len(late), _LATE_EVENTS_AT_A_TIME):
                tail.apply(connection, each.table, late[start : start + _LATE_EVENTS_AT_A_TIME])
        return tail

    def _follow(self, connection: Connection[Any], tail: Tail) -> None:
        """Take the newest events until few are left for the swap, or for as long as writers outrun it."""
        for _ in range(100):
            tail.follow(connection)
            if self._reader.last_position(connection) - tail.position < SWAP_EVENTS_LIMIT // 4:
                return

    def _compare(self, connection: Connection[Any], tail: Tail) -> tuple[list[RowDifference], list[str]]:
        self._report("Comparing with the tables in use", 0, 0)
        found, uncompared = list[RowDifference](), list[str]()
        with connection.transaction():
            connection.execute(self._queries["begin_compare"])
            last = self._reader.last_position(connection)
            lags = {lag.projection: lag for lag in self._positions.lags(connection)}
            for each in self._swapped:
                lag = lags.get(each.table)
                stands_at = last if each in INLINE else lag.position if lag else 0
                bounds = {"after": min(stands_at, tail.position), "until": max(stands_at, tail.position)}
                rows = connection.execute(
                    self._queries["select_stale_streams"], {**bounds, "limit": STALE_STREAMS_LIMIT}
                )
                stale = [id for (id,) in rows]
                if len(stale) == STALE_STREAMS_LIMIT:
                    uncompared.append(each.table)
                else:
                    found += differences(connection, self._schema, each, stale)
        return found, uncompared

    def _swap(self, connection: Connection[Any], tail: Tail) -> None:
        """Swap as soon as the locks can be had and little is left to do under them."""
        self._report("Swapping", 0, 0)
        pause_seconds = 0.05
        while True:
            try:
                if self._try_swap(connection, tail):
                    return
            except (psycopg.errors.LockNotAvailable, psycopg.errors.DeadlockDetected):
                self._report("Swapping: waiting for long readers to finish", 0, 0)
                time.sleep(pause_seconds)
                pause_seconds = min(2 * pause_seconds, _SWAP_PAUSE_LIMIT_SECONDS)
            self._follow(connection, tail)

    def _try_swap(self, connection: Connection[Any], tail: Tail) -> bool:
        tables = [each.table for each in self._swapped]
        is_inline = any(each in INLINE for each in self._swapped)
        with connection.transaction():
            connection.execute(self._queries["begin_swap"])
            for projection in self._catch_ups:
                self._positions.lock(connection, projection.table)
            if is_inline:
                self._staging.lock(connection, ["balance"], "EXCLUSIVE")
            self._staging.lock(connection, tables, "ACCESS EXCLUSIVE")
            if is_inline:
                connection.execute(self._queries["lock_head"])
            last = self._reader.last_position(connection)
            if last - tail.position > SWAP_EVENTS_LIMIT:
                return False
            position = tail.take(connection, last)
            for table in tables:
                self._staging.swap(connection, table)
            for projection in self._catch_ups:
                self._positions.move(connection, projection.table, position)
        tail.position = position
        return True

    def _clean_up(self, connection: Connection[Any]) -> None:
        """Drop what was staged and not swapped in; where the database is gone, the next rebuild does."""
        if not connection.closed:
            for each in self._built:
                self._staging.drop(connection, each.table)

    def _counted(self, stage: str, total: int) -> Callable[[int], None]:
        done = 0

        def count(events: int) -> None:
            nonlocal done
            done += events
            self._report(stage, done, total)

        return count
