"""Runs the catch-up projections: each follows the ledger by position, a moment behind it.

A transaction applies up to 1,000 events and moves the position, so each event counts exactly once, crashes included. An
event that a projection cannot apply stops that projection at its position until the program starts again or the
projection is rebuilt. The other projections go on, and writes never wait.
"""

import threading
import time
from collections.abc import Callable, Sequence
from typing import Any

import psycopg
import structlog
from psycopg import Connection

from projections.declaration import CatchUp
from projections.ledger_events import Decode, EventReader
from projections.positions import Lag, Positions
from projections.registry import CATCH_UP
from projections.writers import writer_of
from services.postgres.database import Connect

log = structlog.get_logger()

EVENTS_A_TRANSACTION = 1_000
POLL_SECONDS = 0.03
_PAUSE_LIMIT_SECONDS = 5.0


class Engine:
    """Catches projections up in rounds, on one connection, in the caller's thread."""

    def __init__(
        self,
        connect: Connect,
        schema: str,
        decode: Decode,
        projections: Sequence[CatchUp] = CATCH_UP,
        on_round: Callable[[Sequence[Lag]], None] = lambda _lags: None,
    ) -> None:
        self._connect = connect
        self._reader = EventReader(schema, decode)
        self._positions = Positions(schema)
        self._projections = [each.table for each in projections]
        self._writers = {each.table: writer_of(each, schema, self._reader) for each in projections}
        self._topics = {each.table: {kind.__name__ for kind in each.events} for each in projections}
        self._on_round = on_round
        self._singles = dict.fromkeys(self._projections, 0)
        """By name, how many of the next transactions apply one event each, to find the event that made one fail."""

    def run(self, stopping: threading.Event) -> None:
        """Catch up until `stopping` is set. While the database is unreachable, try again."""
        pause_seconds = POLL_SECONDS
        while not stopping.is_set():
            try:
                with self._connect() as connection:
                    connection.autocommit = True
                    self.begin(connection)
                    pause_seconds = POLL_SECONDS
                    while not stopping.is_set():
                        if not self.round(connection):
                            stopping.wait(POLL_SECONDS)
            except (psycopg.OperationalError, psycopg.InterfaceError) as error:
                log.warning("the projector lost the database and tries again", error=str(error))
                stopping.wait(pause_seconds)
                pause_seconds = min(pause_seconds * 2, _PAUSE_LIMIT_SECONDS)

    def begin(self, connection: Connection[Any]) -> None:
        """Register the projections and clear their stops, since this program may be a corrected one."""
        for name in self._projections:
            with connection.transaction():
                position, _ = self._positions.lock(connection, name)
                self._positions.move(connection, name, position)

    def round(self, connection: Connection[Any]) -> bool:
        """Run one transaction of every projection that is behind. Returns whether one has more to do at once."""
        lags = self._positions.lags(connection)
        self._on_round([lag for lag in lags if lag.projection in self._projections])
        behind = [lag for lag in lags if lag.projection in self._projections and lag.lag_events]
        steps = [self._step(connection, lag) for lag in behind if lag.stopped_at_position is None]
        return True in steps

    def catch_up(self, connection: Connection[Any], *, timeout_seconds: float) -> bool:
        """Catch up with the events recorded by now. Returns False where a projection is stopped or time runs out."""
        self.begin(connection)
        target = self._reader.last_position(connection)
        give_up_at = time.monotonic() + timeout_seconds
        while time.monotonic() < give_up_at:
            self.round(connection)
            lags = [lag for lag in self._positions.lags(connection) if lag.projection in self._projections]
            if any(lag.stopped_at_position is not None for lag in lags):
                return False
            if all(lag.position >= target for lag in lags):
                return True
        return False

    def _step(self, connection: Connection[Any], lag: Lag) -> bool:
        """Run one transaction of one projection. Returns whether it has more to do at once."""
        name, is_single = lag.projection, self._singles[lag.projection] > 0
        limit = 1 if is_single else EVENTS_A_TRANSACTION
        try:
            applied = self._advance(connection, name, limit)
        except (psycopg.OperationalError, psycopg.InterfaceError):
            raise
        except Exception as defect:
            if not is_single:
                self._singles[name] = EVENTS_A_TRANSACTION
                return True
            log.exception("a projection is stopped by an event", projection=name, position=lag.position + 1)
            because = f"{type(defect).__name__}: {defect}"
            self._positions.record_stop(connection, name, lag.position + 1, because)
            return False
        self._singles[name] = max(0, self._singles[name] - 1)
        return applied == limit

    def _advance(self, connection: Connection[Any], name: str, limit: int) -> int:
        """Apply the next events, at most `limit`, whatever their types. Returns how many they were."""
        with connection.transaction():
            position, stopped_at = self._positions.lock(connection, name)
            if stopped_at is not None:
                return 0
            rows = self._reader.rows(connection, after=position, limit=limit)
            if rows:
                events = [self._reader.decode(row) for row in rows if row.topic in self._topics[name]]
                self._writers[name].apply(connection, events)
                self._positions.move(connection, name, rows[-1].position)
            return len(rows)
