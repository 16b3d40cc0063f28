"""A line to PostgreSQL that can be cut at any point of its protocol, between any two messages or within one.

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

Anchor = Literal["BEGIN", "COMMIT"]
Side = Literal["client", "server"]
Aftermath = Literal["closed", "deaf", "late"]
"""What the server notices: that the line is closed; nothing for a while, though its replies reach nobody; or that what
the client had sent before the cut arrives a while after it."""

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
    """Where: so many messages from one side after the anchor, and in the next one after a part of its bytes."""

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
        """The messages that are complete now."""
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


class Line:
    """One proxied connection."""

    def __init__(self, client: socket.socket, server: socket.socket) -> None:
        self.sockets: dict[Side, socket.socket] = {"client": client, "server": server}
        self.messages: dict[Side, Messages] = {"client": Messages(has_startup=True), "server": Messages(False)}
        self.counted: int | None = None
        """Messages from the side of the cut since its anchor; None before the anchor."""
        self.is_open = True
        self._prepared: dict[bytes, bytes] = {}

    def statement_of(self, message: bytes) -> bytes | None:
        """The statement that this message of the client begins to carry out: its Bind, by the name it was given."""
        first, second, *_ = (*message[5:].split(b"\0", 2), b"")
        if message[:1] == b"P":
            self._prepared[first] = second.partition(b"\0")[0]
        return self._prepared.get(second) if message[:1] == b"B" else None

    def close(self) -> None:
        """Close both ends."""
        for each in self.sockets.values():
            each.close()


class CuttingProxy(threading.Thread):
    """Forwards from a unix socket in a folder of its own to the server, and cuts when told to. A context manager."""

    def __init__(self, folder: Path, database_url: str) -> None:
        super().__init__(name="proxy", daemon=True)
        (server_folder,) = parse_qs(urlsplit(database_url).query)["host"]
        self.url = database_url.replace(quote(server_folder, safe=""), quote(str(folder), safe=""))
        """The database, over this line."""
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
        """Cuts behind which the server had received the whole COMMIT."""

    def __enter__(self) -> "CuttingProxy":
        self.start()
        return self

    def __exit__(self, *_exception: object) -> None:
        self._waker.close()
        self.join()

    def cut_next(self, cut: Cut) -> None:
        """Cut the first line that reaches the point, and return when that has happened."""
        with self.cutting(cut):
            pass

    @contextmanager
    def cutting(self, cut: Cut) -> Iterator[None]:
        """Within it, the first line that reaches the point is cut; it ends when that has happened."""
        self._was_cut.clear()
        self._next = cut
        yield
        assert self._was_cut.wait(20), f"nothing passed by {cut}"

    def run(self) -> None:
        while True:
            for key, _ in self._selector.select(timeout=0.02 if self._late or self._lingering else None):
                if key.fileobj is self._wake_end:
                    self._close()
                    return
                if key.fileobj is self._listening:
                    self._accept()
                elif key.data[0].is_open:  # what came before in this round may have closed it
                    self._forward(*key.data)
            self._do_what_is_late()

    def _accept(self) -> None:
        client, _ = self._listening.accept()
        server = socket.socket(socket.AF_UNIX)
        try:
            server.connect(self._server_address)
        except OSError:  # the server is down, and the client is told so
            client.close()
            return
        line = Line(client, server)
        self._selector.register(client, selectors.EVENT_READ, (line, "client"))
        self._selector.register(server, selectors.EVENT_READ, (line, "server"))

    def _forward(self, line: Line, side: Side) -> None:
        try:
            data = line.sockets[side].recv(1 << 18)
        except OSError:
            data = b""
        if not data:
            self._hang_up(line)
            return
        other: Side = "server" if side == "client" else "client"
        messages = line.messages[side].feed(data)
        for place, message in enumerate(messages):
            if self._is_reached(line, side, message):
                self._sever(line, side, message, b"".join(messages[place:]))
                return
            try:
                line.sockets[other].sendall(message)
            except OSError:
                self._hang_up(line)
                return

    def _is_reached(self, line: Line, side: Side, message: bytes) -> bool:
        """Whether this message is the one to cut in, counted from the anchor on."""
        statement = line.statement_of(message) if side == "client" else None
        if (cut := self._next) is None:
            return False
        if statement == cut.anchor.encode():
            line.counted = 0
        if line.counted is None or side != cut.side:
            return False
        line.counted += 1
        return line.counted > cut.after_messages

    def _sever(self, line: Line, side: Side, message: bytes, rest: bytes) -> None:
        cut, self._next = self._next, None
        assert cut is not None
        other = line.sockets["server" if side == "client" else "client"]
        part = int(len(message) * cut.part)
        server = line.sockets["server"]
        with suppress(OSError):
            if side == "client" and cut.aftermath == "late":
                self._late.append((time.monotonic() + _LATE_SECONDS, server, rest))
            else:
                other.sendall(message[:part])
        self._forget(line)
        line.sockets["client"].close()
        if cut.aftermath == "closed":
            server.close()
        else:
            self._lingering.append((time.monotonic() + _LINGER_SECONDS, server))
        self.cuts += 1
        self.commits_cut += cut.anchor == "COMMIT" and (side == "server" or cut.after_messages >= BEHIND_A_STATEMENT)
        self._was_cut.set()

    def _do_what_is_late(self) -> None:
        now = time.monotonic()
        for each in [each for each in self._late if each[0] <= now]:
            self._late.remove(each)
            with suppress(OSError):
                each[1].sendall(each[2])
        for lingering in [lingering for lingering in self._lingering if lingering[0] <= now]:
            self._lingering.remove(lingering)
            lingering[1].close()

    def _hang_up(self, line: Line) -> None:
        self._forget(line)
        line.close()

    def _forget(self, line: Line) -> None:
        line.is_open = False
        for each in line.sockets.values():
            self._selector.unregister(each)

    def _close(self) -> None:
        for key in list(self._selector.get_map().values()):
            if isinstance(key.fileobj, socket.socket):
                key.fileobj.close()
        for _, server in self._lingering:
            server.close()
        self._selector.close()
