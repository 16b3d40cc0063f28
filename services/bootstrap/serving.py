"""The one place that wires: settings in, running parts out. Everything that connects or listens is made here."""

import os
import secrets
import signal
import socket
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from psycopg import Connection
from psycopg_pool import ConnectionPool

from projections.ledger_events import BadEvent, MissingEvent
from projections.rebuilding.processes import ProcessFailed
from projections.rebuilding.rebuild import RebuildRuns
from services.catalogue import Catalogue, CatalogueError, load_catalogue
from services.catalogue.packaged import PACKAGED_SOURCE, packaged
from services.config import Settings
from services.demo import Demo, Wanted
from services.http.app import create_app
from services.http.backend import Backend
from services.http.server.wire import server_of
from services.integrity.checkpoints import OtherKey
from services.integrity.sealing import KeyFile, LedgerIsOlder, Receipts, Sealer
from services.integrity.signing import NoSigningKey
from services.keys import KeyRing
from services.ledger.as_of import AsOf
from services.ledger.ledger import Ledger, utc_now
from services.ledger.mapper import UnreadableEvent
from services.migrations.migrate import SERVICE_ROLE, migrate, missing_revisions
from services.postgres.database import connect, reading_pool
from services.postgres.embedded import EmbeddedPostgres, EmbeddedPostgresError, running_url
from services.process.interpreter import set_for_serving

READING_CONNECTIONS = 8


class NoDatabase(RuntimeError):
    """No database is configured and no embedded one is running here."""


class NotMigrated(RuntimeError):
    """The ledger's schema is not up to date: run `tallystick migrate` first."""


MENDABLE = (
    CatalogueError,
    NoDatabase,
    NotMigrated,
    EmbeddedPostgresError,
    UnreadableEvent,
    MissingEvent,
    BadEvent,
    RebuildRuns,
    ProcessFailed,
    NoSigningKey,
    OtherKey,
    LedgerIsOlder,
    OSError,
)
"""What an operator can mend: said in one line, without a traceback."""


def catalogue_of(settings: Settings) -> Catalogue:
    """The configured catalogue. Raises CatalogueError with file, line and reason; OSError where it cannot be read."""
    if settings.catalogue is None:
        return load_catalogue(packaged(), PACKAGED_SOURCE)
    return load_catalogue(settings.catalogue.read_text(encoding="utf-8"), str(settings.catalogue))


def database_url_of(settings: Settings) -> str:
    """The configured database, or the embedded one that runs on the data directory. Raises NoDatabase."""
    url = settings.url or running_url(settings.data_dir / "postgres")
    if url is None:
        raise NoDatabase(
            f"no TALLYSTICK_DATABASE_URL, and no embedded PostgreSQL is running in {settings.data_dir}: "
            "`tallystick serve` starts one"
        )
    return url


@contextmanager
def database(settings: Settings, on_wait: Callable[[str], None]) -> Iterator[str]:
    """The URL of the configured database, or of an embedded one that runs as long as this context."""
    if settings.url:
        yield settings.url
        return
    settings.data_dir.mkdir(parents=True, exist_ok=True)
    with EmbeddedPostgres(settings.data_dir / "postgres", on_wait=on_wait) as server:
        yield server.url


def service_url_of(settings: Settings, database_url: str) -> str:
    """What the processes of a service connect to: on the embedded PostgreSQL with a role that cannot change events.

    A configured database is used as it is configured. `database_url` is the owner's, and its schema is migrated.
    """
    if settings.url:
        return settings.url
    with connect(database_url) as owner:
        owner.execute(f"ALTER ROLE {SERVICE_ROLE} LOGIN")
    return database_url.replace("://postgres@", f"://{SERVICE_ROLE}@", 1)


def upgrade_schema(settings: Settings) -> list[str]:
    """Apply the revisions that are missing, and name them. Raises NoDatabase."""
    return migrate(database_url_of(settings), settings.db_schema)


def prepare(settings: Settings, database_url: str) -> str | None:
    """Migrate, and make sure that there is a first key; the key where this made one up, to be shown once."""
    migrate(database_url, settings.db_schema)
    with reading_pool(database_url, size=1) as connections:
        keys = KeyRing(connections, settings.db_schema)
        if settings.bootstrap_key is not None:
            keys.ensure_bootstrap(settings.bootstrap_key.get_secret_value())
            return None
        if settings.url or keys.list():
            return None
        key = f"ts_bootstrap_{secrets.token_urlsafe(24)}"
        _keep_secret(settings.data_dir / "bootstrap.key", key)
        keys.ensure_bootstrap(key)
        return key


@contextmanager
def key_ring(settings: Settings) -> Iterator[KeyRing]:
    """The API keys of the ledger. Raises NoDatabase, NotMigrated."""
    with _reads(settings) as connections:
        yield KeyRing(connections, settings.db_schema)


@contextmanager
def ledger(settings: Settings) -> Iterator[Ledger]:
    """The ledger, open for commands and history. Raises NoDatabase, NotMigrated."""
    with Ledger(migrated_url(settings), settings.db_schema, catalogue_of(settings)) as opened:
        yield opened


@contextmanager
def as_of(settings: Settings) -> Iterator[tuple[AsOf, Connection[Any]]]:
    """The past of subscriptions, and a connection to read it on. Raises NoDatabase, NotMigrated."""
    with ledger(settings) as opened, connect(database_url_of(settings), autocommit=True) as connection:
        yield AsOf(opened.application, settings.db_schema, utc_now), connection


def key_file_of(settings: Settings) -> KeyFile:
    """Where the key that signs checkpoints and evidence is."""
    return KeyFile(settings.signing_key or settings.data_dir / "signing.key")


def receipts_of(settings: Settings) -> Receipts:
    """Where the receipts of checkpoints are: by schema, since a copy of a ledger in another one has fewer."""
    return Receipts(settings.data_dir / "checkpoints" / settings.db_schema)


def sealer_of(settings: Settings) -> Sealer:
    """What makes checkpoints."""
    return Sealer(settings.db_schema, key_file_of(settings), receipts_of(settings), utc_now)


@contextmanager
def backend(settings: Settings) -> Iterator[Backend]:
    """What the HTTP layer works on. Raises CatalogueError, NoDatabase, NotMigrated."""
    catalogue = catalogue_of(settings)
    database_url = migrated_url(settings)
    with _reads(settings) as connections, Ledger(database_url, settings.db_schema, catalogue) as opened:
        if settings.bootstrap_key is not None:
            KeyRing(connections, settings.db_schema).ensure_bootstrap(settings.bootstrap_key.get_secret_value())
        yield Backend(
            ledger=opened,
            reads=connections,
            connect=lambda: connect(database_url, autocommit=True),
            schema=settings.db_schema,
            catalogue=catalogue,
            keys=KeyRing(connections, settings.db_schema),
            clock=utc_now,
            test_clocks_enabled=settings.test_clocks,
            sealer=sealer_of(settings),
        )


def fill_demo(
    settings: Settings, subscriptions: int, events: int, seed: int, on_progress: Callable[[int], None]
) -> int:
    """Write a made-up history that ends now; how many events. Raises CatalogueError, NoDatabase, NotMigrated."""
    with ledger(settings) as opened, connect(database_url_of(settings)) as connection:
        set_for_serving()
        made_up = Demo(opened.application, settings.db_schema, catalogue_of(settings), seed)
        return made_up.fill(connection, Wanted(subscriptions, events, until=utc_now()), on_progress)


def run_api(settings: Settings, listening: socket.socket) -> None:
    """Answer HTTP on a socket until SIGTERM or SIGINT. Raises CatalogueError, NoDatabase, NotMigrated."""
    with backend(settings) as opened:
        server = server_of(create_app(opened))
        set_for_serving()
        # uvicorn stops in good order and then raises the signal again; an ordered stop is not a failure.
        for number in (signal.SIGINT, signal.SIGTERM):
            signal.signal(number, lambda _number, _frame: None)
        server.run(sockets=[listening])


@contextmanager
def _reads(settings: Settings) -> Iterator[ConnectionPool]:
    with reading_pool(migrated_url(settings), size=READING_CONNECTIONS) as connections:
        yield connections


def migrated_url(settings: Settings) -> str:
    """The database, whose schema is up to date. Raises NoDatabase, NotMigrated."""
    database_url = database_url_of(settings)
    if missing := missing_revisions(database_url, settings.db_schema):
        raise NotMigrated(f"revisions {', '.join(missing)} are missing: run `tallystick migrate` first")
    return database_url


def _keep_secret(path: Path, secret: str) -> None:
    """Write a secret that only its owner can read, whole or not at all."""
    unfinished = path.with_suffix(".new")
    unfinished.unlink(missing_ok=True)
    with os.fdopen(os.open(unfinished, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600), "w") as file:
        file.write(secret + "\n")
    unfinished.replace(path)
