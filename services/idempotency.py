"""Idempotency records: a key is bound to one request, and the first success is stored under it, and repeated.

A refusal is not stored, so that the same request succeeds once it can; another request under its key is refused all
the same. A command's record is stored by the writer lane, in the transaction of what it answers. Any other request
reserves its key before it does anything, and stores its answer afterwards. Between the two the same request can be made
again, so it must do no harm when it is done twice.
"""

from collections.abc import Callable, Iterable, Sequence
from datetime import datetime
from hashlib import sha256
from typing import Any

from msgspec import Struct
from psycopg import Connection
from psycopg_pool import ConnectionPool

from services.postgres.arrays import Array, Blobs, Instants, Texts
from services.postgres.sql import Queries, load_queries
from services.subscription.refusals import Refusal


class IdempotencyKeyReused(Refusal, frozen=True):
    """This idempotency key was used before, with another request."""

    code = "idempotency_key_reused"


class IdempotencyRecord(Struct, frozen=True):
    """The first answer to a request, under the caller's key. There is one for each `key_id` and `key`.

    `answer` is empty where the record only guards the key against another request: nothing has succeeded under it yet,
    or a generation was charged, which is repeatable by its own id.
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
    """Hash a request by SHA-256: its path, and its body as this service encodes it. Same hash, same request.

    The path is empty where the key guards the body alone.
    """
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


class IdempotencyRecords:
    """The records of one ledger, for requests that do not go through the lane. Every method may raise psycopg.Error."""

    def __init__(
        self, connections: ConnectionPool[Connection[Any]], schema: str, clock: Callable[[], datetime]
    ) -> None:
        self._connections = connections
        self._statements = record_statements(schema)
        self._clock = clock

    def reserve(self, key_id: str, key: str, request_hash: bytes) -> bytes | IdempotencyKeyReused:
        """Bind the key to the request, and return the answer that is stored under it; b"" where there is none yet."""
        arguments = {"key_id": key_id, "key": key, "request_hash": request_hash, "now": self._clock()}
        with self._connections.connection() as connection:
            if connection.execute(self._statements["insert_guard"], arguments).rowcount:
                return b""
            record = self._find(connection, key_id, key)
        return record.answer if record.request_hash == request_hash else IdempotencyKeyReused()

    def store(self, key_id: str, key: str, answer: bytes) -> bytes:
        """Store the answer to the request that reserved the key. Return the answer that was stored first."""
        arguments = {"key_id": key_id, "key": key, "answer": answer, "now": self._clock()}
        with self._connections.connection() as connection:
            if connection.execute(self._statements["store_answer"], arguments).rowcount:
                return answer
            return self._find(connection, key_id, key).answer

    def _find(self, connection: Connection[Any], key_id: str, key: str) -> IdempotencyRecord:
        row = connection.execute(self._statements["find_records"], find_arguments([(key_id, key)])).fetchone()
        assert row is not None, "a record is replaced within one transaction, and never deleted"
        return record_of(row)
