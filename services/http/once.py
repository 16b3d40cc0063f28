"""Idempotency keys of routes whose work does not go through the ledger's lane as one command."""

from collections.abc import Callable
from hashlib import sha256

from msgspec import Struct

from services.http.calls import Call
from services.http.problems import Problem
from services.http.server.reply import Reply, encode, read_back, write_down
from services.idempotency import AskedUnder, KeptAnswer


def answered_once(call: Call, wanted: Struct, answer: Callable[[], Reply]) -> Reply:
    """The first reply to the request under its idempotency key; what `answer` gives where it has none.

    A refusal that `answer` gives is a reply like any other; what it raises is none, and the request can be made again.
    Raises Problem for a key that was used for something else, and psycopg.Error.
    """
    if (key := call.exchange.idempotency_key) is None:
        return answer()
    request_hash = sha256(call.exchange.path.encode() + b"\0" + encode(wanted)).digest()
    given: list[Reply] = []

    def write_first() -> bytes:
        given.append(answer())
        return write_down(given[0])

    kept = call.service.kept_answers.once(AskedUnder(call.key.key_id, key, request_hash), write_first)
    if not isinstance(kept, KeptAnswer):
        raise Problem(kept)
    return read_back(kept.answer) if kept.is_repeated else given[0]
