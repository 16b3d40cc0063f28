"""Sends a message once: time and size are bounded, no redirect is followed, only judged addresses are connected to."""

import asyncio
import socket
import ssl
from collections.abc import AsyncIterator, Iterable, Mapping
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from functools import partial
from ipaddress import ip_address
from typing import Any

import httpcore
from msgspec import Struct

from services.webhooks.addresses import is_globally_reachable

TRY_SECONDS = 10.0
ANSWER_BYTES_MAX = 16 * 1024
_ERROR_CHARACTERS_MAX = 300
_NAMES_AT_ONCE = 16
_HEADERS = {"content-type": "application/json", "user-agent": "Tallystick-Webhooks/1"}


class Result(Struct, frozen=True):
    """What a try came to: the status of the answer, or why there is none."""

    status: int | None = None
    error: str | None = None

    @property
    def is_delivered(self) -> bool:
        """Whether the endpoint has taken the message."""
        return self.status is not None and 200 <= self.status < 300


class AddressRefused(httpcore.ConnectError):
    """A name resolves to no address that may be connected to."""


class JudgedNetwork(httpcore.AsyncNetworkBackend):
    """Resolves a name, judges its addresses, and connects to one that was judged, never to the name again."""

    def __init__(self, *, allow_private: bool) -> None:
        self._allow_private = allow_private
        self._network = httpcore.AnyIOBackend()
        # Threads of their own: a resolver that hangs must not keep others from the database.
        self._resolving = ThreadPoolExecutor(_NAMES_AT_ONCE, "resolver")

    def close(self) -> None:
        """Let the threads go."""
        self._resolving.shutdown(wait=False, cancel_futures=True)

    async def connect_tcp(
        self,
        host: str,
        port: int,
        timeout: float | None = None,
        local_address: str | None = None,
        socket_options: Iterable[httpcore.SOCKET_OPTION] | None = None,
    ) -> httpcore.AsyncNetworkStream:
        addresses = await self._addresses(host, port)
        for address in addresses[:-1]:
            with suppress(httpcore.ConnectError, httpcore.ConnectTimeout):
                return await self._network.connect_tcp(address, port, timeout, local_address, socket_options)
        return await self._network.connect_tcp(addresses[-1], port, timeout, local_address, socket_options)

    async def _addresses(self, host: str, port: int) -> list[str]:
        """Resolve a name. Raises httpcore.ConnectError, AddressRefused."""
        try:
            resolve = partial(socket.getaddrinfo, host, port, type=socket.SOCK_STREAM)
            found = await asyncio.get_running_loop().run_in_executor(self._resolving, resolve)
        except (OSError, UnicodeError) as error:
            raise httpcore.ConnectError(f"the name cannot be resolved: {error}") from error
        addresses = list(dict.fromkeys(str(address[0]) for *_, address in found))
        if not self._allow_private:
            addresses = [each for each in addresses if is_globally_reachable(ip_address(each.partition("%")[0]))]
        if not addresses:
            raise AddressRefused("its address is not globally reachable")
        return addresses


class Sender:
    """Sends messages to one address over a few connections. An async context manager."""

    def __init__(
        self, url: str, network: httpcore.AsyncNetworkBackend, tls: ssl.SSLContext, *, connections: int
    ) -> None:
        self._url = url
        self._pool = httpcore.AsyncConnectionPool(
            ssl_context=tls,
            max_connections=connections,
            max_keepalive_connections=connections,
            keepalive_expiry=30.0,
            network_backend=network,
        )

    async def __aenter__(self) -> "Sender":
        return self

    async def __aexit__(self, *_exception: object) -> None:
        await self._pool.aclose()

    async def send(self, body: bytes, headers: Mapping[str, str]) -> Result:
        """Try once. The status is the answer; what follows it makes no difference, and little of it is read."""
        status: int | None = None
        try:
            async with asyncio.timeout(TRY_SECONDS):
                lines = [(name.encode(), value.encode()) for name, value in {**_HEADERS, **headers}.items()]
                request = self._pool.stream("POST", self._url, headers=lines, content=body)
                async with request as response:
                    status = response.status
                    await _read_some(response.aiter_stream())
        except TimeoutError:
            return Result(status, None if status else f"no answer within {TRY_SECONDS:g} seconds")
        except (
            httpcore.NetworkError,
            httpcore.ProtocolError,
            httpcore.TimeoutException,
            OSError,
            ssl.SSLError,
        ) as error:
            return Result(status, None if status else _described(error))
        return Result(status)


async def _read_some(parts: AsyncIterator[bytes]) -> None:
    """Read a short answer to its end, so that its connection can be used again; a long one is left."""
    read_bytes = 0
    async for part in parts:
        read_bytes += len(part)
        if read_bytes > ANSWER_BYTES_MAX:
            return


def _described(error: Any) -> str:
    return (str(error) or type(error).__name__)[:_ERROR_CHARACTERS_MAX]
