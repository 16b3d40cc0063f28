"""Finds or starts the database of the settings, brings its schema up to date, and connects to it."""

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from functools import partial
from pathlib import Path
from typing import Any, NamedTuple

from psycopg import Connection, ProgrammingError
from psycopg.conninfo import conninfo_to_dict, make_conninfo

from services.config import Settings
from services.migrations import SERVICE_ROLE
from services.migrations.revisions import missing_revisions
from services.postgres.database import connect
from services.postgres.embedded import EmbeddedPostgres, running_url
from services.postgres.embedded.server import BIN_DIR
from services.postgres.sessions import require_prepared_statements


class NoDatabase(RuntimeError):
    """No database is configured and no embedded one is running here."""


class NotMigrated(RuntimeError):
    """The ledger's schema is not up to date: run `tallystick migrate` first."""


class BadDatabaseUrl(ValueError):
    """The configured URL of the database has not the form of one. The message shows no part of it, nor a password."""


def database_url_of(settings: Settings) -> str:
    """The URL of the configured database, or of the embedded one. Raises NoDatabase, BadDatabaseUrl."""
    url = _configured_url(settings) or running_url(settings.data_dir / "postgres")
    if url is None:
        raise NoDatabase(
            f"no TALLYSTICK_DATABASE_URL, and no embedded PostgreSQL is running in {settings.data_dir}: "
            "`tallystick serve` starts one"
        )
    return url


def _configured_url(settings: Settings) -> str | None:
    if settings.url is not None:
        try:
            conninfo_to_dict(settings.url)
        except ProgrammingError:
            raise BadDatabaseUrl(
                "TALLYSTICK_DATABASE_URL: expected postgresql://USER:PASSWORD@HOST:PORT/DATABASE, with any other "
                "character in it than letters, digits and -._~ written as %XX"
            ) from None
    return settings.url


def migrated_url_of(settings: Settings) -> str:
    """The URL of a database whose schema is up to date. Raises NoDatabase, BadDatabaseUrl, NotMigrated, NewerSchema."""
    database_url = database_url_of(settings)
    if missing := missing_revisions(database_url, settings.db_schema):
        raise NotMigrated(f"revisions {', '.join(missing)} are missing: run `tallystick migrate` first")
    return database_url


def serving_url_of(settings: Settings) -> str:
    """The same, for a process that serves: a pooler before the database must follow prepared statements.

    Raises as `migrated_url_of` does, and UnfitServer.
    """
    database_url = migrated_url_of(settings)
    require_prepared_statements(partial(connect, database_url, autocommit=True))
    return database_url


def connect_migrated(settings: Settings) -> Connection[Any]:
    """An autocommit connection to a database whose schema is up to date. Raises NoDatabase, NotMigrated."""
    return connect(migrated_url_of(settings), autocommit=True)


def upgrade_schema(settings: Settings) -> list[str]:
    """Apply the revisions that are missing, and return their names, oldest first. Raises NoDatabase, BadDatabaseUrl."""
    return _migrate(database_url_of(settings), settings.db_schema)


class Shell(NamedTuple):
    """How to start a shell in a database: the program, its name and arguments, and secrets for its environment."""

    program: Path
    command: list[str]
    secrets: dict[str, str]


def shell_of(settings: Settings) -> Shell:
    """PostgreSQL's own shell on the ledger's database. Raises NoDatabase, BadDatabaseUrl."""
    parts: dict[str, Any] = conninfo_to_dict(database_url_of(settings))
    password = parts.pop("password", None)  # not for the list of processes
    secrets = {} if password is None else {"PGPASSWORD": str(password)}
    return Shell(BIN_DIR / "psql", ["psql", make_conninfo(**parts)], secrets)


@contextmanager
def run_database(settings: Settings, on_wait: Callable[[str], None]) -> Iterator[str]:
    """The owner's URL of the configured database, or of an embedded one that runs as long as this context.

    The schema is up to date. `on_wait` takes, in words, what a slow start waits for. Raises EmbeddedPostgresError,
    BadDatabaseUrl, NewerSchema.
    """
    if (url := _configured_url(settings)) is not None:
        _migrate(url, settings.db_schema)
        yield url
        return
    settings.data_dir.mkdir(parents=True, exist_ok=True)
    with EmbeddedPostgres(settings.data_dir / "postgres", on_wait=on_wait) as server:
        _migrate(server.url, settings.db_schema)
        yield server.url


def _migrate(database_url: str, schema: str) -> list[str]:
    require_prepared_statements(partial(connect, database_url, autocommit=True))
    from services.migrations.migrate import migrate  # only here: importing Alembic takes longer than most commands

    return migrate(database_url, schema)


def service_url_of(settings: Settings, owner_url: str) -> str:
    """The URL for the processes of a service: on the embedded PostgreSQL with a role that cannot change events.

    A configured database is used as it is configured. The schema at `owner_url` must be up to date.
    """
    if settings.url:
        return settings.url
    with connect(owner_url) as owner:
        owner.execute(f"ALTER ROLE {SERVICE_ROLE} LOGIN")
    return owner_url.replace("://postgres@", f"://{SERVICE_ROLE}@", 1)
