"""Rebuilds read models from the events while writes go on, and swaps them in in one short transaction.

    make staged tables -> fill from the events -> catch up -> compare -> lock, apply the last events, swap

Inline projections are written with every command, so the swap first keeps writers out: it locks the balance table, on
which each write begins, and the head row. A writer that waits there goes on with the new tables.
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
from projections.movements.blocks import Blocks
from projections.movements.project import MOVEMENTS
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

MAX_SWAP_EVENTS = 1_000
_DEFERRED_EVENTS_A_STEP = 1_000
_MAX_SWAP_PAUSE_SECONDS = 5.0


class RebuildInProgress(RuntimeError):
    """Another rebuild of this ledger is running."""


class UnknownProjection(LookupError):
    """There is no projection with this name."""


class RebuildResult(Struct, frozen=True):
    """The projections that were rebuilt, from how many events, and how the tables in use differed from them.

    `uncompared` are tables that were too far behind the events to be compared.
    """

    projections: tuple[str, ...]
    events: int
    differences: tuple[RowDifference, ...]
    uncompared: tuple[str, ...]


class Rebuild:
    """One rebuild of projections of a schema, of all where no names are given. Raises UnknownProjection."""

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
        self._blocks = Blocks(schema)
        known = [each.table for each in PROJECTIONS]
        self._names = tuple(dict.fromkeys(names or known))
        if unknown := [name for name in self._names if name not in known]:
            raise UnknownProjection(f"no such projection: {', '.join(unknown)}; there are {', '.join(known)}")
        self._swapped = [each for each in PROJECTIONS if each.table in self._names]
        has_states = any(isinstance(each, StateRows) for each in self._swapped)
        self._staged = [each for each in PROJECTIONS if each in self._swapped or (has_states and each in STATES)]
        """All that are staged: the state of a stream is in both balance and renewal, so neither is staged alone."""
        self._catch_ups = [each for each in CATCH_UP if each in self._swapped]

    def run(self) -> RebuildResult:
        """Rebuild. Raises RebuildInProgress, psycopg.Error, MissingEvent, ProcessFailed, BadEvent."""
        with self._lock(), connect(self._database_url, autocommit=True) as connection:
            try:
                tail = self._fill(connection)
                self._catch_up(connection, tail)
                differing, uncompared = self._compare(connection, tail)
                self._catch_up(connection, tail)
                self._swap(connection, tail)
                self._fill_blocks(connection)
            finally:
                self._clean_up(connection)
        return RebuildResult(self._names, tail.position, tuple(differing), tuple(uncompared))

    @contextmanager
    def _lock(self) -> Iterator[None]:
        """Hold the lock of rebuilds in a transaction of its own, which reads nothing and so holds back no vacuum."""
        with connect(self._database_url) as connection:
            row = connection.execute(self._queries["try_lock"], {"schema": self._schema}).fetchone()
            if row is None or not row[0]:
                raise RebuildInProgress("another rebuild of this ledger is running")
            yield

    def _fill(self, connection: Connection[Any]) -> Tail:
        sums = [each for each in self._staged if isinstance(each, Sums)]
        connection.execute(self._queries["begin_fill"])
        for each in self._staged:
            self._staging.make(connection, each.table)
        for each in sums:
            self._staging.make_parts(connection, each.table)
        until = self._reader.last_position(connection)
        (streams,) = connection.execute(self._queries["count_streams"]).fetchone() or (0,)
        tables = frozenset(each.table for each in self._staged)
        task = FillTask(self._database_url, self._schema, self._decode, tables, until, (0,), 1)
        filled = fill_parts(task, int(streams), self._counter_of("Reading events", until), self._processes)
        tail = Tail(self._schema, self._decode, self._staged, until)
        for each in sums:
            connection.execute(statements.add_up(each, self._schema, parts=f"{SUFFIX}{PARTS}", into=SUFFIX))
        for each in self._staged:
            self._report(f"Indexing {each.table}", 0, 0)
            self._staging.index(connection, each.table)
        for each in self._staged:
            deferred = filled.deferred.get(each.table, ())
            for start in range(0, len(deferred), _DEFERRED_EVENTS_A_STEP):
                tail.apply(connection, each.table, deferred[start : start + _DEFERRED_EVENTS_A_STEP])
        return tail

    def _catch_up(self, connection: Connection[Any], tail: Tail) -> None:
        """Apply the newest events until few are left for the swap. Gives up where writers are faster."""
        for _ in range(100):
            tail.catch_up(connection)
            if self._reader.last_position(connection) - tail.position < MAX_SWAP_EVENTS // 4:
                return

    def _compare(self, connection: Connection[Any], tail: Tail) -> tuple[list[RowDifference], list[str]]:
        self._report("Comparing with the tables in use", 0, 0)
        differing, uncompared = list[RowDifference](), list[str]()
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
                    differing += differences(connection, self._schema, each, stale)
        return differing, uncompared

    def _swap(self, connection: Connection[Any], tail: Tail) -> None:
        """Swap as soon as the locks are available and few events are left to apply under them."""
        self._report("Swapping", 0, 0)
        pause_seconds = 0.05
        while True:
            try:
                if self._try_swap(connection, tail):
                    return
            except (psycopg.errors.LockNotAvailable, psycopg.errors.DeadlockDetected):
                self._report("Swapping: waiting for long readers to finish", 0, 0)
                time.sleep(pause_seconds)
                pause_seconds = min(2 * pause_seconds, _MAX_SWAP_PAUSE_SECONDS)
            self._catch_up(connection, tail)

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
            if last - tail.position > MAX_SWAP_EVENTS:
                return False
            position = tail.advance(connection, last)
            for table in tables:
                self._staging.swap(connection, table)
            for projection in self._catch_ups:
                self._positions.move(connection, projection.table, position)
            if MOVEMENTS in self._swapped:
                self._blocks.clear(connection)
        tail.position = position
        return True

    def _fill_blocks(self, connection: Connection[Any]) -> None:
        """Fill the blocks of new movements, one after the other, so that the projector waits for one at most."""
        is_filling = MOVEMENTS in self._swapped
        while is_filling:
            with connection.transaction():
                self._positions.lock(connection, MOVEMENTS.table)
                is_filling = self._blocks.fill(connection) > 0

    def _clean_up(self, connection: Connection[Any]) -> None:
        """Drop what was staged and not swapped in. Without a connection, the next rebuild does that."""
        if not connection.closed:
            for each in self._staged:
                self._staging.drop(connection, each.table)

    def _counter_of(self, stage: str, total: int) -> Callable[[int], None]:
        done = 0

        def count(events: int) -> None:
            nonlocal done
            done += events
            self._report(stage, done, total)

        return count
