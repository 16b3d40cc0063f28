"""Says what a key that is confined to accounts or subscriptions may do: the one place where a route is judged.

Every route has one of four rules. Two hold by themselves, so that a new route is safe before anybody has thought of it:
a route whose path names a subscription is answered where that is one of the key's, and any other route is refused. The
other two are written with the caller in the signature of its handler:

    call: Annotated[Reader, Confinement.BY_HANDLER]

`tests/acceptance/test_access_matrix.py` holds every operation against its rule.
"""

import asyncio
from collections.abc import Collection, Iterable, Sequence
from enum import Enum
from typing import Any, Final
from uuid import UUID

from psycopg import Connection
from psycopg_pool import ConnectionPool

from projections.renewal.queries import RenewalQueries
from services.http.problems import Problem
from services.keys import Key
from services.subscription.refusals import Refusal, UnknownSubscription

CACHED_ACCOUNTS_MAX = 100_000
_UNKNOWN: Final = UnknownSubscription()


class Confinement(Enum):
    """What a route does for a confined key, where its path does not say so."""

    BY_HANDLER = "leaves it to the handler, which filters its list or checks the subscriptions in its body"
    FOR_ALL = "answers, since what it shows is of no subscription"


class Confinements:
    """Tells which subscriptions are those of a confined key.

    The account of a subscription never changes, so it is read once. Every method but `check` is for threads; each may
    raise psycopg.Error.
    """

    def __init__(self, connections: ConnectionPool[Connection[Any]], schema: str) -> None:
        self._connections = connections
        self._renewals = RenewalQueries(schema)
        self._accounts: dict[UUID, str] = {}

    async def check(self, key: Key, subscription_id: UUID) -> None:
        """Raise Problem where the key is confined and this is none of its subscriptions."""
        if not key.is_confined or subscription_id in key.subscription_ids:
            return
        account_id = self._accounts.get(subscription_id)
        if account_id is None:
            await asyncio.to_thread(self.check_now, key, subscription_id)
        elif account_id not in key.account_ids:
            raise Problem(UnknownSubscription())

    def check_now(self, key: Key, subscription_id: UUID, refusal: Refusal = _UNKNOWN) -> None:
        """Raise Problem with the refusal where the key is confined and this is none of its subscriptions."""
        if self.outside(key, [subscription_id]):
            raise Problem(refusal)

    def outside(self, key: Key, subscription_ids: Iterable[UUID]) -> set[UUID]:
        """Return those of the subscriptions that the key may not see, unknown ones among them."""
        if not key.is_confined:
            return set()
        others = set(subscription_ids) - key.subscription_ids
        accounts = self._accounts_of(others) if key.account_ids else {}
        return {id for id in others if accounts.get(id) not in key.account_ids}

    def subscriptions(self, key: Key, connection: Connection[Any]) -> Sequence[UUID] | None:
        """List the subscriptions of a confined key as of now; None where it may see all."""
        if not key.is_confined:
            return None
        return self._renewals.of_accounts(connection, key.account_ids, key.subscription_ids)

    def _accounts_of(self, subscription_ids: Collection[UUID]) -> dict[UUID, str]:
        """Return the account of each subscription that there is."""
        known = {id: account for id in subscription_ids if (account := self._accounts.get(id)) is not None}
        if unread := [id for id in subscription_ids if id not in known]:
            with self._connections.connection() as connection:
                read = self._renewals.accounts(connection, unread)
            if len(self._accounts) + len(read) > CACHED_ACCOUNTS_MAX:
                self._accounts.clear()
            self._accounts.update(read)
            known.update(read)
        return known
