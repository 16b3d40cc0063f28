"""Makes connections to PostgreSQL, and has the same types on all of them."""

from collections.abc import Callable
from datetime import UTC, datetime
from typing import Any

import psycopg
from psycopg import Connection
from psycopg.abc import Buffer
from psycopg.adapt import Loader
from psycopg.types.numeric import Int8BinaryDumper, Int8Dumper
from psycopg_pool import ConnectionPool

from services.postgres.arrays import register_arrays

CONNECT_TIMEOUT_SECONDS = 2


class UtcLoader(Loader):
    """Loads instants in UTC whatever the session's time zone is, so that nothing depends on a session setting."""

    def load(self, data: Buffer) -> datetime:
        return datetime.fromisoformat(bytes(data).decode()).astimezone(UTC)


def connect(database_url: str, *, autocommit: bool = False) -> Connection[Any]:
    """A new connection. Raises psycopg.OperationalError within seconds where there is no server."""
    connection = psycopg.connect(database_url, autocommit=autocommit, connect_timeout=CONNECT_TIMEOUT_SECONDS)
    configure(connection)
    return connection


def reading_pool(database_url: str, *, size: int) -> ConnectionPool[Connection[Any]]:
    """A closed pool of at most `size` autocommit connections for queries; the caller opens it and closes it."""
    return ConnectionPool(
        database_url,
        min_size=1,
        max_size=size,
        open=False,
        timeout=CONNECT_TIMEOUT_SECONDS,
        configure=configure,
        kwargs={"autocommit": True, "connect_timeout": CONNECT_TIMEOUT_SECONDS},
    )


def configure(connection: Connection[Any]) -> None:
    """Adapt types: instants are loaded in UTC, an int is always sent as bigint, and our own arrays are registered."""
    connection.adapters.register_loader("timestamptz", UtcLoader)
    connection.adapters.register_dumper(int, Int8Dumper)
    connection.adapters.register_dumper(int, Int8BinaryDumper)
    register_arrays(connection)


Connect = Callable[[], Connection[Any]]
"""Makes a new connection, which the caller closes."""
