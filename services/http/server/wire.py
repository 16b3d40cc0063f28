"""The app server at the socket: a response is one system call, and plain requests to hot routes take the fast path."""

import asyncio
from typing import Any

import uvicorn
from starlette.types import ASGIApp
from uvicorn.protocols.http.httptools_impl import STATUS_LINE, HttpToolsProtocol, RequestResponseCycle

from services.http.routing import HotRoute
from services.http.server.edge import Edge
from services.http.server.exchange import Exchange

_NOBODY = asyncio.Event()
_FLUSH_BYTES = 64 * 1024
GRACE_SECONDS = 10
"""The time that a stop waits for requests that are under way."""


def server_of(app: ASGIApp) -> uvicorn.Server:
    """Make uvicorn on the app, as the fast path needs it: no access log, no limit of concurrency, no root path."""
    config = uvicorn.Config(
        app,
        http=Protocol,
        ws="none",
        lifespan="off",
        proxy_headers=False,
        log_config=None,
        access_log=False,
        server_header=False,
        timeout_graceful_shutdown=GRACE_SECONDS,
    )
    return uvicorn.Server(config)


class JoinedWrites(asyncio.Transport):
    """A transport that joins all writes of one turn of the event loop.

    uvicorn writes the head of a response and its body one after the other. Each would be a system call, at which the
    event loop releases the interpreter lock and then waits until the writer lane releases it.
    """

    def __init__(self, transport: asyncio.Transport, loop: asyncio.AbstractEventLoop) -> None:
        super().__init__()
        self._transport = transport
        self._loop = loop
        self._gathered: list[bytes] = []
        self._gathered_bytes = 0

    def write(self, data: Any) -> None:
        """Gather the data; send at once what is large already."""
        if not self._gathered:
            self._loop.call_soon(self._flush)
        self._gathered.append(data)
        self._gathered_bytes += len(data)
        if self._gathered_bytes >= _FLUSH_BYTES:
            self._flush()

    def write_whole(self, data: bytes) -> None:
        """Write a whole response, which nothing follows."""
        if self._gathered:
            self.write(data)
        else:
            self._transport.write(data)

    def _flush(self) -> None:
        if self._gathered:
            gathered, self._gathered, self._gathered_bytes = self._gathered, [], 0
            self._transport.write(b"".join(gathered))

    def close(self) -> None:
        self._flush()
        self._transport.close()

    def abort(self) -> None:
        self._transport.abort()

    def is_closing(self) -> bool:
        return self._transport.is_closing()

    def get_extra_info(self, name: str, default: Any = None) -> Any:
        return self._transport.get_extra_info(name, default)

    def pause_reading(self) -> None:
        self._transport.pause_reading()

    def resume_reading(self) -> None:
        self._transport.resume_reading()

    def set_protocol(self, protocol: asyncio.BaseProtocol) -> None:
        self._transport.set_protocol(protocol)


class _PlainCycle(RequestResponseCycle):
    """The attributes that uvicorn reads of a request under way; nothing else of its own cycle is there."""

    def __init__(self) -> None:
        self.response_complete = False
        self.disconnected = False
        self.keep_alive = True
        self.message_event = _NOBODY


class Protocol(HttpToolsProtocol):
    """uvicorn's HTTP/1.1 over such a transport; plain requests to hot routes are answered without ASGI.

    A plain request arrived whole, in one piece, on a connection where no other is under way, in HTTP/1.1 with
    keep-alive and without `Expect`, an upgrade or a query. Every other request is left to uvicorn.
    """

    transport: JoinedWrites
    _hot: tuple[HotRoute, str] | None = None
    """The route of the plain request that is being parsed, and the subscription id in its path; None for any other."""
    _parts: list[bytes]
    """The parts of its body that have arrived."""

    def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override] # uvicorn's own type
        super().connection_made(JoinedWrites(transport, self.loop))

    def data_received(self, data: bytes) -> None:
        super().data_received(data)
        if self._hot is not None:
            self._leave_to_uvicorn()

    def on_headers_complete(self) -> None:
        self._hot, self._parts = self._plain_request(), []
        if self._hot is None:
            super().on_headers_complete()

    def on_body(self, body: bytes) -> None:
        if self._hot is None:
            super().on_body(body)
        else:
            self._parts.append(body)

    def on_message_complete(self) -> None:
        if self._hot is None:
            super().on_message_complete()
            return
        hot, self._hot = self._hot, None
        self.cycle = cycle = _PlainCycle()
        exchange = Exchange(self.url.decode(), b"", self.headers, whole_body=b"".join(self._parts))
        task = self.loop.create_task(self._answer(cycle, hot, exchange))
        self.tasks.add(task)
        task.add_done_callback(self.tasks.discard)

    def _plain_request(self) -> tuple[HotRoute, str] | None:
        parser, app = self.parser, self.app
        is_plain = (
            isinstance(app, Edge)
            and getattr(self.cycle, "response_complete", True)  # there is none before the first request
            and parser.get_http_version() == "1.1"
            and parser.should_keep_alive()
            and not parser.should_upgrade()
            and not self.expect_100_continue
            and not self.config.access_log
            and self.limit_concurrency is None
            and not self.root_path
        )
        return app.fast_path.find(parser.get_method().decode(), self.url.decode("latin-1")) if is_plain else None

    def _leave_to_uvicorn(self) -> None:
        self._hot = None
        super().on_headers_complete()
        for part in self._parts:
            super().on_body(part)

    async def _answer(self, cycle: _PlainCycle, hot: tuple[HotRoute, str], exchange: Exchange) -> None:
        try:
            reply = await self.app.fast_path.answer(*hot, exchange)
            if self.flow.write_paused:
                await self.flow.drain()
        except BaseException:  # cancelled, when a stop takes too long: whether it happened is not known
            self.transport.close()
            raise
        if cycle.disconnected:
            return
        headers = [*self.server_state.default_headers, *reply.all_headers(exchange.request_id)]
        if not cycle.keep_alive:
            headers.append((b"connection", b"close"))
        lines = b"".join([b"%b: %b\r\n" % header for header in headers])
        self.transport.write_whole(b"".join((STATUS_LINE[reply.status], lines, b"\r\n", reply.body)))
        cycle.response_complete = True
        if not cycle.keep_alive:
            self.transport.close()
        self.on_response_complete()
