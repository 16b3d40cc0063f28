"""Replies: a status, headers and a body, which is JSON unless the media type is another."""

from collections.abc import Mapping
from typing import Generic, TypeVar

import msgspec
from msgspec import Struct
from starlette.responses import Response

T = TypeVar("T")

_ENCODER = msgspec.json.Encoder(decimal_format="number")
NO_STORE = (b"cache-control", b"no-store")
"""What is answered is true now, and of one caller."""
_NO_HEADERS: Mapping[str, str] = {}

encode = _ENCODER.encode


class Reply(Struct, Generic[T], frozen=True):
    """An answer, ready to be sent. `T` is the type that the body encodes; a problem fits any."""

    status: int
    body: bytes
    headers: Mapping[str, str] = _NO_HEADERS
    media_type: str = "application/json"

    def all_headers(self, request_id: str) -> list[tuple[bytes, bytes]]:
        """Return every header of the response, in ASGI's form."""
        headers = [
            (b"content-type", self.media_type.encode()),
            (b"content-length", b"%d" % len(self.body)),
            NO_STORE,
            (b"request-id", request_id.encode()),
        ]
        if self.headers:
            headers += [(name.encode("latin-1"), value.encode("latin-1")) for name, value in self.headers.items()]
        return headers

    def response(self) -> Response:
        """Convert to the response that FastAPI sends."""
        return Response(self.body, self.status, dict(self.headers), self.media_type)


def json_reply(content: T, status: int = 200, headers: Mapping[str, str] = _NO_HEADERS) -> Reply[T]:
    """Encode a struct as JSON, decimals as numbers."""
    return Reply(status, encode(content), headers)
