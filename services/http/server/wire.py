"""The app server at the socket: a response is one system call, and plain requests to hot routes take the fast path."""

import asyncio
import socket
import time
from collections.abc import Sequence
from typing import Any

import uvicorn
from starlette.types import ASGIApp
from uvicorn.protocols.http.flow_control import FlowControl
from uvicorn.protocols.http.httptools_impl import STATUS_LINE, HttpToolsProtocol, RequestResponseCycle
from uvicorn.protocols.utils import get_local_addr, get_remote_addr

from services.http.problems import HeadersTooLarge, MalformedRequest, Problem, RequestTooLarge
from services.http.routing import HotRoute
from services.http.server import limits
from services.http.server.edge import Edge
from services.http.server.exchange import BATCH_BODY_LIMIT_BYTES, GONE, Exchange, new_request_id
from services.http.server.joined_writes import JoinedWrites
from services.http.server.limits import HEAD_BYTES_MAX, HEAD_LINES_MAX, Connections, raise_file_limit
from services.http.server.reply import Reply
from services.subscription.refusals import Refusal

_NOBODY = asyncio.Event()
REQUEST_BYTES_MAX = BATCH_BODY_LIMIT_BYTES + 256 * 1024
"""The largest body, with its head and the frames of its chunks."""
STOP_SECONDS = 2.0
GRACE_SECONDS = 10
"""The time that a stop waits for requests that are under way."""


def server_of(app: ASGIApp, *, stop_seconds: float = STOP_SECONDS) -> uvicorn.Server:
    """Make uvicorn on the app, as the fast path needs it: no access log, no limit of concurrency, no root path.

    For `stop_seconds` from the announcement of a stop it takes connections, so that others send requests elsewhere.
    """
    connections = Connections(raise_file_limit())
    config = uvicorn.Config(
        app,
        http=type("BoundedProtocol", (Protocol,), {"open_connections": connections}),
        ws="none",
        lifespan="off",
        proxy_headers=False,
        log_config=None,
        access_log=False,
        server_header=False,
        timeout_keep_alive=int(limits.KEEP_ALIVE_SECONDS) + 10,  # the sweep ends idle connections before
        timeout_graceful_shutdown=GRACE_SECONDS,
    )
    return _Server(config, connections, stop_seconds)


class _Server(uvicorn.Server):
    """A server to which the system hands a connection with its first bytes, so that silent ones cost it nothing.

    At a stop it first says so, and goes on for a while: no request meets a closed door.
    """

    def __init__(self, config: uvicorn.Config, open_connections: Connections, stop_seconds: float) -> None:
        super().__init__(config)
        self._open_connections, self._stop_seconds = open_connections, stop_seconds

    async def startup(self, sockets: list[socket.socket] | None = None) -> None:
        await super().startup(sockets)
        for each in sockets or ():
            limits.defer_silent_connections(each)

    async def shutdown(self, sockets: list[socket.socket] | None = None) -> None:
        if isinstance(app := self.config.loaded_app, Edge):
            app.announce_stop()
        self._open_connections.end_with_answers()
        end = time.monotonic() + self._stop_seconds
        while time.monotonic() < end and not self.force_exit:
            await asyncio.sleep(0.05)
        await super().shutdown(sockets)


class _PlainCycle(RequestResponseCycle):
    """The attributes that uvicorn reads of a request under way; nothing else of its own cycle is there."""

    def __init__(self, *, keep_alive: bool) -> None:
        self.response_complete = False
        self.disconnected = False
        self.keep_alive = keep_alive
        self.message_event = _NOBODY


class _Trailers(list[tuple[bytes, bytes]]):
    """Passes over the lines behind a body, which say nothing of the request."""

    def append(self, _line: tuple[bytes, bytes]) -> None:
        pass


_NO_TRAILERS = _Trailers()


class Protocol(HttpToolsProtocol):
    """uvicorn's HTTP/1.1 over such a transport, within bounds; plain requests to hot routes are answered without ASGI.

    A plain request arrived whole, in one piece, on a connection where no other is under way, in HTTP/1.1 with
    keep-alive and without `Expect`, an upgrade or a query. Every other request is left to uvicorn.

    Requests are answered in their order. What is no request is refused once those before it are answered, and ends the
    connection.
    """

    open_connections: Connections
    """All connections of the server."""

    transport: JoinedWrites
    _hot: tuple[HotRoute, Sequence[str]] | None = None
    """The route of the plain request that is being parsed, and the subscription id in its path; None for any other."""
    _head: list[tuple[bytes, bytes]]
    """Its headers."""
    _parts: list[bytes]
    """The parts of its body that have arrived."""

    is_known = False
    receives_since: float | None = None
    _is_in_head = True
    """Whether the head of a request is being received or awaited, and not its body."""
    _request_bytes = 0
    """What has arrived of the request that is being received, at least."""
    _too_large: Refusal | None = None
    _refusal: Problem | None = None
    """Why what has arrived is no request; nothing behind it is read."""
    _half_closed_since: float | None = None
    _blocked_since: float | None = None
    """Since when the client has not taken what is buffered for it."""

    def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override] # uvicorn's own type
        self.connections.add(self)  # as uvicorn's own does, but for the addresses, which most requests do not need
        self.transport, self.scheme = JoinedWrites(transport, self.loop), "http"
        self.flow = FlowControl(self.transport)
        self.receives_since = self.loop.time()
        self.open_connections.add(self, self.loop)

    def connection_lost(self, exc: Exception | None) -> None:
        self.open_connections.discard(self)
        for cycle in (self.cycle, *(queued for queued, _ in self.pipeline)):
            if (scope := getattr(cycle, "scope", None)) is not None:  # that of a request that ASGI answers
                scope["state"][GONE] = True
        super().connection_lost(exc)
        # What is left refers to itself, and garbage is collected seldom; a timer would keep it for longer still.
        self._unset_keepalive_if_required()
        self.pipeline.clear()
        self.cycle = None  # type: ignore[assignment] # as before the first request
        self._head, self._parts = [], []

    def overdue_since(self, now: float) -> float | None:
        """Return since when the client has been too slow; None where it is not."""
        for since, seconds in (
            (self.receives_since, self._patience()),
            (self._blocked_since, limits.ANSWER_SECONDS),
            (self._half_closed_since, limits.HALF_CLOSED_SECONDS),
        ):
            if since is not None and now > since + seconds:
                return since
        return None

    def _patience(self) -> float:
        """Return for how many seconds the request, or its next part, is awaited."""
        if not self._is_in_head:
            return limits.BODY_SECONDS
        if self._request_bytes:
            return limits.HEAD_SECONDS
        if self.is_known:
            return limits.KEEP_ALIVE_SECONDS
        is_new = self.cycle is None  # there is none before the first request
        return limits.SILENT_SECONDS if is_new else limits.HEAD_SECONDS

    def abort(self) -> None:
        """Close the connection at once."""
        self.transport.abort()

    def end_with_answer(self) -> None:
        """Close the connection once the last of the requests under way is answered, if there are any."""
        if self._is_answering:
            self.cycle.keep_alive = not self.pipeline
            for cycle, _ in list(self.pipeline)[:1]:
                cycle.keep_alive = False

    def pause_writing(self) -> None:
        self._blocked_since = self.loop.time()
        super().pause_writing()

    def resume_writing(self) -> None:
        self._blocked_since = None
        super().resume_writing()

    def eof_received(self) -> bool:  # type: ignore[override] # uvicorn always closes
        """Keep the connection open where the client has closed its own side and still waits for answers."""
        if self.receives_since is not None or self._refusal is not None or not self._is_answering:
            return False
        self._half_closed_since = self.loop.time()
        last = self.pipeline[0][0] if self.pipeline else self.cycle
        last.keep_alive = False
        return True

    def data_received(self, data: bytes) -> None:
        if self._refusal is not None:
            self._request_bytes += len(data)
            if self._request_bytes > 2 * REQUEST_BYTES_MAX:
                self.transport.pause_reading()
            return
        self._request_bytes += len(data)
        super().data_received(data)
        if self._hot is not None:
            self._leave_to_uvicorn()
        if self._request_bytes > HEAD_BYTES_MAX and self._refusal is None:
            if self._is_in_head:  # the parser keeps what it has of a line, however long
                self._too_large = HeadersTooLarge()
            elif self._request_bytes > REQUEST_BYTES_MAX:
                self._too_large = RequestTooLarge(BATCH_BODY_LIMIT_BYTES)
            else:
                return
            self.send_400_response("")

    def on_message_begin(self) -> None:
        super().on_message_begin()
        self._is_in_head = True
        self.receives_since = self.loop.time()

    def on_headers_complete(self) -> None:
        if len(self.headers) > HEAD_LINES_MAX or (self._request_bytes > HEAD_BYTES_MAX and self._is_head_large()):
            self._too_large = HeadersTooLarge()
            raise ValueError("a head with too many lines, or too long ones")  # which ends the parsing
        self._is_in_head = False
        self._hot, self._head, self._parts = self._plain_request(), self.headers, []
        if self._hot is None:
            self._pass_head_on()
        self.headers = _NO_TRAILERS

    def on_body(self, body: bytes) -> None:
        if self._hot is None:
            super().on_body(body)
        else:
            self._parts.append(body)

    def on_message_complete(self) -> None:
        self._is_in_head, self.receives_since, self._request_bytes = True, None, 0
        if self._hot is None:
            super().on_message_complete()
            return
        hot, self._hot = self._hot, None
        self.cycle = cycle = _PlainCycle(keep_alive=not self.open_connections.are_ending)
        exchange = Exchange(self.url.decode(), b"", self._head, whole_body=b"".join(self._parts), peer=self._peer)
        task = self.loop.create_task(self._answer(cycle, hot, exchange))
        self.tasks.add(task)
        task.add_done_callback(self.tasks.discard)

    def on_response_complete(self) -> None:
        """Go on with the next request, or with what is no request."""
        if self._refusal is not None and not self.pipeline:
            self._refuse()
            return
        if self.receives_since is None and not self.pipeline:
            self.receives_since = self.loop.time()
        super().on_response_complete()

    def send_400_response(self, msg: str) -> None:
        """Refuse what has arrived, once all requests before it are answered."""
        self._refusal = Problem(self._too_large or MalformedRequest(msg))
        is_body_bad = not self._is_in_head and self._hot is None
        self._hot, self.receives_since = None, None
        if is_body_bad and self.pipeline:
            self.pipeline.popleft()  # the newest, to which the body belongs
        elif is_body_bad and not self._is_answering:
            self._end()  # it was answered without its body
        elif is_body_bad:
            self.cycle.disconnected = True  # it gets this answer, and no other
            self.cycle.message_event.set()
            self._refuse()
        elif not self._is_answering:
            self._refuse()

    @property
    def _is_answering(self) -> bool:
        return not getattr(self.cycle, "response_complete", True)  # there is none before the first request

    def _refuse(self) -> None:
        assert self._refusal is not None
        request_id = new_request_id()
        reply = self._refusal.reply(request_id)
        if isinstance(self.app, Edge):
            self.app.count_refusal(reply.status)
        self._write(reply, request_id, keep_alive=False)
        self._end()

    def _end(self) -> None:
        """Close our side. With bytes that are not read yet, closing both would be a reset, and lose the answer."""
        self._half_closed_since = self.loop.time()
        self.transport.write_eof()

    def _write(self, reply: Reply[Any], request_id: str, *, keep_alive: bool) -> None:
        headers = [*self.server_state.default_headers, *reply.all_headers(request_id)]
        if not keep_alive:
            headers.append((b"connection", b"close"))
        lines = b"".join([b"%b: %b\r\n" % header for header in headers])
        self.transport.write_whole(b"".join((STATUS_LINE[reply.status], lines, b"\r\n", reply.body)))

    def _plain_request(self) -> tuple[HotRoute, Sequence[str]] | None:
        parser, app = self.parser, self.app
        is_plain = (
            isinstance(app, Edge)
            and not self._is_answering
            and parser.get_http_version() == "1.1"
            and parser.should_keep_alive()
            and not parser.should_upgrade()
            and not self.expect_100_continue
            and not self.config.access_log
            and self.limit_concurrency is None
            and not self.root_path
        )
        return app.fast_path.find(parser.get_method().decode(), self.url.decode("latin-1")) if is_plain else None

    def _peer(self) -> str:
        address = get_remote_addr(self.transport)
        return address[0] if address else ""

    def _is_head_large(self) -> bool:
        return len(self.url) + sum(len(name) + len(value) + 4 for name, value in self.headers) > HEAD_BYTES_MAX

    def _pass_head_on(self) -> None:
        if self.client is None:
            self.client, self.server = get_remote_addr(self.transport), get_local_addr(self.transport)
        self.scope["client"], self.scope["server"] = self.client, self.server
        super().on_headers_complete()
        if self.open_connections.are_ending:
            self.cycle.keep_alive = False

    def _leave_to_uvicorn(self) -> None:
        self._hot = None
        self._pass_head_on()
        for part in self._parts:
            super().on_body(part)

    async def _answer(self, cycle: _PlainCycle, hot: tuple[HotRoute, Sequence[str]], exchange: Exchange) -> None:
        try:
            reply = await self.app.fast_path.answer(*hot, exchange)
            if self.flow.write_paused:
                await self.flow.drain()
        except BaseException:  # cancelled, when a stop takes too long: whether it happened is not known
            self.transport.close()
            raise
        if cycle.disconnected:
            return
        self.is_known |= reply.status != 401
        self._write(reply, exchange.request_id, keep_alive=cycle.keep_alive)
        cycle.response_complete = True
        if not cycle.keep_alive:
            self.transport.close()
        self.on_response_complete()
