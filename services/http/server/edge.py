"""The outermost layer: every request gets an id and is measured, and no exception passes it."""

import time
from collections.abc import Iterable
from functools import partial
from typing import Any

import structlog
from fastapi import FastAPI
from starlette.types import Message, Receive, Scope, Send

from services.http.metrics import UNMATCHED, Metrics
from services.http.problems import STATUS, MethodNotAllowed, NotFound, Problem, problem_of
from services.http.server.exchange import CURRENT_PATH, Exchange, remember
from services.http.server.fast_path import FastPath
from services.http.server.limits import PACE_OF_STRANGERS, Pace
from services.http.server.reply import NO_STORE, Reply

_METHOD_NOT_ALLOWED = STATUS[MethodNotAllowed.code]

log = structlog.get_logger()


class Edge:
    """The ASGI app: the fast path, and the API behind it."""

    def __init__(self, fast_path: FastPath, api: FastAPI, metrics: Metrics) -> None:
        self.fast_path = fast_path
        self.api = api
        self.metrics = metrics
        self._pace = Pace(PACE_OF_STRANGERS)

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http":
            await self.api(scope, receive, send)
            return
        method: str = scope["method"]
        if method == "HEAD":  # answered as GET, whose body is then not sent
            scope = {**scope, "method": "GET"}
        exchange = Exchange(
            scope["path"],
            scope["query_string"],
            scope["headers"],
            receive,
            needs_host=scope["http_version"] != "1.0",
            is_head=method == "HEAD",
            state=scope.get("state", {}),
            peer=partial(_peer_of, scope),
        )
        if (match := self.fast_path.find(scope["method"], exchange.path)) is not None:
            await _send(send, await self.fast_path.answer(*match, exchange), exchange.request_id)
            return
        if not exchange.authorization and not exchange.path.startswith("/console"):  # which has a pace of its own
            await self._pace.wait()
        started = time.perf_counter()
        status, head_seconds = await self._pass_on(exchange, scope, receive, send)
        route = UNMATCHED if status == _METHOD_NOT_ALLOWED else getattr(scope.get("route"), "path", UNMATCHED)
        self.metrics.observe(method, route, status, time.perf_counter() - started)
        self.fast_path.service.request_log.note(exchange, method, route, status, head_seconds)

    def announce_stop(self) -> None:
        """Be ready no more, and end the streams that would never end by themselves."""
        self.fast_path.service.stop.is_announced = True
        self.fast_path.service.feed.stop()

    def count_refusal(self, status: int) -> None:
        """Count what was no request."""
        self.metrics.observe("", UNMATCHED, status, 0.0)

    async def _pass_on(self, exchange: Exchange, scope: Scope, receive: Receive, send: Send) -> tuple[int, float]:
        """Let the API answer; return the status of its answer, and after how many seconds its head was sent."""
        remember(scope, exchange)
        CURRENT_PATH.set(exchange.path)
        request_id = exchange.request_id.encode()
        status, head_seconds = 0, 0.0
        started = time.perf_counter()

        async def send_with_id(message: Message) -> None:
            nonlocal status, head_seconds
            if message["type"] == "http.response.start":
                status, head_seconds = message["status"], time.perf_counter() - started
                headers = [*message.get("headers", ()), (b"request-id", request_id)]
                is_told = any(name == NO_STORE[0] for name, _ in headers)
                message["headers"] = [*(headers if is_told else (*headers, NO_STORE)), *_quota_headers(exchange)]
            await send(message)

        try:
            exchange.refuse_ambiguous()
            if exchange.path.endswith("\n"):  # which patterns of routes pass over
                raise Problem(NotFound())
            await self.api(scope, receive, send_with_id)
        except Exception as error:  # noqa: BLE001 - becomes a problem, and is logged there
            if status:  # the API has answered with a problem, and logged it
                log.debug("a failed request was answered", request_id=exchange.request_id, error=repr(error))
            else:
                problem = problem_of(error, exchange.request_id)
                exchange.code, head_seconds = problem.refusal.code, time.perf_counter() - started
                reply = problem.reply(exchange.request_id)
                await _send(send, reply, exchange.request_id)
                status = reply.status
        return status, head_seconds


def _quota_headers(exchange: Exchange) -> Iterable[tuple[bytes, bytes]]:
    if exchange.quota is None:
        return ()
    return [(name.encode(), value.encode()) for name, value in exchange.quota.headers().items()]


def _peer_of(scope: Scope) -> str:
    return (scope.get("client") or ("", 0))[0]


async def _send(send: Send, reply: Reply[Any], request_id: str) -> None:
    headers = reply.all_headers(request_id)
    await send({"type": "http.response.start", "status": reply.status, "headers": headers})
    await send({"type": "http.response.body", "body": reply.body})
