"""Idempotency records: the first answer to a request is stored under the caller's key, and repeated.

A command's record is stored by the writer lane, in the transaction of what it answers. Any other request is answered
first and its record stored afterwards, so it must do no harm when it is done twice.
"""

from collections.abc import Callable, Iterable, Sequence
from datetime import datetime
from hashlib import sha256
from typing import Any

from msgspec import Struct
from psycopg import Connection
from psycopg.errors import UniqueViolation
from psycopg_pool import ConnectionPool

from services.postgres.arrays import Array, Blobs, Instants, Texts
from services.postgres.sql import Queries, load_queries
from services.subscription.refusals import Refusal


class IdempotencyKeyReused(Refusal, frozen=True):
    """This idempotency key was used before, with another request."""

    code = "idempotency_key_reused"


class IdempotencyRecord(Struct, frozen=True):
    """The first answer to a request, under the caller's key. There is one for each `key_id` and `key`.

    `answer` is empty where the key only guards the request: a charge is repeatable by its generation id.
    """

    key_id: str
    key: str
    request_hash: bytes
    answer: bytes
    answered_at: datetime

    @property
    def place(self) -> tuple[str, str]:
        """The primary key of the row: the id of the API key, and the caller's idempotency key."""
        return self.key_id, self.key


def hash_request(path: str, body: bytes) -> bytes:
    """Hash a request by SHA-256: its path, and its body as this service encodes it. Same hash, same request."""
    return sha256(path.encode() + b"\0" + body).digest()


def record_statements(schema: str) -> Queries:
    """Load `find_records` and `insert_records` for one schema."""
    return load_queries(__file__, "idempotency.sql", schema=schema)


def find_arguments(places: Sequence[tuple[str, str]]) -> dict[str, Array]:
    """Make the arguments of `find_records`, from primary keys."""
    return {"key_ids": Texts([key_id for key_id, _ in places]), "keys": Texts([key for _, key in places])}


def insert_arguments(records: Iterable[IdempotencyRecord]) -> dict[str, Array]:
    """Make the arguments of `insert_records`, in the order of the keys, so that two transactions never deadlock."""
    ordered = sorted(records, key=lambda record: record.place)
    return {
        "key_ids": Texts([record.key_id for record in ordered]),
        "keys": Texts([record.key for record in ordered]),
        "hashes": Blobs([record.request_hash for record in ordered]),
        "answers": Blobs([record.answer for record in ordered]),
        "instants": Instants([record.answered_at for record in ordered]),
    }


def record_of(row: Sequence[Any]) -> IdempotencyRecord:
    """Make a record from a row of `find_records`."""
    key_id, key, request_hash, answer, answered_at = row
    return IdempotencyRecord(key_id, key, bytes(request_hash), bytes(answer), answered_at)


class FirstAnswer(Struct, frozen=True):
    """The first answer to a request; `is_repeated` unless it was made just now."""

    answer: bytes
    is_repeated: bool


class IdempotencyRecords:
    """The records of one ledger, for requests that do not go through the lane. Every method may raise psycopg.Error."""

    def __init__(
        self, connections: ConnectionPool[Connection[Any]], schema: str, clock: Callable[[], datetime]
    ) -> None:
        self._connections = connections
        self._statements = record_statements(schema)
        self._clock = clock

    def answer_once(
        self, key_id: str, key: str, request_hash: bytes, answer: Callable[[], bytes]
    ) -> FirstAnswer | IdempotencyKeyReused:
        """Return the stored answer, or else that of `answer`, which is then stored.

        Where `answer` raises, nothing is stored and the request can be made again.
        """
        if (record := self._find(key_id, key)) is None:
            record = IdempotencyRecord(key_id, key, request_hash, answer(), self._clock())
            if self._insert(record):
                return FirstAnswer(record.answer, is_repeated=False)
            record = self._find(key_id, key)
            assert record is not None
        if record.request_hash != request_hash:
            return IdempotencyKeyReused()
        return FirstAnswer(record.answer, is_repeated=True)

    def _find(self, key_id: str, key: str) -> IdempotencyRecord | None:
        with self._connections.connection() as connection:
            arguments = find_arguments([(key_id, key)])
            row = connection.execute(self._statements["find_records"], arguments).fetchone()
        return None if row is None else record_of(row)

    def _insert(self, record: IdempotencyRecord) -> bool:
        """Store the record; False where there is one under its key."""
        try:
            with self._connections.connection() as connection:
                connection.execute(self._statements["insert_records"], insert_arguments([record]))
        except UniqueViolation:
            return False
        return True
