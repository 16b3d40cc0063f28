"""Balance reads that share queries: those that arrive while one runs are answered by the next, all together.

A read joins only a query that starts after it arrived, so it sees every charge that was answered before it was asked.
"""

import asyncio
from collections.abc import Callable, Mapping, Sequence
from itertools import chain
from uuid import UUID

from projections.balance.view import Balance
from services.http.problems import Problem

TOGETHER_MAX = 500


class SharedBalanceReads:
    """The balance reads of one event loop. `read` is called in a thread, by one query at a time."""

    def __init__(self, read: Callable[[Sequence[UUID]], Mapping[UUID, Balance | Problem]]) -> None:
        self._read = read
        self._waiting: dict[UUID, list[asyncio.Future[Balance | Problem]]] = {}
        self._querying: asyncio.Task[None] | None = None

    async def balance(self, subscription_id: UUID) -> Balance:
        """The balance now. Raises Problem for an unknown subscription, and psycopg.Error."""
        answer: asyncio.Future[Balance | Problem] = asyncio.get_running_loop().create_future()
        self._waiting.setdefault(subscription_id, []).append(answer)
        if self._querying is None:
            self._querying = asyncio.create_task(self._query())
        found = await answer
        if isinstance(found, Problem):
            raise found
        return found

    async def _query(self) -> None:
        while self._waiting:
            asked = dict(list(self._waiting.items())[:TOGETHER_MAX])
            for id in asked:
                del self._waiting[id]
            try:
                found = await asyncio.to_thread(self._read, list(asked))
                results = [found[id] for id in asked]
            except Exception as error:  # noqa: BLE001 - raised in each that asked
                for answer in chain(*asked.values()):
                    if not answer.done():  # whoever awaits it may be gone
                        answer.set_exception(error)
            else:
                for answers, result in zip(asked.values(), results, strict=True):
                    for answer in answers:
                        if not answer.done():
                            answer.set_result(result)
        self._querying = None
