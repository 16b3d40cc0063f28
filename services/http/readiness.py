"""Checks whether this process can charge, part by part."""

import os
from datetime import datetime
from typing import Any, Literal

import psycopg
import structlog
from msgspec import Struct
from psycopg import Connection

from projections.positions import Positions
from services.http.backend import Backend
from services.integrity.sealing.status import LogStatus, LogStatuses
from services.ledger import clock_guard
from services.ledger.clock_guard import ClockDiffers, refuse_difference
from services.migrations.revisions import NewerSchema, missing_on
from services.postgres.database import read_again
from services.postgres.sql import load_queries

STUCK_SECONDS = 10.0
"""A writer lane that is so long at one batch gets nowhere."""
_PROBE_BYTES = 256 * 1024

log = structlog.get_logger()


class Readiness(Struct, frozen=True):
    """`ready` where every part is: charges can be made.

    `database`: it answers. `writable`: it takes writes. `migrations`: its schema is that of this version. `clock`: it
    is within two seconds of this machine's. `writer_lane`: commands are taken and answered. `accepting`: this process
    is not about to stop. The lag is that of the catch-up projection that is furthest behind, which keeps nobody from
    charging. Nor does a sealer that refuses, or an event that no quorum of witnesses has seen; `unwitnessed_seconds`
    is the age of the oldest such event.
    """

    status: Literal["ready", "not_ready"]
    database: bool
    writable: bool
    migrations: bool
    clock: bool
    writer_lane: bool
    accepting: bool
    projection_lag_events: int | None
    sealing: Literal["ok", "refused"] | None
    unwitnessed_seconds: float | None

    @staticmethod
    def without_database(*, is_lane_well: bool) -> "Readiness":
        """Say that the database does not answer, so that nothing else is known of it."""
        return Readiness(
            "not_ready",
            database=False,
            writable=False,
            migrations=False,
            clock=False,
            writer_lane=is_lane_well,
            accepting=True,
            projection_lag_events=None,
            sealing=None,
            unwitnessed_seconds=None,
        )


class ReadinessCheck:
    """Checks the parts of one backend. For threads."""

    def __init__(self, backend: Backend, log_statuses: LogStatuses) -> None:
        self._backend = backend
        self._log_statuses = log_statuses
        self._positions = Positions(backend.schema)
        self._queries = load_queries(__file__, "readiness.sql", schema=backend.schema)

    def now(self) -> Readiness:
        """Check every part now. Never raises for a database that cannot be reached."""
        lane = self._backend.ledger.lane
        is_lane_well = lane.is_alive and lane.busy_seconds < STUCK_SECONDS
        try:
            found = read_again(self._ask_database)
        except psycopg.Error as error:
            log.warning("the database does not answer", error=repr(error))
            return Readiness.without_database(is_lane_well=is_lane_well)
        is_writable, is_migrated, is_clock_right, lag_events, log_status = found
        is_ready = is_writable and is_migrated and is_clock_right and is_lane_well
        return Readiness(
            "ready" if is_ready else "not_ready",
            database=True,
            writable=is_writable,
            migrations=is_migrated,
            clock=is_clock_right,
            writer_lane=is_lane_well,
            accepting=True,
            projection_lag_events=lag_events,
            sealing=None if log_status is None else "refused" if log_status.refused else "ok",
            unwitnessed_seconds=None if log_status is None else log_status.unwitnessed_seconds,
        )

    def _ask_database(self) -> tuple[bool, bool, bool, int | None, LogStatus | None]:
        with self._backend.reads.connection() as connection:
            before = clock_guard.machine_clock()
            row = connection.execute(self._queries["describe_server"]).fetchone()
            after = clock_guard.machine_clock()
            assert row is not None
            takes_writes, clock = row
            is_migrated = self._is_migrated(connection)
            lags = self._positions.lags(connection) if is_migrated else []
            return (
                takes_writes and self._has_room(connection),
                is_migrated,
                _is_right(clock, before, after),
                max((lag.lag_events for lag in lags), default=None),
                self._log_statuses.now(connection) if is_migrated else None,
            )

    def _is_migrated(self, connection: Connection[Any]) -> bool:
        try:
            return not missing_on(connection, self._backend.schema)
        except NewerSchema as error:
            log.warning("the schema is of a later version", error=str(error))
            return False

    def _has_room(self, connection: Connection[Any]) -> bool:
        """Try a write, which is rolled back, where the last one of the lane has failed."""
        lane = self._backend.ledger.lane
        if lane.write_failure is None:
            return True
        try:
            with connection.transaction(force_rollback=True):
                connection.execute(self._queries["probe"], {"bytes": os.urandom(_PROBE_BYTES)})
        except psycopg.Error as error:
            log.warning("the database takes no writes", error=repr(error))
            return False
        lane.write_failure = None
        return True


def _is_right(database: datetime, before: datetime, after: datetime) -> bool:
    try:
        refuse_difference(database, before, after)
    except ClockDiffers as error:
        log.warning("nothing is decided", error=str(error))
        return False
    return True
