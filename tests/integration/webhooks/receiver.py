"""A receiver of webhooks whose every answer a test decides, and that keeps what it got."""

import json
import socket
import threading
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from typing import Any


@dataclass(frozen=True)
class Received:
    """A request as it arrived."""

    path: str
    headers: Mapping[str, str]
    body: bytes

    @property
    def message(self) -> dict[str, Any]:
        """The body, decoded."""
        decoded: dict[str, Any] = json.loads(self.body)
        return decoded

    @property
    def message_id(self) -> str:
        return self.headers["webhook-id"]


Answer = Callable[[Received, socket.socket], None]
"""Answers a request on its socket, or does not."""


def status(code: int, *lines: str, body: bytes = b"") -> Answer:
    """Answer with a status."""

    def answer(_received: Received, client: socket.socket) -> None:
        head = "\r\n".join((f"HTTP/1.1 {code} Said", *lines, f"Content-Length: {len(body)}"))
        client.sendall(f"{head}\r\n\r\n".encode() + body)

    return answer


OK = status(200)


@dataclass
class Receiver:
    """A server of plain HTTP/1.1 on a thread a connection."""

    port: int
    answer: Answer = OK
    received: list[Received] = field(default_factory=list)
    connections: int = 0
    lock: threading.Lock = field(default_factory=threading.Lock)

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.port}/hooks"

    def bodies(self) -> list[dict[str, Any]]:
        """What was received, in order."""
        with self.lock:
            return [each.message for each in self.received]

    def serve(self, client: socket.socket) -> None:
        """Answer the requests of one connection."""
        with suppress(OSError, ValueError), client, client.makefile("rb") as file:
            while line := file.readline():
                headers = {}
                while (header := file.readline().strip()) != b"":
                    name, _, value = header.decode().partition(":")
                    headers[name.strip().lower()] = value.strip()
                received = Received(line.split()[1].decode(), headers, file.read(int(headers["content-length"])))
                with self.lock:
                    self.received.append(received)
                self.answer(received, client)


@contextmanager
def receiving(answer: Answer = OK) -> Iterator[Receiver]:
    """Receive as long as this context."""
    threads, clients = [], []
    with socket.create_server(("127.0.0.1", 0), backlog=100) as listening:
        receiver = Receiver(listening.getsockname()[1], answer)

        def accept() -> None:
            while True:
                try:
                    client, _ = listening.accept()
                except OSError:
                    return
                receiver.connections += 1
                clients.append(client)
                thread = threading.Thread(target=receiver.serve, args=[client])
                threads.append(thread)
                thread.start()

        accepting = threading.Thread(target=accept)
        accepting.start()
        try:
            yield receiver
        finally:
            listening.shutdown(socket.SHUT_RDWR)
            accepting.join()
            for client in clients:
                with suppress(OSError):
                    client.shutdown(socket.SHUT_RDWR)
            for thread in threads:
                thread.join()
