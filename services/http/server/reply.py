"""What goes back to the client: a status, headers and JSON bytes. One encoder writes everything."""

from collections.abc import Mapping
from typing import Any

import msgspec
from msgspec import Raw, Struct
from starlette.responses import Response

_ENCODER = msgspec.json.Encoder(decimal_format="number")
_NO_HEADERS: Mapping[str, str] = {}

encode = _ENCODER.encode


class Reply(Struct, frozen=True):
    """An answer, ready to be sent."""

    status: int
    body: bytes
    headers: Mapping[str, str] = _NO_HEADERS
    media_type: str = "application/json"

    def all_headers(self, request_id: str) -> list[tuple[bytes, bytes]]:
        """Every header of the response, in ASGI's form."""
        headers = [
            (b"content-type", self.media_type.encode()),
            (b"content-length", b"%d" % len(self.body)),
            (b"request-id", request_id.encode()),
        ]
        if self.headers:
            headers += [(name.encode("latin-1"), value.encode("latin-1")) for name, value in self.headers.items()]
        return headers

    def response(self) -> Response:
        """The same for a FastAPI route."""
        return Response(self.body, self.status, dict(self.headers), self.media_type)


def json_response(content: Any, status: int = 200, headers: Mapping[str, str] = _NO_HEADERS) -> Response:
    """A struct as the JSON answer of a FastAPI route."""
    return Reply(status, encode(content), headers).response()


class _KeptReply(Struct, frozen=True):
    status: int
    headers: dict[str, str]
    media_type: str
    body: Raw


_KEPT = msgspec.json.Decoder(_KeptReply)


def write_down(reply: Reply) -> bytes:
    """A reply as it is kept under an idempotency key."""
    return encode(_KeptReply(reply.status, dict(reply.headers), reply.media_type, Raw(reply.body)))


def read_back(written: bytes, *, is_repeated: bool = True) -> Reply:
    """The reply that was written down, marked as a repetition where it is one."""
    first = _KEPT.decode(written)
    headers = {**first.headers, "idempotent-replayed": "true"} if is_repeated else first.headers
    return Reply(first.status, bytes(first.body), headers, first.media_type)
