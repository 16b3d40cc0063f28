"""Snapshots of streams: written off the critical path, best effort. A missing one only makes the next load slower."""

import threading
from collections.abc import Callable, Sequence
from queue import SimpleQueue
from typing import Any
from uuid import UUID

import msgspec
import psycopg
import structlog
from psycopg import Connection

from services.ledger.mapper import SNAPSHOT_TOPIC, decode_head, encode_head
from services.ledger.records import StreamHead
from services.postgres.arrays import Bigints, Blobs, Texts, Uuids
from services.postgres.sql import Queries

log = structlog.get_logger()

QUEUE_LIMIT = 100
"""Batches whose snapshots may be queued; further ones are dropped, and made again an interval later."""


def read_snapshot(stream_id: UUID, state: bytes) -> StreamHead | None:
    """Read a snapshot; None, with a warning, where it cannot be read, since a stream does without."""
    try:
        return decode_head(state)
    except msgspec.MsgspecError as error:
        log.warning("a snapshot cannot be read", stream=str(stream_id), error=str(error))
        return None


def insert_snapshots(connection: Connection[Any], queries: Queries, heads: Sequence[StreamHead]) -> None:
    """Store heads as snapshots, each once. Raises psycopg.Error."""
    arguments = {
        "ids": Uuids([head.originator_id for head in heads]),
        "versions": Bigints([head.version for head in heads]),
        "topics": Texts([SNAPSHOT_TOPIC] * len(heads)),
        "states": Blobs([encode_head(head) for head in heads]),
    }
    connection.execute(queries["insert_snapshots"], arguments)


class SnapshotWriter:
    """Stores snapshots on a thread and a connection of its own."""

    def __init__(self, connect: Callable[[], Connection[Any]], queries: Queries) -> None:
        self._connect = connect
        self._queries = queries
        self._queue: SimpleQueue[list[StreamHead] | None] = SimpleQueue()
        self._is_stopping = False
        self._thread = threading.Thread(target=self._run, name="snapshots", daemon=True)

    def start(self) -> None:
        """Begin to store."""
        self._thread.start()

    def stop(self) -> None:
        """Store what is queued, up to the first failure, and stop."""
        self._is_stopping = True
        if self._thread.is_alive():
            self._queue.put(None)
            self._thread.join()

    def put(self, heads: list[StreamHead]) -> None:
        """Queue heads to be stored as snapshots."""
        if heads and self._queue.qsize() < QUEUE_LIMIT:
            self._queue.put(heads)

    def _run(self) -> None:
        connection: Connection[Any] | None = None
        while (heads := self._queue.get()) is not None:
            try:
                connection = connection or self._connect()
                insert_snapshots(connection, self._queries, heads)
                continue
            except psycopg.Error as error:
                log.warning("snapshots were not stored", count=len(heads), error=str(error))
            except Exception:
                log.exception("storing snapshots met a defect")
            if connection is not None:
                connection.close()
                connection = None
            if self._is_stopping:
                break
        if connection is not None:
            connection.close()
