"""Delivers to all endpoints: one process at a time, chosen by a lock that ends with its connection."""

import asyncio
import random
import ssl
import threading
import time
from collections.abc import Callable, Mapping
from contextlib import closing, suppress
from datetime import datetime, timedelta
from typing import Any
from uuid import UUID

import psycopg
import structlog
import uvloop
from msgspec import Raw
from prometheus_client import CollectorRegistry
from psycopg import Connection
from psycopg_pool import ConnectionPool

from services.postgres.database import Connect
from services.webhooks.courier import AT_ONCE, Courier, EndpointChanged, Office
from services.webhooks.messages import Message, body_of, notice_id_of
from services.webhooks.metrics import WebhookMetrics
from services.webhooks.pages import LedgerPages
from services.webhooks.schedule import next_attempt_at
from services.webhooks.sending import JudgedNetwork, Sender
from services.webhooks.store import DueNotice, Endpoint, WebhookStore

LOOK_SECONDS = 0.5
"""Endpoints and notices are looked at so often."""
TIP_SECONDS = 0.05
SILENCE_SECONDS = 60.0
KEPT = timedelta(days=7)
_FORGET_SECONDS = 600.0
_PAUSE_AFTER_ERROR_SECONDS = 1.0
_ENDPOINTS_MAX = 10_000
_BEFORE_ALL = UUID(int=0)

log = structlog.get_logger()


class WebhookRole:
    """The role, with its metrics and a check of its health."""

    def __init__(
        self,
        connections: ConnectionPool[Connection[Any]],
        connect: Connect,
        schema: str,
        clock: Callable[[], datetime],
        *,
        allow_private: bool,
    ) -> None:
        self.registry = CollectorRegistry()
        self._metrics = WebhookMetrics(self.registry)
        self._connections = connections
        self._connect = connect
        self._schema = schema
        self._store = WebhookStore(schema)
        self._clock = clock
        self._network = JudgedNetwork(allow_private=allow_private)
        self._tls = ssl.create_default_context()
        self._active_at = time.monotonic()

    def find_trouble(self) -> str | None:
        """Describe what keeps the role from its work; None where nothing does."""
        silence_seconds = time.monotonic() - self._active_at
        return f"no look for {silence_seconds:.0f} seconds" if silence_seconds > SILENCE_SECONDS else None

    def run(self, stopping: threading.Event) -> None:
        """Deliver until `stopping` is set."""
        try:
            uvloop.run(self._run(stopping))
        finally:
            self._network.close()

    async def _run(self, stopping: threading.Event) -> None:
        stop = asyncio.Event()
        watching = asyncio.create_task(_pass_on(stopping, stop))
        while not stop.is_set():
            try:
                with closing(await asyncio.to_thread(self._connect)) as holder:
                    await self._wait_for_role(holder, stop)
                    if not stop.is_set():
                        await self._deliver(holder, stop)
            except psycopg.Error as error:
                log.warning("webhooks could not be delivered", error=str(error))
                self._active_at = time.monotonic()
                await _pause(stop, _PAUSE_AFTER_ERROR_SECONDS)
            self._metrics.show_role(False, 0)
        await watching

    async def _wait_for_role(self, holder: Connection[Any], stop: asyncio.Event) -> None:
        while not stop.is_set() and not await asyncio.to_thread(self._store.take_role, holder):
            self._active_at = time.monotonic()
            await _pause(stop, LOOK_SECONDS)

    async def _deliver(self, holder: Connection[Any], stop: asyncio.Event) -> None:
        """Deliver as long as this process has the role."""
        office = Office(
            store=self._store,
            connections=self._connections,
            pages=LedgerPages(self._connections, self._schema),
            clock=self._clock,
            metrics=self._metrics,
            stopping=stop,
        )
        await office.in_thread(self._store.take_over)
        routes = _Routes(office, self._network, self._tls)
        chores = [
            asyncio.create_task(each)
            for each in (self._find_tips(routes, office), self._keep_role(holder, stop), self._send_notices(office))
        ]
        looking = asyncio.create_task(self._look(routes, office))
        try:
            done, _ = await asyncio.wait([looking, *chores], return_when=asyncio.FIRST_COMPLETED)
            if looking not in done or not stop.is_set():
                for task in done:
                    task.result()
            await routes.finish()
        finally:
            for task in (looking, *chores):
                task.cancel()
            await asyncio.gather(looking, *chores, return_exceptions=True)
            await routes.close()

    async def _look(self, routes: "_Routes", office: Office) -> None:
        """Look again and again for endpoints that are new or changed, and for what may be forgotten."""
        forget_at = 0.0
        while not office.stopping.is_set():
            endpoints = await office.in_thread(self._store.endpoints, _BEFORE_ALL, _ENDPOINTS_MAX)
            self._active_at = time.monotonic()
            await routes.follow({each.webhook_id: each for each in endpoints if each.disabled_at is None})
            self._metrics.show_role(True, sum(each.disabled_at is not None for each in endpoints))
            await office.in_thread(self._store.notice_checkpoints)
            if time.monotonic() > forget_at:
                forget_at = time.monotonic() + _FORGET_SECONDS
                await office.in_thread(self._store.forget, self._clock() - KEPT)
            await _pause(office.stopping, LOOK_SECONDS)

    async def _keep_role(self, holder: Connection[Any], stop: asyncio.Event) -> None:
        """Find out soon where the role is lost with its connection. Raises psycopg.Error."""
        while not stop.is_set():
            await asyncio.to_thread(self._store.keep_role, holder)
            await _pause(stop, LOOK_SECONDS)

    async def _find_tips(self, routes: "_Routes", office: Office) -> None:
        """Learn again and again how far the ledger is, as long as somebody is to be told."""
        while not office.stopping.is_set():
            if routes.has_any:
                await office.pages.find_tip()
            await _pause(office.stopping, TIP_SECONDS)

    async def _send_notices(self, office: Office) -> None:
        """Send what no event brings about, to endpoints that are switched off too."""
        while not office.stopping.is_set():
            due = await office.in_thread(self._store.due_notices, self._clock())
            await asyncio.gather(*(self._send_notice(office, each) for each in due))
            if not due:
                await _pause(office.stopping, LOOK_SECONDS)

    async def _send_notice(self, office: Office, notice: DueNotice) -> None:
        endpoint = await office.in_thread(self._store.find, notice.webhook_id)
        if endpoint is None:  # deleted meanwhile, and the notice with it
            return
        body = body_of(notice.type, notice.made_at, Raw(notice.data.encode()))
        message = Message(notice_id_of(notice.webhook_id, notice.notice_id), notice.type, body)
        async with Sender(endpoint.url, self._network, self._tls, connections=1) as sender:
            result = await office.send(sender, endpoint, message)
        attempts, now = notice.attempts + 1, self._clock()
        next_at = None if result.is_delivered else next_attempt_at(now, attempts, random.random())  # noqa: S311
        columns = {
            "status": "delivered" if result.is_delivered else "parked" if next_at is None else "retrying",
            "attempts": attempts,
            "last_status": result.status,
            "last_error": result.error,
            "next_attempt_at": next_at,
        }
        await office.in_thread(self._store.move_notice, notice.notice_id, columns)


class _Routes:
    """The couriers of the endpoints that are switched on."""

    def __init__(self, office: Office, network: JudgedNetwork, tls: ssl.SSLContext) -> None:
        self._office = office
        self._network = network
        self._tls = tls
        self._couriers: dict[UUID, tuple[Courier, asyncio.Task[None]]] = {}

    @property
    def has_any(self) -> bool:
        """Whether there is any courier."""
        return bool(self._couriers)

    async def follow(self, endpoints: Mapping[UUID, Endpoint]) -> None:
        """Have a courier for each endpoint as it is now, and no other. Raises psycopg.Error."""
        for id, (courier, task) in list(self._couriers.items()):
            endpoint = endpoints.get(id)
            is_current = endpoint is not None and endpoint.generation == courier.endpoint.generation
            if not is_current or task.done():
                del self._couriers[id]
                self._office.metrics.forget_endpoint(str(id))
                await _end(task)
            else:
                self._office.metrics.show_endpoint(str(id), courier.lag_events, len(courier.held))
        for id, endpoint in endpoints.items():
            if id not in self._couriers:
                sender = Sender(endpoint.url, self._network, self._tls, connections=AT_ONCE)
                courier = Courier(endpoint, self._office, sender)
                self._couriers[id] = courier, asyncio.create_task(_serve(courier, sender))
                self._office.metrics.show_endpoint(str(id), courier.lag_events, 0)

    async def finish(self) -> None:
        """Wait until every courier has stored how far it is."""
        await asyncio.gather(*(task for _, task in self._couriers.values()), return_exceptions=True)

    async def close(self) -> None:
        """End all couriers at once."""
        for id, (_, task) in self._couriers.items():
            self._office.metrics.forget_endpoint(str(id))
            task.cancel()
        await asyncio.gather(*(task for _, task in self._couriers.values()), return_exceptions=True)


async def _serve(courier: Courier, sender: Sender) -> None:
    async with sender:
        await courier.run()


async def _end(task: "asyncio.Task[None]") -> None:
    """End a task. Raises what it failed with, but for a change of its endpoint."""
    task.cancel()
    with suppress(asyncio.CancelledError, EndpointChanged):
        await task


async def _pass_on(stopping: threading.Event, stop: asyncio.Event) -> None:
    while not stopping.is_set():
        await asyncio.sleep(0.1)
    stop.set()


async def _pause(stop: asyncio.Event, seconds: float) -> None:
    with suppress(TimeoutError):
        await asyncio.wait_for(stop.wait(), seconds)
