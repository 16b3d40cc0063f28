"""The outermost layer: gives every request an id, measures it, and lets no exception out."""

import time
from collections.abc import Iterable

import structlog
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from services.http.exchange import Exchange, remember
from services.http.hot import HotPaths
from services.http.metrics import UNMATCHED, Metrics
from services.http.problems import problem_of
from services.http.reply import Reply

log = structlog.get_logger()


class Edge:
    """The ASGI app: the hot paths, and the API behind them."""

    def __init__(self, hot_paths: HotPaths, api: ASGIApp, metrics: Metrics) -> None:
        self._hot_paths = hot_paths
        self._api = api
        self._metrics = metrics

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http":
            await self._api(scope, receive, send)
            return
        started = time.perf_counter()
        exchange = Exchange(scope, receive)
        if (found := self._hot_paths.find(scope)) is not None:
            hot_route, subscription_id = found
            route = hot_route.template
            try:
                reply = await hot_route.answer(exchange, subscription_id)
            except Exception as error:  # noqa: BLE001 - becomes a problem, and is logged there
                reply = problem_of(error, exchange.request_id).reply(exchange.request_id)
            status = reply.status
            await _send(send, reply, exchange.request_id)
        else:
            status = await self._pass_on(exchange, scope, receive, send)
            route = getattr(scope.get("route"), "path", UNMATCHED)
        self._metrics.observe(scope["method"], route, status, time.perf_counter() - started)

    async def _pass_on(self, exchange: Exchange, scope: Scope, receive: Receive, send: Send) -> int:
        """Let the API answer; the status that it answered with."""
        remember(scope, exchange)
        request_id = exchange.request_id.encode()
        status = 0

        async def send_with_id(message: Message) -> None:
            nonlocal status
            if message["type"] == "http.response.start":
                status = message["status"]
                message["headers"] = [*message.get("headers", ()), (b"request-id", request_id)]
            await send(message)

        try:
            await self._api(scope, receive, send_with_id)
        except Exception as error:  # noqa: BLE001 - becomes a problem, and is logged there
            if status:  # the API has answered with a problem, and logged it
                log.debug("a failed request was answered", request_id=exchange.request_id, error=repr(error))
            else:
                reply = problem_of(error, exchange.request_id).reply(exchange.request_id)
                await _send(send, reply, exchange.request_id)
                status = reply.status
        return status


async def _send(send: Send, reply: Reply, request_id: str) -> None:
    headers = [
        (b"content-type", reply.media_type.encode()),
        (b"content-length", str(len(reply.body)).encode()),
        (b"request-id", request_id.encode()),
        *_encoded(reply.headers.items()),
    ]
    await send({"type": "http.response.start", "status": reply.status, "headers": headers})
    await send({"type": "http.response.body", "body": reply.body})


def _encoded(headers: Iterable[tuple[str, str]]) -> Iterable[tuple[bytes, bytes]]:
    return ((name.encode("latin-1"), value.encode("latin-1")) for name, value in headers)
