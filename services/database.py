"""Connections to PostgreSQL: one way to make them, the same types everywhere."""

from collections.abc import Callable
from datetime import UTC, datetime
from typing import Any

import psycopg
from psycopg import Connection
from psycopg.abc import Buffer, PQGen
from psycopg.adapt import Loader
from psycopg.pq.abc import PGconn
from psycopg.types.numeric import Int8BinaryDumper, Int8Dumper
from psycopg.waiting import Ready, Wait
from psycopg_pool import ConnectionPool

CONNECT_TIMEOUT_SECONDS = 2


class UtcLoader(Loader):
    """Loads instants in UTC whatever the session's time zone is, so that no session setting is relied on."""

    def load(self, data: Buffer) -> datetime:
        return datetime.fromisoformat(bytes(data).decode()).astimezone(UTC)


def connect(database_url: str, *, autocommit: bool = False) -> Connection[Any]:
    """A new connection. Raises psycopg.OperationalError within seconds where there is no server."""
    connection = psycopg.connect(database_url, autocommit=autocommit, connect_timeout=CONNECT_TIMEOUT_SECONDS)
    configure(connection)
    return connection


def reading_pool(database_url: str, *, size: int) -> ConnectionPool[Connection[Any]]:
    """A closed pool of autocommit connections for queries; the caller opens it and closes it."""
    return ConnectionPool(
        database_url,
        min_size=1,
        max_size=size,
        open=False,
        timeout=CONNECT_TIMEOUT_SECONDS,
        configure=configure,
        kwargs={"autocommit": True, "connect_timeout": CONNECT_TIMEOUT_SECONDS},
    )


def send_out(connection: Connection[Any]) -> None:
    """Hand all that a pipeline has written to the server, however much it is.

    psycopg stops writing once the last statement is in libpq's buffer, and then waits for results. Where the buffer
    holds more than the socket takes at once, the server waits too, for the rest of the statement, and both wait for
    ever: no timeout of the server's runs while it reads. Raises psycopg.OperationalError.
    """
    connection.wait(_sent_out(connection.pgconn))


def _sent_out(pgconn: PGconn) -> PQGen[None]:
    while pgconn.flush():
        ready = yield Wait.RW
        if ready & Ready.R:  # a server that cannot get rid of its results would not read on
            pgconn.consume_input()


def configure(connection: Connection[Any]) -> None:
    """Adapt types: instants come in UTC, and an int always goes as bigint, so that arrays have one type."""
    connection.adapters.register_loader("timestamptz", UtcLoader)
    connection.adapters.register_dumper(int, Int8Dumper)
    connection.adapters.register_dumper(int, Int8BinaryDumper)


Connect = Callable[[], Connection[Any]]
