"""Runs what is measured as a user would: one durable PostgreSQL and the service's own processes. Reads CPU times."""

import os
import resource
import secrets
import socket
import subprocess
import sys
import tempfile
import time
import urllib.request
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path

import psutil
import psycopg
from psycopg import sql

from services.postgres.embedded import EmbeddedPostgres

HERE = Path(__file__).parent
ROOT = HERE.parent.parent
CATALOGUE = HERE / "catalogue.toml"
SCHEMA = "tallystick"
START_SECONDS = 30.0
EVENTS_A_CUSTOMER = 1_000


@dataclass(frozen=True)
class Stand:
    """The server that both sides are measured on."""

    postgres: EmbeddedPostgres
    processes: int
    """The number of API processes of the service."""

    def database(self, name: str) -> str:
        """The URL of a new, empty database."""
        with psycopg.connect(self.postgres.url, autocommit=True) as connection:
            connection.execute(sql.SQL("CREATE DATABASE {}").format(sql.Identifier(name)))
        return self.postgres.url.replace("@/tallystick?", f"@/{name}?")

    def drop(self, name: str) -> None:
        """Delete a database."""
        with psycopg.connect(self.postgres.url, autocommit=True) as connection:
            connection.execute(sql.SQL("DROP DATABASE {} WITH (FORCE)").format(sql.Identifier(name)))

    def checkpoint(self) -> None:
        """Write dirty pages out, so that no run pays for the one before it."""
        with psycopg.connect(self.postgres.url, autocommit=True) as connection:
            connection.execute("CHECKPOINT")

    def postgres_cpu_seconds(self) -> float:
        """The CPU time of the server so far, ended processes included."""
        server = psutil.Process(self.postgres.pid)
        ended = server.cpu_times()
        return ended.children_user + ended.children_system + tree_cpu_seconds(server)


@dataclass(frozen=True)
class Service:
    """A running `tallystick api`."""

    url: str
    key: str
    database_url: str
    environment: Mapping[str, str]
    process: psutil.Process

    def cpu_seconds(self) -> float:
        """The CPU time of its processes so far."""
        return tree_cpu_seconds(self.process)

    def memory_bytes(self) -> int:
        """The resident memory of its processes."""
        return sum(each.memory_info().rss for each in (self.process, *self.process.children(recursive=True)))


@contextmanager
def open_stand(processes: int) -> Iterator[Stand]:
    """A new PostgreSQL with the settings of `tallystick serve`, deleted at the end of the context."""
    with (
        tempfile.TemporaryDirectory(prefix="tallystick-bench-") as folder,
        EmbeddedPostgres(Path(folder) / "postgres") as server,
    ):
        yield Stand(server, processes)


@contextmanager
def running_service(stand: Stand, database_url: str, *, events: int = 0) -> Iterator[Service]:
    """Run `tallystick migrate`, `demo` where events are asked for, then `api` until the end of the context."""
    port, key = free_port(), f"ts_bench_{secrets.token_urlsafe(24)}"
    environment = {
        **os.environ,
        "TALLYSTICK_DATABASE_URL": database_url,
        "TALLYSTICK_PORT": str(port),
        "TALLYSTICK_BOOTSTRAP_KEY": key,
        "TALLYSTICK_CATALOGUE": str(CATALOGUE),
        "TALLYSTICK_WORKERS": str(stand.processes),
        "TALLYSTICK_LOG_LEVEL": "error",
    }
    program = [sys.executable, "-m", "services.cli"]
    subprocess.run([*program, "migrate"], env=environment, check=True, stdout=subprocess.DEVNULL)
    if events:
        customers = ["--subscriptions", str(max(1, events // EVENTS_A_CUSTOMER)), "--events", str(events)]
        subprocess.run([*program, "demo", *customers], env=environment, check=True, stdout=subprocess.DEVNULL)
        with psycopg.connect(database_url, autocommit=True) as connection:
            connection.execute("VACUUM ANALYZE")
    url = f"http://127.0.0.1:{port}"
    with running([*program, "api"], f"{url}/readyz", environment) as process:
        yield Service(url, key, database_url, environment, process)


@contextmanager
def running_noop(stand: Stand) -> Iterator[str]:
    """Run the no-op app under the same app server with as many processes. Its value is the URL."""
    port = free_port()
    command = [sys.executable, "-m", "uvicorn", "tests.bench.noop:app", "--port", str(port), "--no-access-log"]
    command += ["--log-level", "error", "--workers", str(stand.processes)]
    with running(command, f"http://127.0.0.1:{port}/noop", dict(os.environ)):
        yield f"http://127.0.0.1:{port}"


@contextmanager
def running(command: Sequence[str], ready_url: str, environment: Mapping[str, str]) -> Iterator[psutil.Process]:
    """Run a process tree that answers at `ready_url`. Raises RuntimeError where it ends or does not answer in time."""
    process = psutil.Popen(command, env=environment, cwd=ROOT)
    try:
        give_up_at = time.monotonic() + START_SECONDS
        while not _answers(ready_url):
            if process.poll() is not None or time.monotonic() > give_up_at:
                raise RuntimeError(f"{' '.join(command[2:])} did not start")
            time.sleep(0.05)
        yield process
    finally:
        process.terminate()
        process.wait(30)


def tree_cpu_seconds(root: psutil.Process) -> float:
    """The user and system time of a process and of its descendants that still run."""
    total = 0.0
    for process in (root, *root.children(recursive=True)):
        with suppress(psutil.NoSuchProcess):
            times = process.cpu_times()
            total += times.user + times.system
    return total


def own_children_cpu_seconds() -> float:
    """The user and system time of this process's children that have ended."""
    times = resource.getrusage(resource.RUSAGE_CHILDREN)
    return times.ru_utime + times.ru_stime


def free_port() -> int:
    """A port that nothing listens on."""
    with socket.create_server(("127.0.0.1", 0)) as listening:
        port: int = listening.getsockname()[1]
        return port


def _answers(url: str) -> bool:
    with suppress(OSError), urllib.request.urlopen(url, timeout=2):
        return True
    return False
