"""Shares queries between balance reads: all that arrive while a query runs are answered by the next one.

A read joins only a query that starts after it arrived, so it sees every charge that was answered before.
"""

import asyncio
from collections.abc import Callable, Mapping, Sequence
from functools import partial
from itertools import chain
from uuid import UUID

from projections.balance.view import Balance
from services.postgres.database import read_again

IDS_MAX = 500
"""The most subscriptions that share a query."""


class SharedBalanceReads:
    """The balance reads of one event loop. `read` is called in a thread, by one query at a time."""

    def __init__(self, read: Callable[[Sequence[UUID]], Mapping[UUID, Balance | None]]) -> None:
        self._read = read
        self._waiting: dict[UUID, list[asyncio.Future[Balance | None]]] = {}
        self._querying: asyncio.Task[None] | None = None

    async def balance(self, subscription_id: UUID) -> Balance | None:
        """Read the balance now; None for an unknown subscription. Raises what `read` raises, such as psycopg.Error."""
        future: asyncio.Future[Balance | None] = asyncio.get_running_loop().create_future()
        self._waiting.setdefault(subscription_id, []).append(future)
        if self._querying is None:
            self._querying = asyncio.create_task(self._query())
        return await future

    async def _query(self) -> None:
        while self._waiting:
            batch = dict(list(self._waiting.items())[:IDS_MAX])
            for id in batch:
                del self._waiting[id]
            try:
                balances = await asyncio.to_thread(read_again, partial(self._read, list(batch)))
                results = [balances[id] for id in batch]
            except Exception as error:  # noqa: BLE001 - raised in each that waits
                for future in chain(*batch.values()):
                    if not future.done():  # its caller may have been cancelled
                        future.set_exception(error)
            else:
                for futures, result in zip(batch.values(), results, strict=True):
                    for future in futures:
                        if not future.done():
                            future.set_result(result)
        self._querying = None
