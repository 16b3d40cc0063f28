"""A running service for each test, and a client with every scope."""

import os
import re
import signal
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from pathlib import Path

import httpx
import pytest

from services.catalogue import Catalogue
from tests.acceptance.server import Server, running_server
from tests.conftest import SettableClock


@pytest.fixture
def server(database_url: str, catalogue: Catalogue, clock: SettableClock) -> Iterator[Server]:
    """The service on a database of its own, at the time of the test's clock."""
    with running_server(database_url, catalogue, clock) as running:
        yield running


@pytest.fixture
def http(server: Server) -> Iterator[httpx.Client]:
    """A client whose key has every scope."""
    with server.client() as client:
        yield client


@pytest.fixture
def folder() -> Iterator[Path]:
    """A folder as a user has it after `make run`: the service runs, and the command is in `.venv`."""
    with tempfile.TemporaryDirectory(prefix="tallystick-test-") as name:
        folder = Path(name)
        (folder / ".venv/bin").mkdir(parents=True)
        (folder / ".venv/bin/tallystick").symlink_to(Path(sys.executable).parent / "tallystick")
        yield folder


@pytest.fixture
def port(folder: Path) -> Iterator[str]:
    """The port of a service started in the folder, with its settings as they come."""
    environment = {**os.environ, "TALLYSTICK_PORT": "0", "PYTHONPATH": str(Path(__file__).parents[2])}
    arguments = [sys.executable, "-m", "services.cli", "serve"]
    service = subprocess.Popen(arguments, cwd=folder, env=environment, stdout=subprocess.PIPE, text=True)
    assert service.stdout is not None
    ready = re.fullmatch(r"Tallystick is ready on http://127\.0\.0\.1:(\d+) .*\n", service.stdout.readline())
    assert ready is not None
    yield ready[1]
    service.send_signal(signal.SIGTERM)
    service.communicate(timeout=60)
    assert service.returncode == 0
