"""Makes connections to PostgreSQL, and has the same settings and types on all of them."""

import select
from collections.abc import Callable
from datetime import UTC, datetime
from typing import Any, TypeVar

import psycopg
from psycopg import Connection
from psycopg.abc import Buffer
from psycopg.adapt import Loader
from psycopg.types.numeric import Int8BinaryDumper, Int8Dumper
from psycopg_pool import ConnectionPool, PoolTimeout

from services.postgres.arrays import register_arrays
from services.postgres.sessions import prepare

T = TypeVar("T")

CONNECT_TIMEOUT_SECONDS = 2


class UtcLoader(Loader):
    """Loads instants in UTC whatever the session's time zone is, so that nothing depends on a session setting."""

    def load(self, data: Buffer) -> datetime:
        return datetime.fromisoformat(bytes(data).decode()).astimezone(UTC)


def connect(database_url: str, *, autocommit: bool = False) -> Connection[Any]:
    """A new connection. Raises psycopg.OperationalError within seconds where there is no server; UnfitServer."""
    connection = psycopg.connect(database_url, autocommit=autocommit, **_options())
    try:
        configure(connection)
    except BaseException:
        connection.close()
        raise
    return connection


def reading_pool(database_url: str, *, size: int, statement_seconds: float = 10.0) -> ConnectionPool[Connection[Any]]:
    """A closed pool of at most `size` autocommit connections for queries; the caller opens it and closes it.

    The server ends a query after `statement_seconds`.
    """

    def configure_reading(connection: Connection[Any]) -> None:
        configure(connection)
        timeout = f"{statement_seconds:g}s"
        connection.execute("SELECT set_config('statement_timeout', %s, false)", [timeout])

    return ConnectionPool(
        database_url,
        min_size=1,
        max_size=size,
        open=False,
        timeout=CONNECT_TIMEOUT_SECONDS,
        configure=configure_reading,
        check=check_open,
        kwargs={"autocommit": True, **_options()},
    )


def _options() -> dict[str, Any]:
    return {"connect_timeout": CONNECT_TIMEOUT_SECONDS, "client_encoding": "UTF8"}


def check_open(connection: Connection[Any]) -> None:
    """Close an idle connection that the server has closed, without asking it. Raises psycopg.OperationalError then.

    Any unsolicited message counts, since it is nearly always the reason why the server is about to close.
    """
    poll = select.poll()
    poll.register(connection.fileno(), select.POLLIN)
    if poll.poll(0):
        connection.close()  # or else the pool would take it for a good one
        raise psycopg.OperationalError("the server has closed the connection")


def configure(connection: Connection[Any]) -> None:
    """Set the session up and adapt types: instants are loaded in UTC, an int is sent as bigint, our arrays are known.

    Raises UnfitServer, psycopg.Error.
    """
    prepare(connection)
    connection.adapters.register_loader("timestamptz", UtcLoader)
    connection.adapters.register_dumper(int, Int8Dumper)
    connection.adapters.register_dumper(int, Int8BinaryDumper)
    register_arrays(connection)


def read_again(read: Callable[[], T]) -> T:
    """Return what `read` reads; where its connection was lost meanwhile, read once more, on another one.

    Raises what the second attempt raises. A pool that has no connection to give has tried for long enough.
    """
    try:
        return read()
    except PoolTimeout:
        raise
    except (psycopg.OperationalError, psycopg.InterfaceError):
        return read()


Connect = Callable[[], Connection[Any]]
"""Makes a new connection, which the caller closes."""
