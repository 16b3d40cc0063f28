"""Follows the ledger for all clients of this process: one reader, however many follow.

Positions have no gaps and are given in the order of commits, so who knows a position misses nothing behind it. The
reader looks for new events while somebody follows, and keeps the newest of them. A follower that is further behind
reads pages of its own until it has caught up; few do so at once.
"""

import asyncio
import time
from collections import deque
from collections.abc import AsyncGenerator, Awaitable, Callable
from contextlib import closing, suppress
from functools import cached_property
from itertools import islice
from typing import Any

import structlog
from psycopg import Connection
from psycopg_pool import ConnectionPool

from services.http.patience import Payments
from services.http.problems import Problem, Unavailable
from services.http.server.reply import encode
from services.ledger.history import EventFilter, History, StoredEvent
from services.postgres.database import Connect, read_again

WAIT_SECONDS_MAX = 30
POLL_SECONDS = 0.05
HEARTBEAT_SECONDS = 15.0
LINGER_SECONDS = 1.0
"""The reader goes on for so long after the last follower has left."""
CHECK_SECONDS = 5.0
FOLLOWERS_MAX = 2_048
KEPT_EVENTS = 4_096
PAGE_EVENTS = 500
_CATCHING_UP_MAX = 2
_SCAN_SECONDS = 1.0
_PAUSE_AFTER_ERROR_SECONDS = 0.5

log = structlog.get_logger()


class FeedEvent:
    """An event with its form in an event stream, made once for all followers."""

    def __init__(self, event: StoredEvent) -> None:
        self.event = event

    @cached_property
    def frame(self) -> bytes:
        """The event in the form of `text/event-stream`: its position, its type, and itself in one line."""
        event = self.event
        return b"id: %d\nevent: %b\ndata: %b\n\n" % (event.position, event.type.encode(), encode(event))


class Feed:
    """The feed of one process. All but reading happens on its event loop."""

    def __init__(self, connect: Connect, long_reads: ConnectionPool[Connection[Any]], schema: str) -> None:
        self._connect = connect
        self._long_reads = long_reads
        self._history = History(schema)
        self._kept: deque[FeedEvent] = deque(maxlen=KEPT_EVENTS)
        self._tip: int | None = None
        """The position up to which the reader has read; None while there is no reader."""
        self._followers = 0
        self._left_at = 0.0
        self._reader: asyncio.Task[None] | None = None
        self._changed = asyncio.Event()
        self._catching_up = asyncio.Semaphore(_CATCHING_UP_MAX)
        self.is_stopped = False
        """Whether the process is about to end."""

    @property
    def followers(self) -> int:
        """The number of clients that follow or wait now."""
        return self._followers

    def stop(self) -> None:
        """Let every follower go: the process is about to end."""
        self.is_stopped = True
        self._wake()

    async def wait_beyond(self, position: int, seconds: float, is_gone: Callable[[], bool]) -> None:
        """Wait until there is an event above a position, for so many seconds at most. Raises Problem."""
        with _Following(self):
            give_up_at = time.monotonic() + seconds
            while not (self.is_stopped or is_gone()) and (self._tip is None or self._tip <= position):
                if (left := give_up_at - time.monotonic()) <= 0:
                    return
                await self._change(min(left, 1.0))

    async def follow(
        self, position: int, chosen: EventFilter, may_go_on: Callable[[], Awaitable[bool]]
    ) -> AsyncGenerator[bytes, None]:
        """Yield the frames of the chosen events above a position, for ever. Raises Problem where too many follow.

        `may_go_on` is asked every few seconds.
        """
        with _Following(self):
            yield b": events above position %d follow\n\n" % position
            spoke_at = checked_at = time.monotonic()
            while not self.is_stopped:
                frames, position, is_behind = await self._next(position, chosen)
                now = time.monotonic()
                if not frames and now > spoke_at + HEARTBEAT_SECONDS:
                    frames = b": nothing new\n\n"
                if frames:
                    spoke_at = now
                    yield frames
                if now > checked_at + CHECK_SECONDS:
                    checked_at = now
                    if not await may_go_on():
                        return
                if not is_behind and (self._tip is None or position >= self._tip):  # which may have moved meanwhile
                    await self._change(CHECK_SECONDS)

    async def _next(self, position: int, chosen: EventFilter) -> tuple[bytes, int, bool]:
        """Return the next frames behind a position, how far that is, and whether there is more already."""
        if self._tip is None or position >= self._tip:
            return b"", position, False
        if not self._kept or position + 1 < self._kept[0].event.position:
            return await self._page(position, chosen)
        fresh = reversed([*islice(reversed(self._kept), self._tip - position)])
        frames = (each.frame for each in fresh if chosen.includes(each.event))
        return b"".join(frames), self._tip, False

    async def _page(self, position: int, chosen: EventFilter) -> tuple[bytes, int, bool]:
        async with self._catching_up:
            frames, scanned = await asyncio.to_thread(read_again, lambda: self._scan(position, chosen))
        return frames, scanned, True

    def _scan(self, position: int, chosen: EventFilter) -> tuple[bytes, int]:
        """Read a page of the ledger; payments go first."""
        began = time.perf_counter()
        with self._long_reads.connection() as connection:
            end = self._history.last_position(connection)  # before the scan, which sees all up to it
            scan = self._history.scan(
                connection, after_position=position, limit=PAGE_EVENTS, chosen=chosen, seconds=_SCAN_SECONDS
            )
        frames = b"".join(FeedEvent(event).frame for event in scan.events)
        Payments.let_pass(time.perf_counter() - began)
        return frames, max(end, scan.position) if scan.is_at_end else scan.position

    async def _change(self, seconds: float) -> None:
        """Wait for news, for so many seconds at most."""
        with suppress(TimeoutError):
            await asyncio.wait_for(self._changed.wait(), seconds)

    def _wake(self) -> None:
        changed, self._changed = self._changed, asyncio.Event()
        changed.set()

    def refuse_too_many(self) -> None:
        """Raise Problem where as many follow as may."""
        if self._followers >= FOLLOWERS_MAX or self.is_stopped:
            raise Problem(Unavailable())

    def _enter(self) -> None:
        self.refuse_too_many()
        self._followers += 1
        if self._reader is None:
            self._reader = asyncio.get_running_loop().create_task(self._read())

    def _leave(self) -> None:
        self._followers -= 1
        self._left_at = time.monotonic()

    async def _read(self) -> None:
        """Read what is new until nobody has followed for a while."""
        try:
            while self._is_followed:
                try:
                    with closing(await asyncio.to_thread(self._connect)) as connection:
                        while self._is_followed:
                            if await self._read_new(connection) < PAGE_EVENTS:
                                await asyncio.sleep(POLL_SECONDS)
                except Exception as error:  # noqa: BLE001 - whatever it was, those who follow wait for the next attempt
                    log.warning("the feed could not be read", error=repr(error))
                    await asyncio.sleep(_PAUSE_AFTER_ERROR_SECONDS)
        finally:
            self._reader, self._tip = None, None
            self._kept.clear()

    @property
    def _is_followed(self) -> bool:
        lingers = self._followers or time.monotonic() < self._left_at + LINGER_SECONDS
        return bool(lingers) and not self.is_stopped

    async def _read_new(self, connection: Connection[Any]) -> int:
        """Read what is new, a page at most, and return how much that was."""
        new, tip = await asyncio.to_thread(self._new_events, connection, self._tip)
        if new or self._tip is None:
            self._kept.extend(new)
            self._tip = tip
            self._wake()
        return len(new)

    def _new_events(self, connection: Connection[Any], tip: int | None) -> tuple[list[FeedEvent], int]:
        """Return the events above the tip, and the new tip; at the very beginning no events."""
        last = self._history.last_position(connection)
        if tip is None or last <= tip:
            return [], last if tip is None else tip
        events = self._history.of_ledger(connection, after_position=tip, limit=PAGE_EVENTS, chosen=EventFilter())
        return [*map(FeedEvent, events)], events[-1].position if events else tip


class _Following:
    """Counts a follower as long as it is there."""

    def __init__(self, feed: Feed) -> None:
        self._feed = feed

    def __enter__(self) -> None:
        self._feed._enter()

    def __exit__(self, *_exception: object) -> None:
        self._feed._leave()
