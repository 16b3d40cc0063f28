"""Brings a ledger's schema up to date.

One migrator at a time: an advisory lock makes a second one wait and then find nothing to do.
"""

from collections.abc import Iterator
from contextlib import closing, contextmanager
from pathlib import Path
from typing import Any

from alembic import command
from alembic.config import Config
from sqlalchemy import Connection, NullPool, create_engine, text
from sqlalchemy.exc import DBAPIError

from services.migrations import SERVICE_ROLE
from services.migrations.revisions import missing_on
from services.migrations.sql_file import run_file
from services.postgres.database import connect
from services.postgres.sql import quote_schema

_FOLDER = Path(__file__).parent


def migrate(database_url: str, schema: str) -> list[str]:
    """Apply the revisions that are missing, in one transaction, and return their names, oldest first.

    Then the service's role gets its rights (`grants.sql`), also where only those are missing, as after a restore.
    Raises NewerSchema, psycopg.Error.
    """
    with _connection(database_url) as connection:
        connection.execute(text("SELECT pg_advisory_xact_lock(hashtext(:name))"), {"name": f"migrate {schema}"})
        missing = missing_on(_driver_connection(connection), schema)
        if missing:
            connection.execute(text(f"CREATE SCHEMA IF NOT EXISTS {quote_schema(schema)}"))
            config = _config(schema)
            config.attributes["connection"] = connection
            command.upgrade(config, "head")
        if missing or not _has_service_role(connection, schema):
            run_file(connection, _FOLDER / "grants.sql", schema)
        connection.commit()
        return missing


def _has_service_role(connection: Connection, schema: str) -> bool:
    """Whether the service's role is there and may append events; None, and so False, where it is not there."""
    query = text("SELECT has_table_privilege(oid, :events, 'INSERT') FROM pg_roles WHERE rolname = :role")
    arguments = {"events": f"{quote_schema(schema)}.ledger_events", "role": SERVICE_ROLE}
    return bool(connection.execute(query, arguments).scalar())


def _driver_connection(connection: Connection) -> Any:
    """The psycopg connection below SQLAlchemy's."""
    return connection.connection.driver_connection


def _config(schema: str) -> Config:
    config = Config()
    config.set_main_option("script_location", str(_FOLDER))
    config.attributes["schema"] = schema
    return config


@contextmanager
def _connection(database_url: str) -> Iterator[Connection]:
    """SQLAlchemy's connection, for Alembic, on one of ours. Raises psycopg's errors and not SQLAlchemy's."""
    with closing(connect(database_url)) as ours:
        engine = create_engine("postgresql+psycopg://", creator=lambda: ours, poolclass=NullPool)
        try:
            with engine.connect() as connection:
                yield connection
        except DBAPIError as error:
            raise (error.orig or error) from error
        engine.dispose()
