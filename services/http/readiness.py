"""Checks whether this process can answer requests, part by part."""

from typing import Literal

import psycopg
import structlog
from msgspec import Struct

from services.http.backend import Backend
from services.migrations.revisions import missing_revisions

log = structlog.get_logger()


class Readiness(Struct, frozen=True):
    """`ready` where every part is."""

    status: Literal["ready", "not_ready"]
    database: bool
    migrations: bool
    writer_lane: bool


class ReadinessCheck:
    """Checks the parts of one backend."""

    def __init__(self, backend: Backend) -> None:
        self._backend = backend
        self._is_migrated = False

    def now(self) -> Readiness:
        """Check every part now."""
        database = self._database_answers()
        migrations = database and self._schema_is_up_to_date()
        writer_lane = self._backend.ledger.lane.is_alive
        is_ready = database and migrations and writer_lane
        return Readiness("ready" if is_ready else "not_ready", database, migrations, writer_lane)

    def _database_answers(self) -> bool:
        try:
            with self._backend.reads.connection() as connection:
                connection.execute("SELECT 1")
        except psycopg.Error as error:
            log.warning("the database does not answer", error=repr(error))
            return False
        return True

    def _schema_is_up_to_date(self) -> bool:
        """Query until it is so; from then on only a newer release could change it."""
        if not self._is_migrated:
            conninfo = self._backend.reads.conninfo
            url = conninfo if isinstance(conninfo, str) else conninfo()
            self._is_migrated = not missing_revisions(url, self._backend.schema)
        return self._is_migrated
