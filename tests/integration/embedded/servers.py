"""Starts servers in processes of their own, kills their owners, and writes notes into them."""

import ctypes
import os
import shutil
import subprocess
import sys
import tempfile
import traceback
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from functools import partial
from pathlib import Path
from urllib.parse import parse_qs, urlsplit

import psutil
import psycopg
from psycopg.rows import scalar_row

from tests.leftovers import children
from tests.waiting import wait_until

CHECKOUT = Path(__file__).parents[3]

OWNER = """
import signal
import sys
import tempfile
from pathlib import Path
from services.postgres.embedded import EmbeddedPostgres
signal.signal(signal.SIGINT, signal.default_int_handler)  # whoever started the tests may ignore it, as `&` does
with EmbeddedPostgres(Path(sys.argv[1])) as server:
    print(server.url, flush=True)
    sys.stdin.read()
"""


@contextmanager
def own_place() -> Iterator[Path]:
    """Make a folder; at the end, kill every process whose working directory is below it, and remove it."""
    path = Path(tempfile.mkdtemp(prefix="embedded-"))
    try:
        yield path
    finally:
        end_processes_below(path)
        shutil.rmtree(path)


def end_processes_below(path: Path) -> None:
    """Kill them, and wait for their end."""
    for process in processes_below(path):
        process.kill()
    wait_until(lambda: not processes_below(path))


def processes_below(path: Path) -> list[psutil.Process]:
    """Find the living processes whose working directory is below a path."""
    found = []
    for process in psutil.process_iter(["cwd", "status"]):
        running = process.info["status"] != psutil.STATUS_ZOMBIE
        if running and (process.info["cwd"] or "").startswith(f"{path}/"):
            found.append(process)
    return found


@contextmanager
def owner_process(data_dir: Path) -> Iterator[subprocess.Popen[str]]:
    """Run a server in another process, which stops it when its standard input ends; kill that process at the end."""
    with subprocess.Popen(
        [sys.executable, "-c", OWNER, str(data_dir)],
        cwd=CHECKOUT,
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
        start_new_session=True,
    ) as owner:
        try:
            yield owner
        finally:
            owner.kill()


def read_line(owner: subprocess.Popen[str]) -> str:
    assert owner.stdout is not None
    return owner.stdout.readline().strip()


def abandoned_by_killed_owner(data_dir: Path) -> psutil.Process:
    """Start a server in another process, write the note "kept", and kill that process; return the server."""
    with owner_process(data_dir) as owner:
        url = read_line(owner)
        write_note(url, "kept")
        return psutil.Process(postmaster_pid(data_dir))


@contextmanager
def adopting_grandchildren() -> Iterator[None]:
    """Become the parent of processes whose parent dies, as the first process of a container does."""
    set_child_subreaper = partial(ctypes.CDLL(None).prctl, 36)
    before = children()
    assert set_child_subreaper(1) == 0
    try:
        yield
    finally:
        set_child_subreaper(0)
        for adopted in children() - before:
            os.waitpid(adopted, 0)


def in_a_fork(run: Callable[[], None]) -> None:
    """Run it in a fork of this process, where nothing needs to be readable that is loaded already."""
    if (fork := os.fork()) == 0:
        try:
            run()
            os._exit(0)
        finally:
            traceback.print_exc()
            os._exit(1)
    _, status = os.waitpid(fork, 0)
    assert status == 0, "see the captured output"


def postmaster_pid(data_dir: Path) -> int:
    return int((data_dir / "cluster" / "postmaster.pid").read_text().splitlines()[0])


def ask(url: str, query: str) -> str:
    """Return the one value of a query as text."""
    with psycopg.connect(url, autocommit=True, row_factory=scalar_row) as connection:
        return str(connection.execute(query.encode()).fetchone())


def write_note(url: str, text: str) -> None:
    with psycopg.connect(url) as connection:
        connection.execute("CREATE TABLE IF NOT EXISTS note (text text)")
        connection.execute("INSERT INTO note VALUES (%s)", [text])


def notes(url: str) -> str:
    return ask(url, "SELECT string_agg(text, ' ') FROM note")


def socket_dir(url: str) -> Path:
    return Path(parse_qs(urlsplit(url).query)["host"][0])
