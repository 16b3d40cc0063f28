"""The attacks: each is a function that runs in threads of its own until it is told to stop."""

import multiprocessing
import os
import socket
from collections.abc import Callable, Iterator
from contextlib import ExitStack, closing, contextmanager, suppress
from dataclasses import dataclass
from multiprocessing.synchronize import Event
from threading import Thread

import httpx


@dataclass(frozen=True)
class Target:
    """The service, a key with every scope, and a subscription with a long history."""

    address: tuple[str, int]
    key: str
    path: str

    @property
    def url(self) -> str:
        return f"http://{self.address[0]}:{self.address[1]}"

    def head(self, method: str, path: str, *lines: str, key: str | None = None) -> bytes:
        """Make the head of a request, but for the empty line that ends it."""
        authorization = [f"Authorization: Bearer {key}"] if key else []
        return "\r\n".join([f"{method} {path} HTTP/1.1", "Host: x", *authorization, *lines, ""]).encode()


Attack = Callable[[Target, Event], None]


@contextmanager
def under_way(attack: Attack, target: Target, clients: int) -> Iterator[None]:
    """Run an attack from so many clients, in a process of its own that gives way to those who charge."""
    stopping = multiprocessing.get_context("spawn").Event()
    attacker = multiprocessing.get_context("spawn").Process(target=_run, args=(attack, target, clients, stopping))
    attacker.start()
    try:
        yield
    finally:
        stopping.set()
        attacker.join()


def _run(attack: Attack, target: Target, clients: int, stopping: Event) -> None:
    os.nice(19)
    threads = [Thread(target=attack, args=(target, stopping)) for _ in range(clients)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()


def _pour(target: Target, stopping: Event, beginning: bytes, part: bytes) -> None:
    """Send a beginning and then the same part for ever; begin again where the connection ends."""
    while not stopping.is_set():
        with suppress(OSError), closing(socket.create_connection(target.address, timeout=1)) as connection:
            connection.sendall(beginning)
            while not stopping.is_set():
                connection.sendall(part)


def _hold(target: Target, stopping: Event, sent: bytes, connections: int) -> None:
    """Keep many connections open that have sent so much and no more."""
    while not stopping.is_set():
        with ExitStack() as opened, suppress(OSError):
            for _ in range(connections):
                connection = socket.create_connection(target.address, timeout=1)
                opened.callback(connection.close)
                connection.sendall(sent)
                if stopping.is_set():
                    return
            stopping.wait(2)


def _ask(target: Target, stopping: Event, method: str, path: str, *, key: str = "", body: str | None = None) -> None:
    """Send the same request for ever."""
    headers = {"Authorization": f"Bearer {key}"} if key else {}
    with httpx.Client(base_url=target.url, headers=headers, timeout=30) as client:
        while not stopping.is_set():
            with suppress(httpx.TransportError):
                client.request(method, path, content=body)


def endless_head(target: Target, stopping: Event) -> None:
    """Send a header that has no end."""
    _pour(target, stopping, target.head("GET", "/livez") + b"X: ", b"a" * 65_536)


def endless_body(target: Target, stopping: Event) -> None:
    """Send chunks without end, without a key."""
    beginning = target.head("POST", f"{target.path}/charges", "Transfer-Encoding: chunked") + b"\r\n"
    _pour(target, stopping, beginning, b"10000\r\n" + b" " * 65_536 + b"\r\n")


def silent_connections(target: Target, stopping: Event) -> None:
    """Open connections and say nothing."""
    _hold(target, stopping, b"", 600)


def half_heads(target: Target, stopping: Event) -> None:
    """Send half a head."""
    _hold(target, stopping, target.head("GET", "/livez"), 300)


def half_bodies(target: Target, stopping: Event) -> None:
    """Send half a body."""
    sent = target.head("POST", f"{target.path}/charges", "Content-Length: 60000") + b"\r\n" + b" " * 30_000
    _hold(target, stopping, sent, 300)


def unread_answers(target: Target, stopping: Event) -> None:
    """Ask for large answers and read none."""
    _hold(target, stopping, (target.head("GET", "/openapi.json") + b"\r\n") * 50, 50)


def unread_exports(target: Target, stopping: Event) -> None:
    """Ask for whole lists and read nothing of them."""
    sent = target.head("GET", "/v1/events", "Accept: application/x-ndjson", key=target.key) + b"\r\n"
    _hold(target, stopping, sent, 100)


def metrics_readers(target: Target, stopping: Event) -> None:
    """Read the metrics."""
    _ask(target, stopping, "GET", "/metrics")


def readiness_readers(target: Target, stopping: Event) -> None:
    """Ask whether it is ready."""
    _ask(target, stopping, "GET", "/readyz")


def wrong_keys(target: Target, stopping: Event) -> None:
    """Come with a key that there is not."""
    _ask(target, stopping, "GET", "/v1/plans", key="ts_nobody_0123456789abcdef")


def replays(target: Target, stopping: Event) -> None:
    """Ask what would have been."""
    _ask(target, stopping, "POST", f"{target.path}/what-if", key=target.key, body="{}")


def large_batches(target: Target, stopping: Event) -> None:
    """Send batches of thirty thousand charges."""
    charge = '{"subscription_id":"0198c0de-0000-4000-8000-000000000009","generation_id":"g","model":"lyria-3"}'
    body = '{"charges":[' + ",".join([charge] * 30_000) + "]}"
    _ask(target, stopping, "POST", "/v1/charges/batch", key=target.key, body=body)


ATTACKS: dict[Attack, int] = {
    endless_head: 4,
    endless_body: 4,
    silent_connections: 2,
    half_heads: 2,
    half_bodies: 1,
    unread_answers: 1,
    metrics_readers: 40,
    readiness_readers: 40,
    wrong_keys: 40,
    replays: 40,
    unread_exports: 1,
    large_batches: 2,
}
"""Each attack, and the number of clients that it comes from."""
