"""A transport that makes one system call of a response."""

import asyncio
from typing import Any

_FLUSH_BYTES = 64 * 1024


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
        elif not self._transport.is_closing():
            self._transport.write(data)

    def _flush(self) -> None:
        if self._gathered:
            gathered, self._gathered, self._gathered_bytes = self._gathered, [], 0
            if not self._transport.is_closing():
                self._transport.write(b"".join(gathered))

    def write_eof(self) -> None:
        self._flush()
        if not self._transport.is_closing():
            self._transport.write_eof()

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
