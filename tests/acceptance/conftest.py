"""A running service for each test, and a client with every scope."""

import re
import sys
import tempfile
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import httpx
import pytest

from projections.engine import Engine
from services.catalogue import Catalogue
from services.catalogue.packaged import packaged
from services.http.server import limits
from services.ledger.mapper import decode_event
from services.postgres.database import connect
from tests.acceptance.server import Listener, Server, running_server
from tests.conftest import SCHEMA, SettableClock
from tests.processes import running


@pytest.fixture(autouse=True, scope="session")
def _failed_keys_are_answered_at_once() -> Iterator[None]:
    """Many tests ask with a key that there is not."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(limits, "FAILED_KEY_PAUSE_SECONDS", 0.0)
        yield


@pytest.fixture
def server(listener: Listener, database_url: str, catalogue: Catalogue, clock: SettableClock) -> Iterator[Server]:
    """The service on a database of its own, at the time of the test's clock."""
    with running_server(listener, database_url, catalogue, clock) as running:
        yield running


@pytest.fixture
def http(server: Server) -> Iterator[httpx.Client]:
    """A client whose key has every scope."""
    with server.client() as client:
        yield client


@pytest.fixture
def catch_up(database_url: str) -> Callable[[], None]:
    """Do what the projector does, now."""

    def run() -> None:
        with connect(database_url, autocommit=True) as connection:
            engine = Engine(lambda: connection, SCHEMA, decode_event)
            assert engine.catch_up(connection, timeout_seconds=60)

    return run


@pytest.fixture
def folder() -> Iterator[Path]:
    """A folder as a user has it after `make run`: the service runs, and the command is in `.venv`."""
    with tempfile.TemporaryDirectory(prefix="tallystick-test-") as name:
        folder = Path(name)
        (folder / ".venv/bin").mkdir(parents=True)
        (folder / ".venv/bin/tallystick").symlink_to(Path(sys.executable).parent / "tallystick")
        (folder / "services/catalogue").mkdir(parents=True)
        (folder / "services/catalogue/default.toml").write_text(packaged())
        yield folder


@pytest.fixture
def settings() -> dict[str, Any]:
    """Settings of the service in the folder that are not as they come."""
    return {}


@pytest.fixture
def port(folder: Path, settings: dict[str, Any]) -> Iterator[str]:
    """The port of a service started in the folder."""
    with running("serve", folder=folder, port=0, data_dir=None, **settings) as service:
        assert service.process.stdout is not None
        ready = re.fullmatch(
            r"Tallystick is ready on http://127\.0\.0\.1:(\d+) .*\n", service.process.stdout.readline()
        )
        assert ready is not None
        yield ready[1]
        service.stop()
