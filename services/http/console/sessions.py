"""The sessions of the console, in the database, so that any process answers and a sign-out holds everywhere at once."""

import secrets
from hashlib import sha256
from typing import Any
from uuid import UUID

from msgspec import Struct
from psycopg import Connection
from psycopg_pool import ConnectionPool

from services.keys import Key
from services.postgres.sql import load_queries

SESSION_SECONDS = 12 * 3600


class Session(Struct, frozen=True):
    """An agent who is signed in with a key; each form of his carries the token."""

    agent: str
    csrf_token: str
    key: Key


class Sessions:
    """The sessions of one ledger. Every method may raise psycopg.Error."""

    def __init__(self, connections: ConnectionPool[Connection[Any]], schema: str) -> None:
        self._connections = connections
        self._queries = load_queries(__file__, "sessions.sql", schema=schema)

    def begin(self, key: Key, agent: str) -> str:
        """Begin a session and return its token, which is stored nowhere."""
        token = secrets.token_urlsafe(32)
        arguments = {"key_id": key.key_id, "agent": agent, "csrf_token": secrets.token_urlsafe(24)}
        self._run("insert_session", token, **arguments, seconds=SESSION_SECONDS)
        return token

    def find(self, token: str) -> Session | None:
        """Return a session; None where it has ended or expired, or its key holds no longer."""
        row = self._run("find_session", token).fetchone()
        if row is None:
            return None
        agent, csrf_token, key_id, scopes, account_ids, subscription_ids = row
        accounts, subscriptions = frozenset(account_ids), frozenset[UUID](subscription_ids)
        is_confined = bool(accounts or subscriptions)
        return Session(agent, csrf_token, Key(key_id, frozenset(scopes), accounts, subscriptions, is_confined))

    def end(self, token: str) -> None:
        """End a session."""
        self._run("delete_session", token)

    def _run(self, query: str, token: str, **arguments: Any) -> Any:
        with self._connections.connection() as connection:
            return connection.execute(self._queries[query], {"hash": sha256(token.encode()).digest(), **arguments})
