"""Authenticates callers by `Authorization: Bearer <key>`, limits their requests, and checks the scopes of the key."""

import asyncio
import time

import psycopg
import structlog

from services.http.metrics import Metrics
from services.http.problems import MissingScope, MistypedKey, Problem, RateLimited, Unauthenticated
from services.http.rate_limits import RateLimits
from services.http.server.exchange import Exchange
from services.http.server.limits import FailedKeys
from services.keys import Key, KeyRing

_LOG_SECONDS = 10.0

log = structlog.get_logger()


class Authenticator:
    """Looks keys up, from the event loop; in a thread where a key was not seen within the last seconds."""

    def __init__(self, keys: KeyRing, metrics: Metrics, rate_limit: int | None) -> None:
        self._keys = keys
        self._metrics = metrics
        self._limits = None if rate_limit is None else RateLimits(rate_limit)
        self._failed = FailedKeys()
        self._failures, self._logged_at = 0, float("-inf")
        self._one_stranger = asyncio.Lock()
        self._noting: asyncio.Task[None] | None = None

    async def caller(self, exchange: Exchange, scope: str) -> Key:
        """Return the key of the request. Raises Problem where there is none, it lacks the scope, or it asks too often;
        psycopg.Error."""
        return self.known_caller(exchange, scope) or self._admit(exchange, await self._look_up(exchange), scope)

    def known_caller(self, exchange: Exchange, scope: str) -> Key | None:
        """Return the key without waiting; None where it has to be looked up. Raises Problem."""
        key = self._keys.known(_secret_of(exchange))
        return None if key is None else self._admit(exchange, key, scope)

    async def is_valid(self, exchange: Exchange) -> bool:
        """Whether the key of a request that was admitted is valid still. Raises psycopg.Error."""
        secret = _secret_of(exchange)
        return bool(self._keys.known(secret) or await asyncio.to_thread(self._keys.authenticate, secret))

    def _admit(self, exchange: Exchange, key: Key, scope: str) -> Key:
        if self._limits is not None:
            exchange.quota = quota = self._limits.take(key.key_id)
            if quota.retry_in_seconds is not None:
                self._metrics.count_rate_limited()
                raise Problem(RateLimited())
        if scope not in key.scopes:
            raise Problem(MissingScope(scope))
        return key

    async def _look_up(self, exchange: Exchange) -> Key:
        secret = _secret_of(exchange)
        if self._keys.was_valid(secret):
            key = await asyncio.to_thread(self._keys.authenticate, secret)
        else:  # one at a time: who tries many keys takes no thread, and no connection, of those who have one
            async with self._one_stranger:
                key = await asyncio.to_thread(self._keys.authenticate, secret)
        if self._keys.owes_notes and self._noting is None:
            self._noting = asyncio.create_task(self._note_uses())
        if key is None:
            await self._slow_down(exchange.peer())
            raise Problem(MistypedKey() if self._keys.is_mistyped(secret) else Unauthenticated())
        return key

    async def _note_uses(self) -> None:
        """Note when keys were used last; no request waits for it."""
        try:
            await asyncio.to_thread(self._keys.note_uses)
        except psycopg.Error as error:  # such as on a server that is read-only
            log.debug("the use of keys could not be noted", error=repr(error))
        finally:
            self._noting = None

    async def _slow_down(self, address: str) -> None:
        """Count a key that there is not, log how many there were, once in a while, and wait for the address's turn."""
        self._metrics.count_failed_key()
        self._failures += 1
        if time.monotonic() > self._logged_at + _LOG_SECONDS:
            log.warning("keys that there are not were refused", count=self._failures, last_address=address)
            self._failures, self._logged_at = 0, time.monotonic()
        await self._failed.wait(address)


def _secret_of(exchange: Exchange) -> str:
    scheme, _, secret = exchange.authorization.partition(" ")
    if scheme.lower() != "bearer" or not secret:
        raise Problem(Unauthenticated())
    return secret
