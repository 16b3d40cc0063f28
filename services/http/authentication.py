"""Authenticates callers by `Authorization: Bearer <key>`, and checks the scopes of the key."""

import asyncio

from services.http.problems import MissingScope, Problem, Unauthenticated
from services.http.server.exchange import Exchange
from services.keys import Key, KeyRing


class Authenticator:
    """Looks keys up, from the event loop; in a thread where a key was not seen within the last seconds."""

    def __init__(self, keys: KeyRing) -> None:
        self._keys = keys

    async def caller(self, exchange: Exchange, scope: str) -> Key:
        """Return the key of the request. Raises Problem where there is none or it lacks the scope; psycopg.Error."""
        return self.known_caller(exchange, scope) or await self._unknown_caller(exchange, scope)

    def known_caller(self, exchange: Exchange, scope: str) -> Key | None:
        """Return the key without waiting; None where it has to be looked up. Raises Problem."""
        exchange.refuse_ambiguous()
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
        if key is None:
            raise Problem(Unauthenticated())
        if scope not in key.scopes:
            raise Problem(MissingScope(scope))
        return key
