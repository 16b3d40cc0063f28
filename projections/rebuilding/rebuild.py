"""Rebuilds read models from the events while writes go on, and puts them in place in one short transaction.

    make tables beside the old -> fill from the events -> follow the newest -> compare -> lock, last events, swap

Balance, renewal and charges are written with every command, so the swap first keeps writers out: it locks the balance
table, on which each of them begins, and the head row. Whoever waits there goes on with the new tables.
"""

import time
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import contextmanager
from functools import partial
from typing import Any

import psycopg
from msgspec import Struct
from psycopg import Connection

from projections.engine import CatchUp
from projections.ledger_events import Decode, EventReader
from projections.positions import Positions
from projections.rebuilding.compare import KEYS, STALE_STREAMS_LIMIT, Difference, differences
from projections.rebuilding.fold import BUILT_TABLES, Filled, FillTask
from projections.rebuilding.processes import fill_parts
from projections.rebuilding.staging import Staging, staged
from projections.rebuilding.tail import Tail
from projections.usage.catch_up import Usage
from services.postgres.database import connect
from services.postgres.sql import Queries, load_queries

INLINE = ("balance", "renewal", "charges")
SWAP_EVENTS_LIMIT = 1_000
_POSITIONS_AT_A_TIME = 100_000
_REVERSALS_AT_A_TIME = 1_000
_SWAP_PAUSE_LIMIT_SECONDS = 5.0

MakeCatchUps = Callable[[Callable[[Queries], Queries]], Sequence[CatchUp]]
"""Makes the projections that are not inline, over their statements as the given function changes them."""


class RebuildRuns(RuntimeError):
    """Another rebuild of this ledger is running."""


class UnknownProjection(LookupError):
    """There is no projection of this name."""


class Progress(Struct, frozen=True):
    """How far a rebuild is: the stage, in words, and events taken of all, where the stage counts them."""

    stage: str
    done: int = 0
    total: int = 0


class Rebuilt(Struct, frozen=True):
    """What was rebuilt: the events that it was made of, and how the tables in use had differed from it.

    `uncompared` are the tables that were too far behind the events to be compared.
    """

    projections: tuple[str, ...]
    events: int
    differences: tuple[Difference, ...]
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
        make_catch_ups: MakeCatchUps,
        on_progress: Callable[[Progress], None] = lambda _progress: None,
        processes: int | None = None,
    ) -> None:
        self._database_url = database_url
        self._schema = schema
        self._on_progress = on_progress
        self._decode = decode
        self._processes = processes
        self._queries = load_queries(__file__, "rebuild.sql", schema=schema)
        self._reader = EventReader(schema, decode)
        self._positions = Positions(schema)
        self._staging = Staging(schema)
        known = {each.name: each for each in make_catch_ups(lambda queries: queries)}
        self._names = tuple(dict.fromkeys(names or (*INLINE, *known)))
        if unknown := [name for name in self._names if name not in INLINE and name not in known]:
            there_are = ", ".join((*INLINE, *known))
            raise UnknownProjection(f"no such projection: {', '.join(unknown)}; there are {there_are}")
        self._catch_ups = [known[name] for name in self._names if name in known]
        self._swapped = [name for name in INLINE if name in self._names]
        self._swapped += [table for each in self._catch_ups for table in each.tables]
        states = ["balance", "renewal"] if {"balance", "renewal"} & set(self._names) else []
        self._tables = tuple(dict.fromkeys([*states, *self._swapped]))
        """What is built: the state of a stream is in both balance and renewal, so neither is built alone."""
        adapted = make_catch_ups(partial(staged, schema=schema, tables=self._tables))
        self._staged_catch_ups = [each for each in adapted if each.name in self._names]

    def run(self) -> Rebuilt:
        """Rebuild. Raises RebuildRuns, psycopg.Error, MissingEvent, ProcessFailed, BadEvent."""
        with self._alone(), connect(self._database_url, autocommit=True) as connection:
            fold = staged(load_queries(__file__, "fold.sql", schema=self._schema), self._schema, BUILT_TABLES)
            try:
                connection.execute(fold["begin_fill"])
                tail = self._fill(connection, fold)
                self._follow(connection, tail)
                found, uncompared = self._compare(connection, tail)
                self._follow(connection, tail)
                self._swap(connection, tail)
            finally:
                self._clean_up(connection, fold)
        return Rebuilt(self._names, tail.position, tuple(found), tuple(uncompared))

    @contextmanager
    def _alone(self) -> Iterator[None]:
        """A transaction beside everything else that holds the lock; it reads nothing, so it holds nothing back."""
        with connect(self._database_url) as connection:
            row = connection.execute(self._queries["begin_alone"], {"schema": self._schema}).fetchone()
            if row is None or not row[0]:
                raise RebuildRuns("another rebuild of this ledger is running")
            yield

    def _fill(self, connection: Connection[Any], fold: Queries) -> Tail:
        for table in self._tables:
            self._staging.make(connection, table)
        connection.execute(fold["drop_usage_parts"])
        if "usage" in self._tables:
            connection.execute(fold["make_usage_parts"])
        until = self._reader.last_position(connection)
        (streams,) = connection.execute(self._queries["count_streams"]).fetchone() or (0,)
        wanted = frozenset(self._tables) & frozenset(BUILT_TABLES)
        task = FillTask(self._database_url, self._schema, self._decode, wanted, until, (0,), 1)
        filled = fill_parts(task, int(streams), self._counted("Reading events", until), self._processes)
        tail = Tail(self._schema, self._reader, self._tables, self._staged_catch_ups, until)
        if "usage" in self._tables:
            connection.execute(fold["add_up_usage"])
        for table in self._tables:
            self._on_progress(Progress(f"Indexing {table}"))
            self._staging.index(connection, table)
        self._take_reversals(connection, tail, filled)
        self._fill_others(connection, until)
        return tail

    def _take_reversals(self, connection: Connection[Any], tail: Tail, filled: Filled) -> None:
        """Give back what was given back, now that every charge is in its place."""
        for start in range(0, len(filled.reversals), _REVERSALS_AT_A_TIME):
            some = filled.reversals[start : start + _REVERSALS_AT_A_TIME]
            if "charges" in self._tables:
                tail.take_charges(connection, some)
            for projection in self._staged_catch_ups:
                if isinstance(projection, Usage):
                    projection.apply(connection, some)

    def _fill_others(self, connection: Connection[Any], until: int) -> None:
        """Fill what has no way of its own through the ledger: by the projection's, from the first event on."""
        for projection in self._staged_catch_ups:
            if isinstance(projection, Usage):
                continue
            stage = f"Reading events for {projection.name}"
            for end, events in self._reader.events_of(
                connection, projection.topics, until=until, chunk=_POSITIONS_AT_A_TIME
            ):
                with connection.transaction():
                    projection.apply(connection, events)
                self._on_progress(Progress(stage, end, until))

    def _follow(self, connection: Connection[Any], tail: Tail) -> None:
        """Take the newest events until few are left for the swap, or for as long as writers outrun it."""
        for _ in range(100):
            tail.follow(connection)
            if self._reader.last_position(connection) - tail.position < SWAP_EVENTS_LIMIT // 4:
                return

    def _compare(self, connection: Connection[Any], tail: Tail) -> tuple[list[Difference], list[str]]:
        self._on_progress(Progress("Comparing with the tables in use"))
        found, uncompared = list[Difference](), list[str]()
        with connection.transaction():
            connection.execute(self._queries["begin_compare"])
            last = self._reader.last_position(connection)
            lags = {lag.projection: lag for lag in self._positions.lags(connection)}
            owners = {table: each.name for each in self._catch_ups for table in each.tables}
            for table in (table for table in self._swapped if table in KEYS):
                lag = lags.get(owners[table]) if table in owners else None
                stands_at = last if table not in owners else lag.position if lag else 0
                bounds = {"after": min(stands_at, tail.position), "until": max(stands_at, tail.position)}
                rows = connection.execute(
                    self._queries["select_stale_streams"], {**bounds, "limit": STALE_STREAMS_LIMIT}
                )
                stale = [id for (id,) in rows]
                if len(stale) == STALE_STREAMS_LIMIT:
                    uncompared.append(table)
                else:
                    found += differences(connection, self._schema, table, stale)
        return found, uncompared

    def _swap(self, connection: Connection[Any], tail: Tail) -> None:
        """Swap as soon as the locks can be had and little is left to do under them."""
        self._on_progress(Progress("Swapping"))
        pause_seconds = 0.05
        while True:
            try:
                if self._try_swap(connection, tail):
                    return
            except (psycopg.errors.LockNotAvailable, psycopg.errors.DeadlockDetected):
                self._on_progress(Progress("Swapping: waiting for long readers to finish"))
                time.sleep(pause_seconds)
                pause_seconds = min(2 * pause_seconds, _SWAP_PAUSE_LIMIT_SECONDS)
            self._follow(connection, tail)

    def _try_swap(self, connection: Connection[Any], tail: Tail) -> bool:
        inline = [table for table in INLINE if table in self._swapped]
        with connection.transaction():
            connection.execute(self._queries["begin_swap"])
            for projection in self._catch_ups:
                self._positions.lock(connection, projection.name)
            if inline:
                self._staging.lock(connection, ["balance"], "EXCLUSIVE")
            self._staging.lock(connection, self._swapped, "ACCESS EXCLUSIVE")
            if inline:
                connection.execute(self._queries["lock_head"])
            last = self._reader.last_position(connection)
            if last - tail.position > SWAP_EVENTS_LIMIT:
                return False
            position = tail.take(connection, last)
            for table in self._swapped:
                self._staging.swap(connection, table)
            for projection in self._catch_ups:
                self._positions.move(connection, projection.name, position)
        tail.position = position
        return True

    def _clean_up(self, connection: Connection[Any], fold: Queries) -> None:
        """Drop what was staged and not swapped in; where the database is gone, the next rebuild does."""
        if connection.closed:
            return
        connection.execute(fold["drop_usage_parts"])
        for table in self._tables:
            self._staging.drop(connection, table)

    def _counted(self, stage: str, total: int) -> Callable[[int], None]:
        done = 0

        def count(events: int) -> None:
            nonlocal done
            done += events
            self._on_progress(Progress(stage, done, total))

        return count
