"""What tests with real parts share: a PostgreSQL per test process, a migrated database per test, a clock to set."""

import os
import tempfile
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import UTC, datetime, timedelta
from itertools import count
from pathlib import Path
from typing import TYPE_CHECKING

import psycopg
import pytest
import structlog
from hypothesis import HealthCheck, settings
from psycopg import sql

from services.catalogue import Catalogue, load_catalogue
from services.catalogue.packaged import PACKAGED_SOURCE, packaged
from services.ledger import lane
from services.ledger.ledger import Ledger
from services.migrations.migrate import migrate
from services.postgres import database
from services.postgres.embedded import EmbeddedPostgres
from tests.leftovers import children, end_left_children, left_threads
from tests.other_postgres import PROGRAMS, OtherPostgres
from tests.scratch import prefer_memory
from tests.waiting import PATIENCE_SECONDS

if TYPE_CHECKING:
    from tests.acceptance.server import Listener

# As the product logs: a rich traceback, structlog's default, takes seconds to render the locals of every frame.
structlog.configure(
    processors=[
        structlog.processors.add_log_level,
        structlog.dev.ConsoleRenderer(colors=False, exception_formatter=structlog.dev.plain_traceback),
    ]
)

settings.register_profile("any machine", deadline=None, suppress_health_check=[HealthCheck.too_slow])
settings.load_profile("any machine")

SCHEMA = "tallystick"
TEMPLATE = "migrated"

_numbers = count(1)


class SettableClock:
    """A clock that stands still until it is moved."""

    def __init__(self, now: datetime) -> None:
        self.now = now

    def __call__(self) -> datetime:
        return self.now

    def advance(self, **duration: float) -> None:
        """Move on by so many `days`, `seconds`, `microseconds`, ..."""
        self.now += timedelta(**duration)


def pytest_configure(config: pytest.Config) -> None:
    """Choose where files lie, before anything asks for a temporary folder."""
    if "not long" in config.option.markexpr:  # what is measured with `-m long` is measured on the disk
        prefer_memory()


@pytest.fixture(autouse=True)
def _nothing_is_left_behind() -> Iterator[None]:
    """Fail the test that started a process or a thread and did not wait for its end."""
    processes, threads = children(), threading.enumerate()
    yield
    left = [*end_left_children(processes), *left_threads(threads)]
    assert not left, f"left behind: {left}"


@pytest.fixture(autouse=True, scope="session")
def _product_is_patient() -> Iterator[None]:
    """Let the product wait as long as the tests: a slow machine may take longer than the seconds it waits for."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(lane, "PATIENCE_SECONDS", PATIENCE_SECONDS)
        patch.setattr(database, "CONNECT_TIMEOUT_SECONDS", PATIENCE_SECONDS)
        yield


@pytest.fixture(scope="session")
def postgres() -> Iterator[EmbeddedPostgres]:
    """A PostgreSQL of this test process's own. Durability is tested where it matters, on servers of those tests."""
    with tempfile.TemporaryDirectory(prefix="tallystick-test-") as folder:
        server_settings = {"fsync": "off", "full_page_writes": "off", "max_wal_size": "256MB", "max_connections": "200"}
        data_dir = Path(folder) / "postgres"
        if PROGRAMS in os.environ:
            options = [f"--{name}={value}" for name, value in server_settings.items()]
            chosen: EmbeddedPostgres = OtherPostgres(data_dir, Path(os.environ[PROGRAMS]), *options)
        else:
            chosen = EmbeddedPostgres(data_dir, settings=server_settings, scratch=True)
        with chosen as server:
            with psycopg.connect(server.url, autocommit=True) as connection:
                connection.execute(sql.SQL("CREATE DATABASE {}").format(sql.Identifier(TEMPLATE)))
            migrate(url_of(server, TEMPLATE), SCHEMA)
            yield server


@pytest.fixture
def database_url(postgres: EmbeddedPostgres) -> Iterator[str]:
    """A database of the test's own, migrated and empty."""
    with database_like(postgres, TEMPLATE) as url:
        yield url


@contextmanager
def database_like(server: EmbeddedPostgres, template: str) -> Iterator[str]:
    """Copy a database to which nobody is connected; yield the address of the copy, which is dropped at the end."""
    name = f"test_{next(_numbers)}"
    with psycopg.connect(server.url, autocommit=True) as connection:
        connection.execute(
            sql.SQL("CREATE DATABASE {} TEMPLATE {} STRATEGY FILE_COPY").format(
                sql.Identifier(name), sql.Identifier(template)
            )
        )
    yield url_of(server, name)
    with psycopg.connect(server.url, autocommit=True) as connection:
        connection.execute(sql.SQL("DROP DATABASE {} WITH (FORCE)").format(sql.Identifier(name)))


@pytest.fixture(scope="session")
def listener() -> Iterator["Listener"]:
    """The HTTP server of this test process."""
    from tests.acceptance.server import running_listener  # only here: tests without HTTP need no FastAPI

    with running_listener() as listener:
        yield listener


@pytest.fixture(scope="session")
def catalogue() -> Catalogue:
    """The packaged catalogue."""
    return load_catalogue(packaged(), PACKAGED_SOURCE)


@pytest.fixture
def clock() -> SettableClock:
    """A clock that stands at noon of 15 January 2026."""
    return SettableClock(datetime(2026, 1, 15, 12, tzinfo=UTC))


@pytest.fixture
def ledger(database_url: str, catalogue: Catalogue, clock: SettableClock) -> Iterator[Ledger]:
    """An open ledger on the test's database and clock."""
    with Ledger(database_url, SCHEMA, catalogue, clock=clock) as opened:
        yield opened


def url_of(server: EmbeddedPostgres, database: str) -> str:
    """Return the address of another database of the server."""
    return server.url.replace("@/tallystick?", f"@/{database}?")
