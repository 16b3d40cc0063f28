"""Idempotency keys of routes whose work does not go through the ledger's lane as one command."""

from collections.abc import Callable

from msgspec import Struct

from services.http.calls import Call
from services.http.problems import Problem
from services.http.server.reply import Reply, encode, read_back, write_down
from services.idempotency import IdempotencyKeyReused, hash_request


def answered_once(call: Call, wanted: Struct, answer: Callable[[], Reply]) -> Reply:
    """The first reply to the request under its idempotency key; what `answer` gives where it has none.

    A refusal that `answer` gives is a reply like any other; what it raises is none, and the request can be made again.
    Raises Problem for a key that was used for something else, and psycopg.Error.
    """
    if (key := call.exchange.idempotency_key) is None:
        return answer()
    request_hash = hash_request(call.exchange.path, encode(wanted))
    records = call.service.idempotency_records
    first = records.answer_once(call.key.key_id, key, request_hash, lambda: write_down(answer()))
    if isinstance(first, IdempotencyKeyReused):
        raise Problem(first)
    return read_back(first.answer, is_repeated=first.is_repeated)
