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


def stored_form(reply: Reply[Any]) -> bytes:
    """Encode a reply, to be stored under an idempotency key."""
    return encode(_StoredReply(reply.status, dict(reply.headers), reply.media_type, Raw(reply.body)))


def read_stored(stored: bytes) -> Reply[Any]:
    """Decode a stored reply, and mark it as a repetition."""
    first = _STORED.decode(stored)
    return Reply(first.status, bytes(first.body), {**first.headers, "idempotent-replayed": "true"}, first.media_type)


def reserve(call: Call, body: bytes) -> Reply[Any] | None:
    """Bind the request's key to it before anything is done, if it has one. For threads.

    Return the reply that is stored under the key. Raises Problem for a key of another request, and psycopg.Error.
    """
    if (key := call.exchange.idempotency_key) is None:
        return None
    stored = call.service.idempotency_records.reserve(call.key.key_id, key, hash_request(call.exchange.path, body))
    if isinstance(stored, IdempotencyKeyReused):
        raise Problem(stored)
    return read_stored(stored) if stored else None


def answer_once(call: Call, body: Struct, answer: Callable[[], Reply[T]]) -> Reply[T]:
    """Return the first reply to the request under its idempotency key, or else that of `answer`. For threads.

    Where `answer` raises, such as Problem for a refusal, the same request can be made again. Raises as `reserve` does.
    """
    if (stored := reserve(call, encode(body))) is not None:
        return stored
    reply = answer()
    if (key := call.exchange.idempotency_key) is None:
        return reply
    made = stored_form(reply)
    first = call.service.idempotency_records.store(call.key.key_id, key, made)
    return reply if first == made else read_stored(first)
