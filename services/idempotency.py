"""Idempotency keys of requests that do not go through the writer lane, which keeps those of all others.

What such a request does is kept apart from its answer, so it must do no harm when it is done again.
"""

from collections.abc import Callable
from datetime import datetime
from typing import Any

from msgspec import Struct
from psycopg import Connection
from psycopg_pool import ConnectionPool

from services.ledger.submission import IdempotencyKeyReused
from services.postgres.sql import load_queries


class AskedUnder(Struct, frozen=True):
    """An idempotency key of a caller, and the hash of the request that came with it."""

    key_id: str
    key: str
    request_hash: bytes


class KeptAnswer(Struct, frozen=True):
    """An answer as its request was first given it; `is_repeated` unless this was the first time."""

    answer: bytes
    is_repeated: bool


class KeptAnswers:
    """The answers of one ledger. Every method may raise psycopg.Error."""

    def __init__(
        self, connections: ConnectionPool[Connection[Any]], schema: str, clock: Callable[[], datetime]
    ) -> None:
        self._connections = connections
        self._queries = load_queries(__file__, "idempotency.sql", schema=schema)
        self._clock = clock

    def once(self, asked: AskedUnder, answer: Callable[[], bytes]) -> KeptAnswer | IdempotencyKeyReused:
        """The first answer to the request: the one that is kept, or what `answer` gives, which is then kept.

        What `answer` raises is no answer, and the request can be made again.
        """
        if (before := self._find(asked)) is not None:
            return before
        given = answer()
        if self._keep(asked, given):
            return KeptAnswer(given, is_repeated=False)
        first = self._find(asked)
        assert first is not None
        return first

    def _find(self, asked: AskedUnder) -> KeptAnswer | IdempotencyKeyReused | None:
        arguments = {"key_id": asked.key_id, "key": asked.key}
        with self._connections.connection() as connection:
            row = connection.execute(self._queries["find_answer"], arguments).fetchone()
        if row is None:
            return None
        if bytes(row[0]) != asked.request_hash:
            return IdempotencyKeyReused()
        return KeptAnswer(bytes(row[1]), is_repeated=True)

    def _keep(self, asked: AskedUnder, answer: bytes) -> bool:
        """Whether the answer is the one that was kept."""
        arguments = {
            "key_id": asked.key_id,
            "key": asked.key,
            "request_hash": asked.request_hash,
            "answer": answer,
            "answered_at": self._clock(),
        }
        with self._connections.connection() as connection:
            return connection.execute(self._queries["keep_answer"], arguments).rowcount == 1
