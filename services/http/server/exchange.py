"""One exchange: a request with its id, its credentials and its body, within bounds."""

import re
import secrets
from collections.abc import Callable, Iterable, Mapping
from contextvars import ContextVar
from itertools import count
from types import MappingProxyType
from typing import Any, Final

from starlette.requests import ClientDisconnect
from starlette.types import Receive, Scope

from services.http.problems import MalformedRequest, Problem, RequestTooLarge, UnsupportedEncoding, invalid
from services.http.rate_limits import Quota

BODY_LIMIT_BYTES = 64 * 1024
BATCH_BODY_LIMIT_BYTES = 4 * 1024 * 1024
WHAT_IF_BODY_LIMIT_BYTES = 1024 * 1024

IDEMPOTENCY_KEY = "Idempotency-Key"
_PLAIN_ENCODINGS = {b"", b"identity"}
GONE: Final = "tallystick.gone"
"""The key in a request's state that says that its connection is closed."""
_EXCHANGE: Final = "tallystick.exchange"
_REQUEST_ID = re.compile(r"[A-Za-z0-9._:-]{1,128}")
_IDEMPOTENCY_KEY = re.compile(r"[\x21-\x7e]{1,255}")


CURRENT_PATH: ContextVar[str] = ContextVar("current_path", default="")
"""The path of the request that the API is answering, in its tasks and threads."""

_PROCESS = secrets.token_urlsafe(9)
_numbers = count(1)


def new_request_id() -> str:
    """Make an id that no other request has: this process's random name and a number, without a system call."""
    return f"{_PROCESS}-{next(_numbers):x}"


class Exchange:
    """A request and its id: the client's `Request-Id`, or else `X-Request-Id`, if it has the form of one, or a new one.

    `peer` tells the address that it came from, empty where that is not known. `quota` is what is left to its key after
    it, once that is known, if it is limited; `code` is that of the problem that it came to, if any. Its body is
    `whole_body`, unless there is a `receive` to get it from. Every request but one of HTTP/1.0 needs a `Host`.
    """

    __slots__ = (
        "_content_length",
        "_encoding",
        "_fault",
        "_idempotency_key",
        "_receive",
        "_state",
        "_whole_body",
        "accept",
        "authorization",
        "code",
        "is_head",
        "last_event_id",
        "path",
        "peer",
        "query",
        "quota",
        "request_id",
    )

    def __init__(
        self,
        path: str,
        query: bytes,
        headers: Iterable[tuple[bytes, bytes]],
        receive: Receive | None = None,
        whole_body: bytes = b"",
        *,
        needs_host: bool = True,
        is_head: bool = False,
        state: Mapping[str, Any] = MappingProxyType({}),
        peer: Callable[[], str] = str,
    ) -> None:
        self.path = path
        self.query = query
        self.authorization = ""
        self.accept = ""
        self.is_head = is_head
        self.peer = peer
        self.quota: Quota | None = None
        self.code: str | None = None
        self.last_event_id: str | None = None
        self._receive = receive
        self._state = state
        self._whole_body = whole_body
        self._content_length = 0
        self._idempotency_key: str | None = None
        self._encoding = b""
        self._fault = ""
        request_id, other_request_id, has_host = "", "", False
        for name, value in headers:
            if name == b"host":
                if has_host:
                    self._fault = _repeated("Host")
                has_host = True
            elif name == b"authorization":
                if self.authorization:
                    self._fault = _repeated("Authorization")
                self.authorization = value.decode("latin-1")
            elif name == b"content-length" and value.isdigit():
                self._content_length = int(value)
            elif name == b"request-id":
                request_id = value.decode("latin-1")
            elif name == b"accept":
                self.accept += f",{value.decode('latin-1')}"
            elif name == b"last-event-id":
                self.last_event_id = value.decode("latin-1")
            elif name == b"x-request-id":
                other_request_id = value.decode("latin-1")
            elif name == b"content-encoding":
                self._encoding = value.lower()
            elif name == b"idempotency-key":
                if self._idempotency_key is not None:
                    self._fault = _repeated(IDEMPOTENCY_KEY)
                self._idempotency_key = value.decode("latin-1")
        if needs_host and not has_host:
            self._fault = "the header Host is missing"
        request_id = request_id or other_request_id
        self.request_id = request_id if request_id and _REQUEST_ID.fullmatch(request_id) else new_request_id()

    def refuse_ambiguous(self) -> None:
        """Raise Problem for a header that says who calls, whom, or what is meant, and is there twice; for no `Host`."""
        if self._fault:
            raise Problem(MalformedRequest(self._fault))

    @property
    def is_asker_gone(self) -> bool:
        """Whether the client has closed the connection; None of its requests needs an answer then."""
        return GONE in self._state

    @property
    def idempotency_key(self) -> str | None:
        """The `Idempotency-Key`; None where there is none. Raises Problem for one without the form of a key."""
        key = self._idempotency_key
        if key is not None and not _IDEMPOTENCY_KEY.fullmatch(key):
            raise invalid(IDEMPOTENCY_KEY, "must be 1 to 255 visible ASCII characters")
        return key

    async def body(self, limit_bytes: int = BODY_LIMIT_BYTES) -> bytes:
        """Return the whole body. Raises Problem as soon as it is known to be too large, and ClientDisconnect."""
        if self._encoding not in _PLAIN_ENCODINGS:
            raise Problem(UnsupportedEncoding())
        if self._content_length > limit_bytes or len(self._whole_body) > limit_bytes:
            raise Problem(RequestTooLarge(limit_bytes))
        return self._whole_body if self._receive is None else await _receive_body(self._receive, limit_bytes)


def _repeated(header: str) -> str:
    return f"the header {header} is given more than once"


async def _receive_body(receive: Receive, limit_bytes: int) -> bytes:
    parts = []
    read_bytes, is_complete = 0, False
    while not is_complete:
        message = await receive()
        if message["type"] == "http.disconnect":
            raise ClientDisconnect
        part: bytes = message.get("body", b"")
        parts.append(part)
        read_bytes += len(part)
        if read_bytes > limit_bytes:
            raise Problem(RequestTooLarge(limit_bytes))
        is_complete = not message.get("more_body", False)
    return parts[0] if len(parts) == 1 else b"".join(parts)


def remember(scope: Scope, exchange: Exchange) -> None:
    """Put the exchange into the scope, for the routes."""
    scope[_EXCHANGE] = exchange


def exchange_of(scope: Scope) -> Exchange:
    """Return the exchange in a scope."""
    exchange = scope[_EXCHANGE]
    assert isinstance(exchange, Exchange)
    return exchange
