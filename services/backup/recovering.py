"""Makes a database of the base and the log of a back-up, up to its end or to a commit before."""

import shutil
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from datetime import datetime
from pathlib import Path
from typing import Any

from msgspec import Struct
from psycopg import Connection, sql

from services.backup.archive import Archive, BadBackup
from services.postgres.database import connect
from services.postgres.embedded import EmbeddedPostgres, EmbeddedPostgresError

EMBEDDED_MAJOR = "18"
_WAL = "restored_wal"
"""The folder of the log within the cluster, where the server may read it."""
_BEYOND_THE_END = "recovery ended before configured recovery target was reached"
_BEFORE_THE_BASE = "recovery stop point is before consistent recovery point"


class Target(Struct, frozen=True):
    """Where to stop: at the last commit of an instant or before, or at the one with a position; at neither: the end."""

    at: datetime | None = None
    position: int | None = None


class Recovery:
    """Recovers the database of a back-up into a folder for an embedded PostgreSQL."""

    def __init__(self, archive: Archive, schema: str, make_server: Callable[[], EmbeddedPostgres]) -> None:
        self._archive = archive
        self._schema = schema
        self._make_server = make_server

    @contextmanager
    def run(self, target: Target) -> Iterator[EmbeddedPostgres]:
        """Recover, and run the server as long as this context. Raises BadBackup, EmbeddedPostgresError, OSError."""
        self._check_version()
        options = {} if target.at is None else {"recovery_target_time": target.at.isoformat()}
        if target.position is not None:
            options = self._options_of_position(target.position)
        try:
            with self._recovered(options) as server:
                yield server
        except _BeyondTheEnd:  # of an instant: the last commit of the back-up is the one
            with self._recovered({}) as server:
                yield server

    def _options_of_position(self, position: int) -> dict[str, str]:
        """Find the transaction that recorded a position: all is recovered once, to see it."""
        event = sql.SQL("SELECT xmin::text FROM {}.ledger_events WHERE notification_id = %s")
        last = sql.SQL("SELECT last_id FROM {}.head")
        with self._recovered({}) as server, connect(server.url, autocommit=True) as connection:
            newest = _one(connection, last.format(sql.Identifier(self._schema)))
            xid = _one(connection, event.format(sql.Identifier(self._schema)), position)
        if xid is None:
            raise BadBackup(f"the back-up ends with position {newest or 0:,}")
        if position <= (base := self._archive.manifest().position) and newest != position:
            raise BadBackup(
                f"the base of this back-up has position {base:,} already: restore to a later one, or all of it, "
                "or take an older back-up"
            )
        return {} if newest == position else {"recovery_target_xid": str(xid)}

    @contextmanager
    def _recovered(self, options: dict[str, str]) -> Iterator[EmbeddedPostgres]:
        server = self._make_server()
        cluster = server.data_dir / "cluster"
        self._lay_out(cluster, options)
        try:
            server.start()
        except EmbeddedPostgresError as error:
            raise _reason(error, server.log_file, options) from error
        try:
            _tidy(cluster)
            yield server
        finally:
            server.stop()

    def _lay_out(self, cluster: Path, options: dict[str, str]) -> None:
        """Copy base and log, and say how far to recover."""
        shutil.rmtree(cluster, ignore_errors=True)
        shutil.copytree(self._archive.base, cluster, symlinks=True)
        cluster.chmod(0o700)
        (cluster / _WAL).mkdir()
        for path in self._archive.wal.iterdir() if self._archive.wal.exists() else ():
            whole = self._archive.wal / path.name.removesuffix(".partial")
            if path == whole or not whole.exists():
                shutil.copy(path, cluster / _WAL / whole.name)
        (cluster / "recovery.signal").touch()
        options = {
            "restore_command": f'cp "{_WAL}/%f" "%p"',
            "recovery_target_timeline": "latest",
            "recovery_target_action": "promote",
            "hot_standby": "off",  # so that it answers once it is recovered
            **options,
        }
        lines = "".join(f"{name} = '{value}'\n" for name, value in options.items())
        automatic = cluster / "postgresql.auto.conf"
        shutil.copy(automatic, cluster / _WAL / automatic.name)
        with automatic.open("a") as file:
            file.write(lines)

    def _check_version(self) -> None:
        version = (self._archive.base / "PG_VERSION").read_text().strip()
        if version != EMBEDDED_MAJOR:
            raise BadBackup(
                f"this is a back-up of PostgreSQL {version}, and the embedded one is {EMBEDDED_MAJOR}: restore base "
                f"and wal with the programs of {version}, and run the service by its URL"
            )


class _BeyondTheEnd(Exception):
    """The back-up ends before the instant."""


def _reason(error: EmbeddedPostgresError, log_file: Path, options: dict[str, str]) -> Exception:
    log = log_file.read_text(errors="replace").rpartition("starting PostgreSQL")[2]
    if _BEFORE_THE_BASE in log:
        return BadBackup("the base of this back-up is newer than that: take an older back-up")
    return _BeyondTheEnd() if "recovery_target_time" in options and _BEYOND_THE_END in log else error


def _tidy(cluster: Path) -> None:
    """Remove what only the recovery needed."""
    automatic = cluster / "postgresql.auto.conf"
    automatic.write_text((cluster / _WAL / automatic.name).read_text())
    shutil.rmtree(cluster / _WAL)


def _one(connection: Connection[Any], query: sql.Composed, *arguments: Any) -> Any:
    row = connection.execute(query, arguments).fetchone()
    return None if row is None else row[0]
