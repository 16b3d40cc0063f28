"""The keys of one ledger.

A key is shown once; its hash is stored. While it is rotated, it has two secrets. Each process caches a key for four
seconds, so that a change holds everywhere within five. While the database cannot be reached, a key that is not cached
is refused.
"""

import builtins
import threading
import time
from collections.abc import Callable, Sequence
from datetime import datetime
from typing import Any, Literal
from uuid import UUID

import psycopg
from msgspec import Struct
from psycopg import Connection
from psycopg_pool import ConnectionPool

from services.keys.form import FIRST_KEY_ID, hash_of, is_mistyped, new_key_id, new_secret
from services.postgres.database import read_again
from services.postgres.sql import load_queries

SCOPES = ("read", "charge", "manage", "audit", "dispute")

CACHE_SECONDS = 4.0
"""A change holds everywhere within five seconds, the look-up included."""
CACHED_KEYS_MAX = 10_000
AWAY_SECONDS = 1.0
"""After a failed query, look-ups fail at once for so long, so that callers do not queue for the time-out."""
LAST_USE_SECONDS = 60.0
"""The last use of a key is noted once in so long."""


class Key(Struct, frozen=True):
    """A valid key: its id, which is recorded with every event, its scopes, and whose subscriptions it may see.

    Without accounts and subscriptions, it may see all; else those of the accounts, and the subscriptions.
    """

    key_id: str
    scopes: frozenset[str]
    account_ids: frozenset[str] = frozenset()
    subscription_ids: frozenset[UUID] = frozenset()
    is_confined: bool = False


class NewKey(Struct, frozen=True):
    """A key that was made or rotated, with its secret, which cannot be read again."""

    key_id: str
    key: str
    name: str
    scopes: tuple[str, ...]
    expires_at: datetime | None
    account_ids: tuple[str, ...]
    subscription_ids: tuple[UUID, ...]


class KeyRecord(Struct, frozen=True):
    """A key as operators see it, without its secrets. `created_by` is null for one of a version that did not ask."""

    key_id: str
    name: str
    scopes: tuple[str, ...]
    account_ids: tuple[str, ...]
    subscription_ids: tuple[UUID, ...]
    created_at: datetime
    created_by: str | None
    expires_at: datetime | None
    revoked_at: datetime | None
    last_used_at: datetime | None


class KeyChange(Struct, frozen=True):
    """What was done to a key, when, and by whom; null for what a version did that did not ask."""

    key_id: str
    action: Literal["created", "rotated", "revoked"]
    at: datetime
    by: str | None


class CannotChange(LookupError):
    """There is no such key, or it holds no longer."""


class _Cached(Struct, frozen=True):
    key: Key
    until: float


class KeyRing:
    """The keys of one ledger. `by` says who makes, rotates and revokes them here.

    Every method but `known` and `was_valid` queries the database and may raise psycopg.Error.
    """

    def __init__(
        self,
        connections: ConnectionPool[Connection[Any]],
        schema: str,
        by: str,
        *,
        monotonic: Callable[[], float] = time.monotonic,
    ) -> None:
        self._connections = connections
        self._queries = load_queries(__file__, "keys.sql", schema=schema)
        self._by = by
        self._monotonic = monotonic
        self._cache: dict[bytes, _Cached] = {}
        self._unnoted_uses: set[str] = set()
        self._looking_up = threading.Lock()
        self._away_until = 0.0
        self._configured_hash = b""

    def known(self, secret: str) -> Key | None:
        """Return the key if it is cached. Never waits."""
        cached = self._cache.get(hash_of(secret))
        return cached.key if cached is not None and cached.until > self._monotonic() else None

    def was_valid(self, secret: str) -> bool:
        """Whether the key was valid a while ago. Never waits."""
        return hash_of(secret) in self._cache

    def authenticate(self, secret: str) -> Key | None:
        """Return the key of a secret; None for an unknown, mistyped, expired or revoked one."""
        if self.is_mistyped(secret):
            return None
        with self._looking_up:  # one query serves all who need the same key at once
            if (key := self.known(secret)) is not None:
                return key
            asked_at = self._monotonic()
            row = self._find(secret)
            if row is None:
                self._cache.pop(hash_of(secret), None)
                return None
            if len(self._cache) >= CACHED_KEYS_MAX:
                self._cache.clear()
            key_id, scopes, account_ids, subscription_ids, valid_seconds, is_use_unnoted = row
            key = Key(
                key_id,
                frozenset(scopes),
                frozenset(account_ids),
                frozenset(subscription_ids),
                bool(account_ids or subscription_ids),
            )
            seconds = CACHE_SECONDS if valid_seconds is None else min(CACHE_SECONDS, valid_seconds)
            self._cache[hash_of(secret)] = _Cached(key, asked_at + seconds)
            if is_use_unnoted:
                self._unnoted_uses.add(key_id)
            return key

    def is_mistyped(self, secret: str) -> bool:
        """Whether it has the form of a key, and a checksum that does not fit. The configured key has any form."""
        return is_mistyped(secret) and hash_of(secret) != self._configured_hash

    @property
    def owes_notes(self) -> bool:
        """Whether there are keys whose last use is to be noted, by `note_uses`."""
        return bool(self._unnoted_uses)

    def note_uses(self) -> None:
        """Note that keys were used: their `last_used_at`, to the minute."""
        while self._unnoted_uses:
            self._run("note_use", key_id=self._unnoted_uses.pop(), coarse_seconds=LAST_USE_SECONDS)

    def create(
        self,
        name: str,
        scopes: Sequence[str],
        *,
        expires_in: float | None = None,
        account_ids: Sequence[str] = (),
        subscription_ids: Sequence[UUID] = (),
    ) -> NewKey:
        """Make a key, which expires in so many seconds, and is confined to accounts and subscriptions if any are named.

        Raises ValueError for an unknown scope.
        """
        key_id, scopes = new_key_id(), _checked(scopes)
        secret = new_secret(key_id)
        (expires_at,) = self._run(
            "insert_key",
            key_id=key_id,
            key_hash=hash_of(secret),
            name=name,
            scopes=scopes,
            by=self._by,
            expires_in=expires_in,
            account_ids=[*account_ids],
            subscription_ids=[*subscription_ids],
        ).fetchone()
        return NewKey(key_id, secret, name, tuple(scopes), expires_at, tuple(account_ids), tuple(subscription_ids))

    def rotate(self, key_id: str, overlap_seconds: float) -> NewKey:
        """Give a key a new secret; the one before holds on for a while. Raises CannotChange."""
        secret = new_secret(key_id)
        arguments = {"key_id": key_id, "key_hash": hash_of(secret), "by": self._by, "overlap": overlap_seconds}
        row = self._run("rotate_key", **arguments).fetchone()
        if row is None:
            raise CannotChange(key_id)
        name, scopes, expires_at, account_ids, subscription_ids = row
        return NewKey(key_id, secret, name, tuple(scopes), expires_at, tuple(account_ids), tuple(subscription_ids))

    def revoke(self, key_id: str) -> None:
        """Revoke a key with all its secrets, for good. Raises CannotChange."""
        if not self._run("revoke_key", key_id=key_id, by=self._by).rowcount:
            raise CannotChange(key_id)

    def list(self) -> builtins.list[KeyRecord]:
        """List every key, those too that hold no longer, oldest first."""
        rows = self._run("list_keys").fetchall()
        return [
            KeyRecord(key_id, name, tuple(scopes), tuple(account_ids), tuple(subscription_ids), *rest)
            for key_id, name, scopes, account_ids, subscription_ids, *rest in rows
        ]

    def history(self) -> builtins.list[KeyChange]:
        """List what was done to keys, oldest first."""
        return [KeyChange(*row) for row in self._run("list_changes").fetchall()]

    def ensure_bootstrap(self, secret: str) -> None:
        """Make or replace the key `bootstrap`, with every scope; change nothing where it has, or had, this secret."""
        self._configured_hash = hash_of(secret)
        self._run(
            "put_bootstrap_key",
            key_id=FIRST_KEY_ID,
            key_hash=hash_of(secret),
            name=FIRST_KEY_ID,
            scopes=_checked(SCOPES),
            by=self._by,
        )

    def _find(self, secret: str) -> Any:
        """Read the row of a key. Raises psycopg.OperationalError at once where a query failed a moment ago."""
        if self._monotonic() < self._away_until:
            raise psycopg.OperationalError("the database could not be asked for a key a moment ago")
        arguments = {"key_hash": hash_of(secret), "coarse_seconds": LAST_USE_SECONDS}
        try:
            return read_again(lambda: self._run("find_key", **arguments).fetchone())
        except psycopg.Error:
            self._away_until = self._monotonic() + AWAY_SECONDS
            raise

    def _run(self, query: str, **arguments: Any) -> Any:
        with self._connections.connection() as connection:
            return connection.execute(self._queries[query], arguments)


def _checked(scopes: Sequence[str]) -> builtins.list[str]:
    """Return the scopes in their usual order. Raises ValueError for an unknown one."""
    if unknown := set(scopes).difference(SCOPES):
        raise ValueError(f"no such scope: {', '.join(sorted(unknown))}")
    return [scope for scope in SCOPES if scope in scopes]
