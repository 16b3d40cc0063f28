"""Pages of the ledger, each read once for all endpoints that need it."""

import asyncio
from collections import OrderedDict
from collections.abc import Sequence
from typing import Any, NamedTuple
from uuid import UUID

from psycopg import Connection
from psycopg_pool import ConnectionPool

from services.ledger.history import EVERYTHING, EventFilter, History, StoredEvent

PAGE_POSITIONS = 200
_KEPT_PAGES = 32


class Page(NamedTuple):
    """The events of consecutive positions; `last` is the last of these."""

    events: Sequence[StoredEvent]
    last: int


class LedgerPages:
    """Reads the ledger for one event loop. Its methods raise psycopg.Error."""

    def __init__(self, reads: ConnectionPool[Connection[Any]], schema: str) -> None:
        self._reads = reads
        self._history = History(schema)
        self._pages: OrderedDict[tuple[int, int], asyncio.Task[list[StoredEvent]]] = OrderedDict()
        self.tip = 0
        """The last position that is known to be committed."""

    async def find_tip(self) -> None:
        """Learn how far the ledger is."""
        self.tip = await asyncio.to_thread(self._tip)

    async def after(self, position: int) -> Page | None:
        """Return the page that begins behind a position; None where nothing is known to be there."""
        if position >= self.tip:
            return None
        start = position // PAGE_POSITIONS * PAGE_POSITIONS
        end = min(start + PAGE_POSITIONS, self.tip)
        events = await self._shared(start, end)
        return Page([each for each in events if each.position > position], end)

    async def of_subscription(self, subscription_id: UUID, first: int, last: int, limit: int) -> list[StoredEvent]:
        """Return events of a subscription from one position up to another."""
        chosen = EventFilter(subscription_id=subscription_id)
        return await asyncio.to_thread(self._read, first - 1, last, limit, chosen)

    async def _shared(self, start: int, end: int) -> list[StoredEvent]:
        if (task := self._pages.get((start, end))) is None:
            task = asyncio.create_task(asyncio.to_thread(self._read, start, end, end - start, EVERYTHING))
            self._pages[start, end] = task
            if len(self._pages) > _KEPT_PAGES:
                self._pages.popitem(last=False)
        try:
            return await asyncio.shield(task)
        except BaseException:
            self._pages.pop((start, end), None)
            raise

    def _read(self, after: int, until: int, limit: int, chosen: EventFilter) -> list[StoredEvent]:
        with self._reads.connection() as connection:
            return self._history.of_ledger(
                connection, after_position=after, until_position=until, limit=limit, chosen=chosen
            )

    def _tip(self) -> int:
        with self._reads.connection() as connection:
            return self._history.last_position(connection)
