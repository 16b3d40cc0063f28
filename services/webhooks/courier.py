"""Delivers to one endpoint: new messages in the order of each subscription, and again what was not taken.

New messages come page by page; several pages may be under way, and progress is stored in their order. A subscription
whose message fails is held up: new messages of it are passed over, and a try that succeeds goes on with them, read from
the ledger again, until it has caught up.
"""

import asyncio
import random
from collections.abc import Callable, Sequence
from contextlib import suppress
from datetime import datetime
from typing import Any, NamedTuple
from uuid import UUID

import structlog
from msgspec import Struct
from msgspec.structs import replace
from psycopg import Connection
from psycopg_pool import ConnectionPool

from services.webhooks.messages import LedgerMessage, Message, Place, messages_of
from services.webhooks.metrics import WebhookMetrics
from services.webhooks.pages import LedgerPages, Page
from services.webhooks.schedule import has_failed_for_too_long, next_attempt_at
from services.webhooks.sending import Result, Sender
from services.webhooks.signing import headers_of
from services.webhooks.store import Endpoint, HoldUp, Outcome, Progress, WebhookStore

AT_ONCE = 8
"""So many messages are under way to an endpoint, of as many subscriptions."""
HELD_UP_MAX = 1_000
"""With so many subscriptions held up, an endpoint gets no new messages: it takes nothing at all."""
PAGES_UNDER_WAY = 4
IDLE_SECONDS = 0.05
_CATCH_UP_EVENTS = 100
_NOWHERE = Place(0)

log = structlog.get_logger()


class EndpointChanged(Exception):
    """The endpoint was changed from outside, or switched off: its courier begins anew, or not at all."""


class Office(Struct, frozen=True):
    """What all couriers share."""

    store: WebhookStore
    connections: ConnectionPool[Connection[Any]]
    pages: LedgerPages
    clock: Callable[[], datetime]
    metrics: WebhookMetrics
    stopping: asyncio.Event

    async def send(self, sender: Sender, endpoint: Endpoint, message: Message) -> Result:
        """Try a message once, signed anew."""
        now = self.clock()
        headers = headers_of(message, endpoint.live_secrets(now), now)
        with self.metrics.measure():
            result = await sender.send(message.body, headers)
        self.metrics.count(result)
        return result

    async def in_thread(self, call: Callable[..., Any], *arguments: Any) -> Any:
        """Call a method of the store, with a connection, in a thread. Raises psycopg.Error."""

        def borrow_and_call() -> Any:
            with self.connections.connection() as connection:
                return call(connection, *arguments)

        return await asyncio.to_thread(borrow_and_call)


class _Work(NamedTuple):
    """A page that is under way: a task for each subscription in it."""

    tasks: Sequence[asyncio.Task[None]]
    last: int


class Courier:
    """The deliveries of one endpoint, on one event loop."""

    def __init__(self, endpoint: Endpoint, office: Office, sender: Sender) -> None:
        self.endpoint = endpoint
        self._office = office
        self._sender = sender
        self._position = endpoint.position
        self._read_to = endpoint.position
        """The position up to which new messages were given to tasks."""
        self._failing_since = endpoint.failing_since
        self.held: dict[UUID, HoldUp] = {}
        self._resuming: set[UUID] = set()
        self._caught_up: dict[UUID, Place] = {}
        """The place up to which subscriptions that were held up, and are not any more, have everything."""
        self._tails: dict[UUID, asyncio.Task[None]] = {}
        """The last task of each subscription that has one."""
        self._changed: set[UUID] = set()
        self._outcomes: list[Outcome] = []
        self._slots = asyncio.Semaphore(AT_ONCE)
        self._committing = asyncio.Lock()
        self._work: asyncio.Queue[_Work | None] = asyncio.Queue(PAGES_UNDER_WAY)

    async def run(self) -> None:
        """Deliver until the role stops. Raises EndpointChanged, psycopg.Error."""
        for hold_up in await self._office.in_thread(self._office.store.hold_ups, self.endpoint.webhook_id):
            self.held[hold_up.subscription_id] = hold_up
        tasks = [asyncio.create_task(each) for each in (self._hand_out(), self._settle(), self._try_again())]
        try:
            await asyncio.gather(*tasks)
        finally:
            for task in (*tasks, *self._tails.values()):
                task.cancel()
            await asyncio.gather(*tasks, *self._tails.values(), return_exceptions=True)

    @property
    def lag_events(self) -> int:
        """How many events it is behind the ledger."""
        return max(0, self._office.pages.tip - self._position)

    # New messages

    async def _hand_out(self) -> None:
        """Give the messages of each page to tasks, one a subscription."""
        while not self._office.stopping.is_set():
            page = None if len(self.held) >= HELD_UP_MAX else await self._office.pages.after(self._read_to)
            if page is None:
                await self._pause(IDLE_SECONDS)
                continue
            work = _Work(self._start(page), page.last)
            self._read_to = page.last
            await self._work.put(work)
        await self._work.put(None)

    def _start(self, page: Page) -> list[asyncio.Task[None]]:
        groups: dict[UUID, list[LedgerMessage]] = {}
        for event in page.events:
            for message in messages_of(self.endpoint.webhook_id, self.endpoint.types, event):
                groups.setdefault(event.subscription_id, []).append(message)
        return [self._begin(id, messages) for id, messages in groups.items()]

    def _begin(self, subscription_id: UUID, messages: Sequence[LedgerMessage]) -> asyncio.Task[None]:
        """Begin the task of a subscription's messages, behind the one before it."""
        before = self._tails.get(subscription_id)
        task = asyncio.create_task(self._deliver(subscription_id, messages, before))
        self._tails[subscription_id] = task

        def forget(done: asyncio.Task[None]) -> None:
            if self._tails.get(subscription_id) is done:
                del self._tails[subscription_id]

        task.add_done_callback(forget)
        return task

    async def _deliver(
        self, subscription_id: UUID, messages: Sequence[LedgerMessage], before: asyncio.Task[None] | None
    ) -> None:
        """Deliver messages in order until one fails, or a stop keeps the rest back as a hold-up without a try."""
        if before is not None:
            await asyncio.wait([before])
        for message in messages:
            async with self._slots:
                if subscription_id in self.held:
                    return
                if message.place < self._caught_up.get(subscription_id, _NOWHERE):
                    continue
                if self._office.stopping.is_set():
                    self.held[subscription_id] = _untried(message, self._now)
                    self._changed.add(subscription_id)
                    return
                result = await self._try(message)
            if not result.is_delivered:
                self._hold_up(_untried(message, self._now), result)
            elif result.status != 200:
                self._outcomes.append(Outcome(*_place_of(message), "delivered", 1, result.status, None))

    async def _settle(self) -> None:
        """Store progress, page after page."""
        while (work := await self._work.get()) is not None:
            for task in work.tasks:
                await task
            await self._commit(work.last)
            for id in [id for id, place in self._caught_up.items() if place.position <= self._position + 1]:
                del self._caught_up[id]

    # What was not taken

    async def _try_again(self) -> None:
        """Begin the tries that are due."""
        tries: set[asyncio.Task[None]] = set()
        try:
            while not self._office.stopping.is_set():
                for hold_up in [each for each in self.held.values() if each.next_attempt_at <= self._now]:
                    if hold_up.subscription_id not in self._resuming and len(tries) < AT_ONCE:
                        self._resuming.add(hold_up.subscription_id)
                        tries.add(asyncio.create_task(self._resume(hold_up)))
                done, tries = await asyncio.wait(tries, timeout=IDLE_SECONDS) if tries else (set(), tries)
                for task in done:
                    task.result()
                if not done:
                    await self._pause(IDLE_SECONDS)
            await asyncio.gather(*tries)
        finally:
            for task in tries:
                task.cancel()

    async def _resume(self, hold_up: HoldUp) -> None:
        """Try a message that failed, and go on with those behind it as long as they are taken."""
        id, attempts, place = hold_up.subscription_id, hold_up.attempts, hold_up.place
        try:
            while True:
                end = self._read_to
                messages = await self._messages(id, place, end)
                for message in messages:
                    if self._office.stopping.is_set():
                        return
                    async with self._slots:
                        result = await self._try(message)
                    place = Place(message.place.position, message.place.ordinal + 1)
                    if not result.is_delivered:
                        held = replace(self.held[id], **_columns_of(message), attempts=attempts)
                        if self._hold_up(held, result):
                            return
                    elif attempts or result.status != 200:
                        outcome = Outcome(*_place_of(message), "delivered", attempts + 1, result.status, None)
                        self._outcomes.append(outcome)
                    attempts = 0
                    self._move(id, place)
                if not messages and end == self._read_to:
                    self._release(id, Place(end + 1))
                    return
                place = max(place, Place(messages[-1].place.position + 1)) if messages else place
        finally:
            self._resuming.discard(id)
            await self._commit(self._position)

    async def _messages(self, subscription_id: UUID, place: Place, last: int) -> list[LedgerMessage]:
        """Return messages of a subscription from a place on; none once there are no more up to a position."""
        first, endpoint = place.position, self.endpoint
        while True:
            events = await self._office.pages.of_subscription(subscription_id, first, last, _CATCH_UP_EVENTS)
            found = [
                message
                for event in events
                for message in messages_of(endpoint.webhook_id, endpoint.types, event)
                if message.place >= place
            ]
            if found or len(events) < _CATCH_UP_EVENTS:
                return found
            first = events[-1].position + 1

    def _move(self, subscription_id: UUID, place: Place) -> None:
        """Let a hold-up begin at another place."""
        held = self.held[subscription_id]
        self.held[subscription_id] = replace(
            held, position=place.position, ordinal=place.ordinal, attempts=0, last_status=None, last_error=None
        )
        self._changed.add(subscription_id)

    def _release(self, subscription_id: UUID, place: Place) -> None:
        del self.held[subscription_id]
        self._changed.add(subscription_id)
        self._caught_up[subscription_id] = place

    def _hold_up(self, hold_up: HoldUp, result: Result) -> bool:
        """Hold a subscription up with a try that failed; or park its message after the last one, and return False."""
        attempts = hold_up.attempts + 1
        at = next_attempt_at(self._now, attempts, random.random())  # noqa: S311 - it only spreads tries
        if at is None:
            parked = Outcome(hold_up.position, hold_up.ordinal, "parked", attempts, result.status, result.error)
            self._outcomes.append(parked)
            self._office.metrics.count_parked()
            log.warning(
                "a message was parked",
                webhook_id=str(self.endpoint.webhook_id),
                position=hold_up.position,
                result=result,
            )
            return False
        self.held[hold_up.subscription_id] = replace(
            hold_up, attempts=attempts, last_status=result.status, last_error=result.error, next_attempt_at=at
        )
        self._changed.add(hold_up.subscription_id)
        return True

    # Both

    async def _try(self, message: Message) -> Result:
        """Try a message, and see whether the endpoint fails. Raises EndpointChanged where it is switched off."""
        result = await self._office.send(self._sender, self.endpoint, message)
        if result.is_delivered:
            self._failing_since = None
        elif self._failing_since is None:
            self._failing_since = self._now
        elif has_failed_for_too_long(self._failing_since, self._now):
            await self._office.in_thread(self._office.store.disable, self.endpoint, self._now)
            log.warning("an endpoint failed for a day and is switched off", webhook_id=str(self.endpoint.webhook_id))
            raise EndpointChanged
        return result

    async def _commit(self, position: int) -> None:
        """Store progress up to a position. Raises EndpointChanged."""
        async with self._committing:
            changed, self._changed = self._changed, set()
            outcomes, self._outcomes = self._outcomes, []
            progress = Progress(
                position=position,
                failing_since=self._failing_since,
                hold_ups=[self.held[id] for id in changed if id in self.held],
                released=[id for id in changed if id not in self.held],
                outcomes=outcomes,
            )
            if not await self._office.in_thread(self._office.store.commit, self.endpoint, progress, self._now):
                raise EndpointChanged
            self._position = max(self._position, position)

    async def _pause(self, seconds: float) -> None:
        with suppress(TimeoutError):
            await asyncio.wait_for(self._office.stopping.wait(), seconds)

    @property
    def _now(self) -> datetime:
        return self._office.clock()


def _place_of(message: LedgerMessage) -> tuple[int, int]:
    return message.place.position, message.place.ordinal


def _untried(message: LedgerMessage, now: datetime) -> HoldUp:
    return HoldUp(message.subscription_id, *_place_of(message), 0, None, None, now)


def _columns_of(message: LedgerMessage) -> dict[str, int]:
    return {"position": message.place.position, "ordinal": message.place.ordinal}
