"""A socket to the service, with nothing in between."""

import json
import socket
import time
from dataclasses import dataclass
from typing import Any
from urllib.parse import urlsplit

from tests.waiting import PATIENCE_SECONDS


@dataclass(frozen=True)
class Answer:
    """One response, as received."""

    status: int
    headers: dict[str, str]
    body: bytes

    @property
    def json(self) -> Any:
        return json.loads(self.body)


class Connection:
    """A socket to the service, with nothing in between."""

    def __init__(self, url: str) -> None:
        address = urlsplit(url)
        assert address.hostname
        assert address.port
        self.socket = socket.create_connection((address.hostname, address.port), timeout=PATIENCE_SECONDS)
        self.socket.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        self._answers = self.socket.makefile("rb")

    def send(self, *pieces: bytes) -> None:
        """Send pieces one by one: the service receives each before the next is sent."""
        for piece in pieces:
            self.socket.sendall(piece)
            if len(pieces) > 1:
                time.sleep(0.02)

    def answer(self) -> Answer:
        """Read the next response."""
        status = int(self._answers.readline().split()[1])
        lines = iter(self._answers.readline, b"\r\n")
        headers = dict(line.decode().rstrip().lower().split(": ", 1) for line in lines)
        return Answer(status, headers, self._answers.read(int(headers.get("content-length", 0))))

    def is_closed(self) -> bool:
        """Wait for the end; whether the service has closed without another byte."""
        return self._answers.read() == b""

    def close(self) -> None:
        self._answers.close()
        self.socket.close()
