"""API keys: who may call, and what they may do.

A key reads `ts_<key_id>_<secret>` and is shown once; what is stored is its SHA-256. Each process remembers a key that
it has seen for up to five seconds, so a revoked key stops everywhere within that time. When the database cannot be
reached and nothing fresh is remembered, nobody is let in.
"""

import base64
import builtins
import secrets
import threading
import time
from collections.abc import Callable, Sequence
from datetime import datetime
from hashlib import sha256
from typing import Any

import psycopg
from msgspec import Struct
from psycopg import Connection
from psycopg_pool import ConnectionPool

from services.postgres.sql import load_queries

SCOPES = ("read", "charge", "manage", "audit", "dispute")
BOOTSTRAP_KEY_ID = "bootstrap"

REMEMBERED_SECONDS = 5.0
REMEMBERED_KEYS = 10_000
AWAY_SECONDS = 1.0


class Key(Struct, frozen=True):
    """A key that may be used: its id, which is recorded with every event, and what it may do."""

    key_id: str
    scopes: frozenset[str]


class KeyRecord(Struct, frozen=True):
    """A key as an operator sees it; its secret is nowhere."""

    key_id: str
    name: str
    scopes: tuple[str, ...]
    created_at: datetime
    revoked_at: datetime | None


class KeyRing:
    """The keys of one ledger. Every method but `known` asks the database and may raise psycopg.Error."""

    def __init__(
        self,
        connections: ConnectionPool[Connection[Any]],
        schema: str,
        *,
        monotonic: Callable[[], float] = time.monotonic,
    ) -> None:
        self._connections = connections
        self._queries = load_queries(__file__, "keys.sql", schema=schema)
        self._monotonic = monotonic
        self._known: dict[bytes, tuple[float, Key]] = {}
        self._asking = threading.Lock()
        self._away_until = 0.0

    def known(self, secret: str) -> Key | None:
        """The key, if it was found within the last seconds. Never waits."""
        remembered = self._known.get(_hash(secret))
        return remembered[1] if remembered is not None and remembered[0] > self._monotonic() else None

    def authenticate(self, secret: str) -> Key | None:
        """The key that a caller presents; None for one that there is not, or that was revoked."""
        with self._asking:  # one query answers all who ask at once for a key that is due
            if (key := self.known(secret)) is not None:
                return key
            row = self._find(secret)
            if row is None:
                self._known.pop(_hash(secret), None)
                return None
            if len(self._known) >= REMEMBERED_KEYS:
                self._known.clear()
            key = Key(row[0], frozenset(row[1]))
            self._known[_hash(secret)] = (self._monotonic() + REMEMBERED_SECONDS, key)
            return key

    def create(self, name: str, scopes: Sequence[str]) -> tuple[str, str]:
        """Make a key: its id, and the key itself, which cannot be read again."""
        key_id = base64.b32encode(secrets.token_bytes(5)).decode().lower()
        secret = f"ts_{key_id}_{secrets.token_urlsafe(32)}"
        self._run("insert_key", key_id=key_id, key_hash=_hash(secret), name=name, scopes=_checked(scopes))
        return key_id, secret

    def list(self) -> builtins.list[KeyRecord]:
        """Every key, revoked ones too, oldest first."""
        rows = self._run("list_keys").fetchall()
        return [KeyRecord(key_id, name, tuple(scopes), *instants) for key_id, name, scopes, *instants in rows]

    def revoke(self, key_id: str) -> bool:
        """Revoke a key, for good; False where there is none that still holds."""
        return bool(self._run("revoke_key", key_id=key_id).rowcount)

    def ensure_bootstrap(self, secret: str) -> None:
        """Have a key with every scope under the id `bootstrap`; a revoked one comes back only with a new secret."""
        self._run(
            "put_bootstrap_key",
            key_id=BOOTSTRAP_KEY_ID,
            key_hash=_hash(secret),
            name="bootstrap",
            scopes=_checked(SCOPES),
        )

    def _find(self, secret: str) -> Any:
        """The stored row; while the database is away, those who queue are told at once and do not wait in turn."""
        if self._monotonic() < self._away_until:
            raise psycopg.OperationalError("the database could not be asked for a key a moment ago")
        try:
            return self._run("find_key", key_hash=_hash(secret)).fetchone()
        except psycopg.Error:
            self._away_until = self._monotonic() + AWAY_SECONDS
            raise

    def _run(self, query: str, **arguments: Any) -> Any:
        with self._connections.connection() as connection:
            return connection.execute(self._queries[query], arguments)


def _hash(secret: str) -> bytes:
    return sha256(secret.encode()).digest()


def _checked(scopes: Sequence[str]) -> builtins.list[str]:
    """The scopes in their usual order. Raises ValueError for one that there is not."""
    if unknown := set(scopes).difference(SCOPES):
        raise ValueError(f"no such scope: {', '.join(sorted(unknown))}")
    return [scope for scope in SCOPES if scope in scopes]
