"""`tallystick projector` as a process: it catches up, shows how far it is, and stops in good order."""

import os
import signal
import socket
import subprocess
import sys
import time
import urllib.error
import urllib.request
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

import psycopg

from services.ledger.ledger import Ledger
from tests.conftest import SettableClock
from tests.integration.audit.lives import Lives


def free_port() -> int:
    with socket.socket() as probing:
        probing.bind(("127.0.0.1", 0))
        port: int = probing.getsockname()[1]
        return port


@contextmanager
def running_projector(database_url: str, port: int, folder: Path) -> Iterator[subprocess.Popen[bytes]]:
    environment = {
        **os.environ,
        "TALLYSTICK_DATABASE_URL": database_url,
        "TALLYSTICK_PORT": str(port),
        "TALLYSTICK_DATA_DIR": str(folder),
    }
    with subprocess.Popen([sys.executable, "-m", "services.cli", "projector"], env=environment) as process:
        try:
            yield process
        finally:
            process.kill()


def page(port: int, path: str) -> str:
    """What the address answers, as soon as it does."""
    while True:
        with suppress(urllib.error.URLError), urllib.request.urlopen(f"http://127.0.0.1:{port}{path}") as answer:
            body: bytes = answer.read()
            return body.decode()
        time.sleep(0.05)


def test_it_catches_up_says_so_and_stops_when_asked(
    ledger: Ledger, clock: SettableClock, database_url: str, tmp_path: Path
) -> None:
    lives = Lives(ledger, clock)
    lives.start(3)
    port = free_port()
    with running_projector(database_url, port, tmp_path) as process:
        assert page(port, "/livez") == "alive\n"
        lives.go_on(50)
        with psycopg.connect(database_url, autocommit=True) as connection:
            last = connection.execute("SELECT last_id FROM tallystick.head").fetchone()
            assert last is not None
            wanted = f'tallystick_projection_position{{projection="usage"}} {float(last[0])}'
            while wanted not in (metrics := page(port, "/metrics")):
                assert process.poll() is None
                time.sleep(0.05)
        assert 'tallystick_projection_lag_events{projection="usage"} 0.0' in metrics
        assert 'tallystick_projection_stopped{projection="usage"} 0.0' in metrics
        process.send_signal(signal.SIGTERM)
        assert process.wait() == 0


def test_a_schema_that_is_not_migrated_is_said_in_one_line(database_url: str, tmp_path: Path) -> None:
    environment = {**os.environ, "TALLYSTICK_DATABASE_URL": database_url, "TALLYSTICK_DB_SCHEMA": "elsewhere"}
    command = [sys.executable, "-m", "services.cli", "projector", "--no-http"]
    ended = subprocess.run(command, env=environment, cwd=tmp_path, capture_output=True, text=True, check=False)
    assert ended.returncode == 1
    assert "run `tallystick migrate` first" in ended.stderr
    assert "Traceback" not in ended.stderr
