"""Takes the base of a back-up, and follows the log of the database behind it."""

import secrets
import signal
import time
from collections.abc import Callable, Iterator
from contextlib import closing, contextmanager, suppress
from pathlib import Path
from subprocess import DEVNULL, PIPE, Popen
from typing import Any

import psycopg
from psycopg import Connection, sql
from psycopg.conninfo import make_conninfo

from services.backup import programs
from services.backup.archive import Archive, Manifest
from services.backup.programs import ProgramFailed
from services.ledger.ledger import utc_now
from services.postgres.database import connect

POLL_SECONDS = 0.2
KEEP_FILES_SECONDS = 1.0
LAST_SECONDS = 60.0
"""For so long the end of a back-up waits for what is committed."""


class Outside:
    """What a ledger has outside its database: its keys and its seals."""

    def __init__(self, keys: list[Path], seals: Path) -> None:
        self.keys = keys
        self.seals = seals


class Follower:
    """Backs up one ledger into a folder. Raises ProgramFailed, psycopg.Error, OSError."""

    def __init__(self, database_url: str, schema: str, archive: Archive, outside: Outside) -> None:
        self._database_url = database_url
        self._schema = schema
        self._archive = archive
        self._outside = outside

    def take_base(self) -> Manifest:
        """Copy the files of the database, then keys and seals: these are of no earlier moment."""
        # With the log that it needs to be whole; a checkpoint at once, since somebody waits.
        arguments = ("--pgdata", str(self._archive.base), "--wal-method=stream", "--checkpoint=fast")
        programs.run("pg_basebackup", self._database_url, *arguments)
        self.keep_files()
        manifest = Manifest(utc_now(), self._schema, self._position())
        self._archive.finish_base(manifest)
        return manifest

    def keep_files(self) -> None:
        """Copy keys and seals as they are now."""
        self._archive.keep_files(self._outside.keys, self._outside.seals)

    def follow(self, is_stopped: Callable[[], bool], on_base: Callable[[Manifest], None]) -> None:
        """Take the base and write the log behind it, until it is stopped and has what was committed by then."""
        name = f"tallystick_backup_{secrets.token_hex(4)}"
        with closing(connect(self._database_url, autocommit=True)) as connection, _slot(connection, name):
            receiver = programs.start(
                "pg_receivewal",
                make_conninfo(self._database_url, application_name=name),
                *("--directory", str(self._archive.wal), "--slot", name, "--synchronous"),
                stdin=DEVNULL,
                stdout=DEVNULL,
                stderr=PIPE,
            )
            try:
                on_base(self.take_base())
                while not is_stopped():
                    self._check(receiver)
                    self.keep_files()
                    time.sleep(KEEP_FILES_SECONDS)
                self._wait_for_what_is_committed(connection, name, receiver)
                self.keep_files()
            finally:
                receiver.send_signal(signal.SIGINT)
                receiver.communicate()

    def _wait_for_what_is_committed(self, connection: Connection[Any], name: str, receiver: "Popen[str]") -> None:
        (goal,) = connection.execute("SELECT pg_current_wal_flush_lsn()").fetchone() or (None,)
        query = "SELECT flush_lsn >= %s::pg_lsn FROM pg_stat_replication WHERE application_name = %s"
        give_up_at = time.monotonic() + LAST_SECONDS
        while connection.execute(query, [goal, name]).fetchone() != (True,):
            self._check(receiver)
            if time.monotonic() > give_up_at:
                raise ProgramFailed(f"pg_receivewal has not written what was committed within {LAST_SECONDS:.0f} s")
            time.sleep(POLL_SECONDS)

    def _check(self, receiver: "Popen[str]") -> None:
        if receiver.poll() is not None:
            _, errors = receiver.communicate()
            raise ProgramFailed(f"pg_receivewal ended with status {receiver.returncode}: {errors.strip()}")

    def _position(self) -> int:
        query = sql.SQL("SELECT last_id FROM {}.head").format(sql.Identifier(self._schema))
        with closing(connect(self._database_url, autocommit=True)) as connection:
            row = connection.execute(query).fetchone()
        return 0 if row is None else int(row[0])


@contextmanager
def _slot(connection: Connection[Any], name: str) -> Iterator[None]:
    """Have the server keep its log until it was received; not beyond the end, so that no disk fills up."""
    connection.execute("SELECT pg_create_physical_replication_slot(%s, true)", [name])
    try:
        yield
    finally:
        give_up_at = time.monotonic() + LAST_SECONDS
        with suppress(psycopg.OperationalError):  # the server is gone, and the slot will hold what it may
            while True:
                try:
                    connection.execute("SELECT pg_drop_replication_slot(%s)", [name])
                    break
                except psycopg.errors.ObjectInUse:
                    if time.monotonic() > give_up_at:
                        raise
                    time.sleep(POLL_SECONDS)
