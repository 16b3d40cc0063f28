"""API keys: who may call, and what they may do.

A key has the form `ts_<key_id>_<secret>` and is shown once; its SHA-256 is stored. Each process caches a key for five
seconds, so a revoked key stops everywhere within that time. While the database cannot be reached, a key that is not
cached is refused.
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

from services.postgres.database import read_again
from services.postgres.sql import load_queries

SCOPES = ("read", "charge", "manage", "audit", "dispute")
BOOTSTRAP_KEY_ID = "bootstrap"

CACHE_SECONDS = 5.0
CACHED_KEYS_MAX = 10_000
AWAY_SECONDS = 1.0
"""After a failed query, look-ups fail at once for so long, so that callers do not queue for the time-out."""


class Key(Struct, frozen=True):
    """A valid key: its id, which is recorded with every event, and its scopes."""

    key_id: str
    scopes: frozenset[str]


class KeyRecord(Struct, frozen=True):
    """A key as operators see it, without its secret."""

    key_id: str
    name: str
    scopes: tuple[str, ...]
    created_at: datetime
    revoked_at: datetime | None


class KeyRing:
    """The keys of one ledger. Every method but `known` queries the database and may raise psycopg.Error."""

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
        self._cache: dict[bytes, tuple[float, Key]] = {}
        self._looking_up = threading.Lock()
        self._away_until = 0.0

    def known(self, secret: str) -> Key | None:
        """Return the key if it is cached. Never waits."""
        cached = self._cache.get(_hash(secret))
        return cached[1] if cached is not None and cached[0] > self._monotonic() else None

    def authenticate(self, secret: str) -> Key | None:
        """Return the key of a secret; None for an unknown or revoked one."""
        with self._looking_up:  # one query serves all who need the same key at once
            if (key := self.known(secret)) is not None:
                return key
            row = self._find(secret)
            if row is None:
                self._cache.pop(_hash(secret), None)
                return None
            if len(self._cache) >= CACHED_KEYS_MAX:
                self._cache.clear()
            key = Key(row[0], frozenset(row[1]))
            self._cache[_hash(secret)] = (self._monotonic() + CACHE_SECONDS, key)
            return key

    def create(self, name: str, scopes: Sequence[str]) -> tuple[str, str]:
        """Make a key; return its id, and the key itself, which cannot be read again. Raises ValueError."""
        key_id = base64.b32encode(secrets.token_bytes(5)).decode().lower()
        secret = f"ts_{key_id}_{secrets.token_urlsafe(32)}"
        self._run("insert_key", key_id=key_id, key_hash=_hash(secret), name=name, scopes=_checked(scopes))
        return key_id, secret

    def list(self) -> builtins.list[KeyRecord]:
        """List every key, revoked ones too, oldest first."""
        rows = self._run("list_keys").fetchall()
        return [KeyRecord(key_id, name, tuple(scopes), *instants) for key_id, name, scopes, *instants in rows]

    def revoke(self, key_id: str) -> bool:
        """Revoke a key, for good; False where no valid key has this id."""
        return bool(self._run("revoke_key", key_id=key_id).rowcount)

    def ensure_bootstrap(self, secret: str) -> None:
        """Make or replace the key `bootstrap`, with every scope; change nothing where it has this secret already."""
        self._run(
            "put_bootstrap_key",
            key_id=BOOTSTRAP_KEY_ID,
            key_hash=_hash(secret),
            name="bootstrap",
            scopes=_checked(SCOPES),
        )

    def _find(self, secret: str) -> Any:
        """Read the row of a key. Raises psycopg.OperationalError at once where a query failed a moment ago."""
        if self._monotonic() < self._away_until:
            raise psycopg.OperationalError("the database could not be asked for a key a moment ago")
        try:
            return read_again(lambda: self._run("find_key", key_hash=_hash(secret)).fetchone())
        except psycopg.Error:
            self._away_until = self._monotonic() + AWAY_SECONDS
            raise

    def _run(self, query: str, **arguments: Any) -> Any:
        with self._connections.connection() as connection:
            return connection.execute(self._queries[query], arguments)


def _hash(secret: str) -> bytes:
    return sha256(secret.encode()).digest()


def _checked(scopes: Sequence[str]) -> builtins.list[str]:
    """Return the scopes in their usual order. Raises ValueError for an unknown one."""
    if unknown := set(scopes).difference(SCOPES):
        raise ValueError(f"no such scope: {', '.join(sorted(unknown))}")
    return [scope for scope in SCOPES if scope in scopes]
