"""The bounds of connections: nobody without a key can slow those with one.

A head has a size and a time, a body a time, an answer a time in which it is taken, and a process a number of
connections. One sweep a second looks at all connections, so that a request costs no timer.
"""

import asyncio
import resource
import socket
from collections.abc import Iterable
from ipaddress import IPv4Address, ip_address, ip_network
from random import uniform
from typing import Final, Protocol

from services.process.interpreter import give_memory_back

HEAD_BYTES_MAX: Final = 32 * 1024
HEAD_LINES_MAX: Final = 100
HEAD_SECONDS = 10.0
BODY_SECONDS = 30.0
ANSWER_SECONDS = 60.0
"""A client that has not taken any of what is buffered for so long is gone."""
_DEFERRED_SECONDS: Final = 7 if hasattr(socket, "TCP_DEFER_ACCEPT") else 0
"""For so long Linux keeps a connection on which nothing came; then it hands it over. It knows 1, 3, 7 and 15."""
SILENT_SECONDS = HEAD_SECONDS - _DEFERRED_SECONDS
"""The time that is left then until the first byte."""
KEEP_ALIVE_SECONDS = 75.0
"""Callers with a key may leave a connection idle for so long. It is longer than the pools of HTTP clients and proxies
keep one (5 to 60 s), so that they end it and not we, just when they send the next request.
"""
HALF_CLOSED_SECONDS = 5.0
"""A client that has closed its side may wait for an answer, or may be gone: so long it is taken to wait."""
SWEEP_SECONDS = 1.0

_TRIM_SECONDS: Final = 10.0
PACE_OF_STRANGERS = 50.0
"""Answers a second to callers without a key, beyond which they wait."""
PACE_OF_LARGE_REFUSALS = 10.0
"""Refusals a second of bodies over 64 KiB."""
PACE_SECONDS_MAX = 1.0
_PACE_BURST_SECONDS: Final = 0.1

FAILED_KEY_PAUSE_SECONDS = 0.5
"""Who comes with a key that there is not waits for so long."""
FAILED_KEY_SECONDS_MAX = 5.0
"""And for so long who comes with many."""
ADDRESSES_MAX: Final = 100_000

CONNECTIONS_MAX: Final = 4_096
_OTHER_FILES: Final = 128
"""Room for listeners, the database, logs and libraries."""


def defer_silent_connections(listener: socket.socket) -> None:
    """Let the system keep new connections until their first byte has come, where it can."""
    if _DEFERRED_SECONDS:
        listener.setsockopt(socket.IPPROTO_TCP, socket.TCP_DEFER_ACCEPT, _DEFERRED_SECONDS)


class BoundedConnection(Protocol):
    """A connection as the sweep sees it. Instants are those of the event loop's clock."""

    is_known: bool
    """Whether a request of a valid key came on it."""
    receives_since: float | None
    """Since when a request, or its next part, is awaited; None while one is being answered."""

    def overdue_since(self, now: float) -> float | None:
        """Return since when it has been too slow; None where it is not."""

    def end_with_answer(self) -> None:
        """Close it once what is under way on it is answered."""

    def abort(self) -> None:
        """Close it at once."""


def raise_file_limit() -> int:
    """Let the process open as many files as it may, and return how many connections that is room for."""
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    if soft < hard:
        resource.setrlimit(resource.RLIMIT_NOFILE, (hard, hard))
    return max(16, min(CONNECTIONS_MAX, hard - _OTHER_FILES))


class Connections:
    """The connections of one process, bounded in number and in time."""

    def __init__(self, limit: int = CONNECTIONS_MAX) -> None:
        self.limit = limit
        self._open: set[BoundedConnection] = set()
        self._sweep: asyncio.TimerHandle | None = None
        self._trimmed_at = 0.0
        self.are_ending = False
        """Whether each ends with its next answer, since the server is about to stop."""

    def add(self, connection: BoundedConnection, loop: asyncio.AbstractEventLoop) -> None:
        """Add a new connection; where there are too many, close the one that has kept us waiting for longest."""
        self._open.add(connection)
        if len(self._open) > self.limit and (slowest := _slowest(self._open)) is not None:
            self._open.discard(slowest)
            slowest.abort()
        if self._sweep is None:
            self._sweep = loop.call_later(SWEEP_SECONDS, self._look, loop)

    def end_with_answers(self) -> None:
        """Let each end with its next answer, those too that are still to come."""
        self.are_ending = True
        for connection in self._open:
            connection.end_with_answer()

    def discard(self, connection: BoundedConnection) -> None:
        """Remove a connection that is closed."""
        self._open.discard(connection)

    def _look(self, loop: asyncio.AbstractEventLoop) -> None:
        now = loop.time()
        for connection in [each for each in self._open if each.overdue_since(now) is not None]:
            connection.abort()
        is_trimmed = now > self._trimmed_at + _TRIM_SECONDS
        if is_trimmed:
            self._trimmed_at = now
            loop.run_in_executor(None, give_memory_back)
        is_done = is_trimmed and not self._open  # what the last of them needed is given back too
        self._sweep = None if is_done else loop.call_later(SWEEP_SECONDS, self._look, loop)


def _slowest(connections: Iterable[BoundedConnection]) -> BoundedConnection | None:
    waiting = ((each.is_known, each.receives_since, each) for each in connections if each.receives_since is not None)
    return min(waiting, key=lambda found: found[:2], default=(None, None, None))[2]


class Pace:
    """A pace at which what is refused is answered, so that it cannot take the time of what is done.

    Many at once wait for their turn, though none for more than `PACE_SECONDS_MAX`: a probe among them is answered.
    """

    def __init__(self, per_second: float) -> None:
        self._per_second = per_second
        self._next_turn = 0.0

    async def wait(self) -> None:
        """Wait for a turn. A tenth of a second's worth of them come at once where there were none before."""
        now = asyncio.get_running_loop().time()
        self._next_turn = max(self._next_turn, now - _PACE_BURST_SECONDS) + 1 / self._per_second
        wait_seconds = self._next_turn - now
        if wait_seconds > PACE_SECONDS_MAX:
            self._next_turn = now + PACE_SECONDS_MAX
            wait_seconds = uniform(PACE_SECONDS_MAX / 2, PACE_SECONDS_MAX)  # noqa: S311 - so that they come apart
        if wait_seconds > 0:
            await asyncio.sleep(wait_seconds)


class FailedKeys:
    """The pace at which each address is answered that comes with keys that there are not.

    One answer comes late, and many come one after the other, though none is kept for more than
    `FAILED_KEY_SECONDS_MAX`. Nobody else waits for them: callers with a key may share the address, as behind a proxy.
    """

    def __init__(self) -> None:
        self._next_turns: dict[str, float] = {}

    async def wait(self, address: str) -> None:
        """Wait for the turn of an address; all addresses of one IPv6 network (/64) are one."""
        network, now = _network_of(address), asyncio.get_running_loop().time()
        turn = max(self._next_turns.get(network, now), now) + FAILED_KEY_PAUSE_SECONDS
        turn = min(turn, now + FAILED_KEY_SECONDS_MAX)
        if len(self._next_turns) >= ADDRESSES_MAX:
            self._next_turns = {each: at for each, at in self._next_turns.items() if at > now}
        if len(self._next_turns) < ADDRESSES_MAX:
            self._next_turns[network] = turn
        await asyncio.sleep(turn - now)


def _network_of(address: str) -> str:
    try:
        ip = ip_address(address)
    except ValueError:
        return address
    if isinstance(ip, IPv4Address) or (ip := ip.ipv4_mapped or ip).version == 4:
        return str(ip)
    return str(ip_network((int(ip) >> 64 << 64, 64)))
