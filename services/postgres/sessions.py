"""What a session needs of the server. A database is somebody else's: its defaults, and its roles', must not matter."""

import secrets
from collections.abc import Callable
from contextlib import closing
from typing import Any

from psycopg import Connection
from psycopg.errors import OperationalError

OLDEST_VERSION = 150_000

_FORMS = {
    "client_encoding": "UTF8",
    "standard_conforming_strings": "on",
    "DateStyle": "ISO, MDY",
    "IntervalStyle": "postgres",
    "TimeZone": "UTC",
    "bytea_output": "hex",
    "extra_float_digits": "1",
    "array_nulls": "on",
    "transform_null_equals": "off",
    "search_path": "public",
    "quote_all_identifiers": "off",
}
"""The forms of texts, bytes and instants, and what names and NULLs mean."""

_TRANSACTIONS = {
    "default_transaction_isolation": "read committed",
    "default_transaction_deferrable": "off",
    "synchronous_commit": "on",
    "statement_timeout": "0",
    "lock_timeout": "0",
    "idle_in_transaction_session_timeout": "0",
    "idle_session_timeout": "0",
    "transaction_timeout": "0",
}
"""Durability, isolation, and the patience of the server. Who needs less patience says so in the transaction."""

_PLANS = {
    "jit": "off",
    "plan_cache_mode": "auto",
    "debug_parallel_query": "off",
    "force_parallel_mode": "off",
    **{
        f"enable_{node}": "on"
        for node in (
            "bitmapscan hashagg hashjoin indexonlyscan indexscan material mergejoin nestloop seqscan sort tidscan"
        ).split()
    },
}
"""Plans. Compiling one takes a hundred times as long as any statement of the service."""

NEEDED = {**_FORMS, **_TRANSACTIONS, **_PLANS}
_ARGUMENTS = {"names": [*NEEDED], "values": [*NEEDED.values()]}
_SET_SESSION = """
    SELECT count(set_config(name, value, false)), current_setting('server_encoding')
    FROM unnest(%(names)s::text[], %(values)s::text[]) AS needed (name, value)
    WHERE current_setting(name, true) IS NOT NULL
"""
"""Sets what this version of the server knows."""


class UnfitServer(OperationalError):
    """The server cannot have a ledger; the message says what it lacks."""


def prepare(connection: Connection[Any]) -> None:
    """Set what a session needs, in one exchange. Raises UnfitServer, psycopg.Error.

    `default_transaction_read_only` stays as it is: whoever sets it means that nothing is to be written.
    """
    version = connection.info.server_version
    if version < OLDEST_VERSION:
        raise UnfitServer(f"PostgreSQL {version // 10_000} is too old: 15 or newer is needed")
    is_autocommit = connection.autocommit
    connection.set_autocommit(True)
    row = connection.execute(_SET_SESSION, _ARGUMENTS).fetchone()
    connection.set_autocommit(is_autocommit)
    assert row is not None
    if row[1] != "UTF8":
        raise UnfitServer(f"the database's encoding is {row[1]}: make one with UTF8")


def require_prepared_statements(connect: Callable[[], Connection[Any]]) -> None:
    """Raise UnfitServer where a pooler stands before the server that takes no prepared statements in transaction mode.

    A pooler makes up the id of the process that a client is told. One that follows prepared statements, as PgBouncer
    does from 1.21 on, gives them names of its own; another is fine as long as it leaves a client its session.
    """
    with closing(connect()) as one:
        if one.info.backend_pid == _process_of(one) or _follows_prepared_statements(one):
            return
        with closing(connect()) as other:
            if _process_of(one) != _process_of(other):
                return
    raise UnfitServer(
        "the connection pooler before the database does not follow prepared statements: "
        "PgBouncer from 1.21 on does, with max_prepared_statements above 0"
    )


def _process_of(connection: Connection[Any]) -> int:
    row = connection.execute("SELECT pg_backend_pid()", prepare=False).fetchone()
    assert row is not None
    return int(row[0])


def _follows_prepared_statements(pooled: Connection[Any]) -> bool:
    name = f"tallystick_{secrets.token_hex(8)}"
    with pooled.transaction():
        pooled.pgconn.prepare(name.encode(), b"SELECT 1")
        found = pooled.execute("SELECT FROM pg_prepared_statements WHERE name = %s", [name], prepare=False).rowcount
        if found:
            pooled.execute(f"DEALLOCATE {name}", prepare=False)
    return not found
