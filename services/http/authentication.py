"""Authenticates callers by `Authorization: Bearer <key>`, and checks the scopes of the key."""

import asyncio
import time

import psycopg
import structlog

from services.http.metrics import Metrics
from services.http.problems import MissingScope, MistypedKey, Problem, Unauthenticated
from services.http.server.exchange import Exchange
from services.keys import Key, KeyRing

FAILED_KEY_PAUSE_SECONDS = 0.5
"""Who comes with a key that there is not waits for so long, and so do those who try many."""
_LOG_SECONDS = 10.0

log = structlog.get_logger()


class Authenticator:
    """Looks keys up, from the event loop; in a thread where a key was not seen within the last seconds."""

    def __init__(self, keys: KeyRing, metrics: Metrics) -> None:
        self._keys = keys
        self._metrics = metrics
        self._failures, self._logged_at = 0, float("-inf")
        self._noting: asyncio.Task[None] | None = None

    async def caller(self, exchange: Exchange, scope: str) -> Key:
        """Return the key of the request. Raises Problem where there is none or it lacks the scope; psycopg.Error."""
        return self.known_caller(exchange, scope) or await self._unknown_caller(exchange, scope)

    def known_caller(self, exchange: Exchange, scope: str) -> Key | None:
        """Return the key without waiting; None where it has to be looked up. Raises Problem."""
        scheme, _, secret = exchange.authorization.partition(" ")
        if scheme.lower() != "bearer" or not secret:
            raise Problem(Unauthenticated())
        key = self._keys.known(secret)
        if key is not None and scope not in key.scopes:
            raise Problem(MissingScope(scope))
        return key

    async def _unknown_caller(self, exchange: Exchange, scope: str) -> Key:
        secret = exchange.authorization.partition(" ")[2]
        key = await asyncio.to_thread(self._keys.authenticate, secret)
        if self._keys.owes_notes and self._noting is None:
            self._noting = asyncio.create_task(self._note_uses())
        if key is None:
            await self._slow_down()
            raise Problem(MistypedKey() if self._keys.is_mistyped(secret) else Unauthenticated())
        if scope not in key.scopes:
            raise Problem(MissingScope(scope))
        return key

    async def _note_uses(self) -> None:
        """Note when keys were used last; no request waits for it."""
        try:
            await asyncio.to_thread(self._keys.note_uses)
        except psycopg.Error as error:  # such as on a server that is read-only
            log.debug("the use of keys could not be noted", error=repr(error))
        finally:
            self._noting = None

    async def _slow_down(self) -> None:
        """Count a key that there is not, log how many there were, once in a while, and wait."""
        self._metrics.count_failed_key()
        self._failures += 1
        if time.monotonic() > self._logged_at + _LOG_SECONDS:
            log.warning("keys that there are not were refused", count=self._failures)
            self._failures, self._logged_at = 0, time.monotonic()
        await asyncio.sleep(FAILED_KEY_PAUSE_SECONDS)
