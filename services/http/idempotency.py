"""Stores and repeats replies under an `Idempotency-Key`."""

from collections.abc import Callable
from typing import Any, TypeVar

import msgspec
from msgspec import Raw, Struct

from services.http.calls import Call
from services.http.problems import Problem
from services.http.server.reply import Reply, encode
from services.idempotency import IdempotencyKeyReused, hash_request

T = TypeVar("T")


class _StoredReply(Struct, frozen=True):
    status: int
    headers: dict[str, str]
    media_type: str
    body: Raw


_STORED = msgspec.json.Decoder(_StoredReply)


def hash_of(call: Call, body: Struct) -> bytes:
    """Hash a request: its path with its body, however the JSON was laid out."""
    return hash_request(call.exchange.path, encode(body))


def stored_form(reply: Reply[Any]) -> bytes:
    """Encode a reply, to be stored under an idempotency key."""
    return encode(_StoredReply(reply.status, dict(reply.headers), reply.media_type, Raw(reply.body)))


def read_stored(stored: bytes, *, is_repeated: bool = True) -> Reply[Any]:
    """Decode a stored reply, and mark it as a repetition where it is one."""
    first = _STORED.decode(stored)
    headers = {**first.headers, "idempotent-replayed": "true"} if is_repeated else first.headers
    return Reply(first.status, bytes(first.body), headers, first.media_type)


def answer_once(call: Call, body: Struct, answer: Callable[[], Reply[T]]) -> Reply[T]:
    """Return the first reply to the request under its idempotency key; that of `answer` where it has none. For threads.

    A refusal that `answer` returns is a reply like any other; where it raises, the request can be made again.
    Raises Problem for a key that was used for something else, and psycopg.Error.
    """
    if (key := call.exchange.idempotency_key) is None:
        return answer()
    records = call.service.idempotency_records
    first = records.answer_once(call.key.key_id, key, hash_of(call, body), lambda: stored_form(answer()))
    if isinstance(first, IdempotencyKeyReused):
        raise Problem(first)
    return read_stored(first.answer, is_repeated=first.is_repeated)
