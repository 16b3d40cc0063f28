"""A proxy before PostgreSQL that cuts a connection at any point of the protocol, between messages or within one.

It knows just enough of the wire protocol for that: where a message ends, and which one begins or commits a transaction.
The client sees a broken connection; what the server had received by then it carries out or not, as it happens.
"""

import selectors
import socket
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Literal, get_args
from urllib.parse import parse_qs, quote, urlsplit

from tests.waiting import PATIENCE_SECONDS

Anchor = Literal["BEGIN", "COMMIT"]
Side = Literal["client", "server"]
Aftermath = Literal["closed", "silent", "late"]
"""The server's end of a cut connection: closed; open for a while, though its replies are dropped; or open, so that what
the client had sent before the cut arrives late."""

ANCHORS: tuple[Anchor, ...] = get_args(Anchor)
SIDES: tuple[Side, ...] = get_args(Side)
AFTERMATHS: tuple[Aftermath, ...] = get_args(Aftermath)

BEHIND_A_STATEMENT = 3
"""Messages of the client: Bind, Describe, Execute."""

_PORT = 5432
_LINGER_SECONDS = 0.1
_LATE_SECONDS = 0.03


@dataclass(frozen=True)
class Cut:
    """The point of a cut: after so many messages from one side since the anchor, and a part of the next one's bytes."""

    anchor: Anchor
    side: Side
    after_messages: int
    part: float
    aftermath: Aftermath


class Messages:
    """Splits one direction's bytes into messages. The client's first one has no type."""

    def __init__(self, has_startup: bool) -> None:
        self._buffer = bytearray()
        self._is_startup = has_startup

    def feed(self, data: bytes) -> list[bytes]:
        """Return the messages that are complete now."""
        self._buffer += data
        messages = []
        while (length := self._next_length()) is not None and len(self._buffer) >= length:
            messages.append(bytes(self._buffer[:length]))
            del self._buffer[:length]
            self._is_startup = False
        return messages

    def _next_length(self) -> int | None:
        prefix = 0 if self._is_startup else 1
        if len(self._buffer) < prefix + 4:
            return None
        return prefix + int.from_bytes(self._buffer[prefix : prefix + 4], "big")


class ProxiedConnection:
    """One connection through the proxy, with both of its sockets."""

    def __init__(self, client: socket.socket, server: socket.socket) -> None:
        self.sockets: dict[Side, socket.socket] = {"client": client, "server": server}
        self.messages: dict[Side, Messages] = {"client": Messages(has_startup=True), "server": Messages(False)}
        self.counted: int | None = None
        """The number of messages from the side of the cut since its anchor; None before the anchor."""
        self.is_open = True
        self._prepared: dict[bytes, bytes] = {}

    def statement_of(self, message: bytes) -> bytes | None:
        """Return the statement that a message of the client begins to execute: that of a Bind, by its prepared name."""
        first, second, *_ = (*message[5:].split(b"\0", 2), b"")
        if message[:1] == b"P":
            self._prepared[first] = second.partition(b"\0")[0]
        return self._prepared.get(second) if message[:1] == b"B" else None

    def close(self) -> None:
        """Close both ends."""
        for each in self.sockets.values():
            each.close()


class CuttingProxy(threading.Thread):
    """Forwards from a unix socket in a folder of its own to the server, and cuts on request. A context manager."""

    def __init__(self, folder: Path, database_url: str) -> None:
        super().__init__(name="proxy", daemon=True)
        (server_folder,) = parse_qs(urlsplit(database_url).query)["host"]
        self.url = database_url.replace(quote(server_folder, safe=""), quote(str(folder), safe=""))
        """The URL of the database through this proxy."""
        self._server_address = str(Path(server_folder) / f".s.PGSQL.{_PORT}")
        self._listening = socket.socket(socket.AF_UNIX)
        self._listening.bind(str(folder / f".s.PGSQL.{_PORT}"))
        self._listening.listen(64)
        self._waker, self._wake_end = socket.socketpair()
        self._selector = selectors.DefaultSelector()
        self._selector.register(self._listening, selectors.EVENT_READ)
        self._selector.register(self._wake_end, selectors.EVENT_READ)
        self._next: Cut | None = None
        self._was_cut = threading.Event()
        self._late: list[tuple[float, socket.socket, bytes]] = []
        self._lingering: list[tuple[float, socket.socket]] = []
        self.cuts = 0
        self.commits_cut = 0
        """The number of cuts after the server had received the whole COMMIT."""

    def __enter__(self) -> "CuttingProxy":
        self.start()
        return self

    def __exit__(self, *_exception: object) -> None:
        self._waker.close()
        self.join()

    def cut_next(self, cut: Cut) -> None:
        """Cut the first connection that reaches the point; return when that has happened."""
        with self.cutting(cut):
            pass

    @contextmanager
    def cutting(self, cut: Cut) -> Iterator[None]:
        """Cut the first connection that reaches the point while the block runs; wait for that at its end."""
        self._was_cut.clear()
        self._next = cut
        yield
        assert self._was_cut.wait(PATIENCE_SECONDS), f"no connection reached {cut}"

    def run(self) -> None:
        while True:
            for key, _ in self._selector.select(timeout=0.02 if self._late or self._lingering else None):
                if key.fileobj is self._wake_end:
                    self._close()
                    return
                if key.fileobj is self._listening:
                    self._accept()
                elif key.data[0].is_open:  # an earlier message of this round may have closed it
                    self._forward(*key.data)
            self._run_late_work()

    def _accept(self) -> None:
        client, _ = self._listening.accept()
        server = socket.socket(socket.AF_UNIX)
        try:
            server.connect(self._server_address)
        except OSError:  # the server is down, and so is the client's connection
            client.close()
            return
        connection = ProxiedConnection(client, server)
        self._selector.register(client, selectors.EVENT_READ, (connection, "client"))
        self._selector.register(server, selectors.EVENT_READ, (connection, "server"))

    def _forward(self, connection: ProxiedConnection, side: Side) -> None:
        try:
            data = connection.sockets[side].recv(1 << 18)
        except OSError:
            data = b""
        if not data:
            self._hang_up(connection)
            return
        other: Side = "server" if side == "client" else "client"
        messages = connection.messages[side].feed(data)
        for place, message in enumerate(messages):
            if self._is_reached(connection, side, message):
                self._sever(connection, side, message, b"".join(messages[place:]))
                return
            try:
                connection.sockets[other].sendall(message)
            except OSError:
                self._hang_up(connection)
                return

    def _is_reached(self, connection: ProxiedConnection, side: Side, message: bytes) -> bool:
        """Count the message, and return whether it is the one to cut in."""
        statement = connection.statement_of(message) if side == "client" else None
        if (cut := self._next) is None:
            return False
        if statement == cut.anchor.encode():
            connection.counted = 0
        if connection.counted is None or side != cut.side:
            return False
        connection.counted += 1
        return connection.counted > cut.after_messages

    def _sever(self, connection: ProxiedConnection, side: Side, message: bytes, rest: bytes) -> None:
        cut, self._next = self._next, None
        assert cut is not None
        other = connection.sockets["server" if side == "client" else "client"]
        part = int(len(message) * cut.part)
        server = connection.sockets["server"]
        with suppress(OSError):
            if side == "client" and cut.aftermath == "late":
                self._late.append((time.monotonic() + _LATE_SECONDS, server, rest))
            else:
                other.sendall(message[:part])
        self._forget(connection)
        connection.sockets["client"].close()
        if cut.aftermath == "closed":
            server.close()
        else:
            self._lingering.append((time.monotonic() + _LINGER_SECONDS, server))
        self.cuts += 1
        self.commits_cut += cut.anchor == "COMMIT" and (side == "server" or cut.after_messages >= BEHIND_A_STATEMENT)
        self._was_cut.set()

    def _run_late_work(self) -> None:
        now = time.monotonic()
        for each in [each for each in self._late if each[0] <= now]:
            self._late.remove(each)
            with suppress(OSError):
                each[1].sendall(each[2])
        for lingering in [lingering for lingering in self._lingering if lingering[0] <= now]:
            self._lingering.remove(lingering)
            lingering[1].close()

    def _hang_up(self, connection: ProxiedConnection) -> None:
        self._forget(connection)
        connection.close()

    def _forget(self, connection: ProxiedConnection) -> None:
        connection.is_open = False
        for each in connection.sockets.values():
            self._selector.unregister(each)

    def _close(self) -> None:
        for key in list(self._selector.get_map().values()):
            if isinstance(key.fileobj, socket.socket):
                key.fileobj.close()
        for _, server in self._lingering:
            server.close()
        self._selector.close()
