"""Stores snapshots behind the lane's back: they only save time, so nothing waits for them and none is owed."""

import threading
from queue import SimpleQueue

import structlog
from eventsourcing.persistence import PersistenceError

from services.ledger.application import LedgerApplication
from services.ledger.records import StreamHead

log = structlog.get_logger()

WAITING_LIMIT = 100
"""Batches whose snapshots may wait; further ones are dropped, and taken again an interval later."""


class SnapshotWriter:
    """Stores snapshots in its own thread; one that fails is only missed, since a stream can always be folded."""

    def __init__(self, application: LedgerApplication) -> None:
        self._application = application
        self._queue: SimpleQueue[list[StreamHead] | None] = SimpleQueue()
        self._is_stopping = False
        self._thread = threading.Thread(target=self._run, name="snapshots", daemon=True)

    def start(self) -> None:
        """Begin to store."""
        self._thread.start()

    def stop(self) -> None:
        """Store what waits, unless it cannot be stored at once, and stop."""
        self._is_stopping = True
        if self._thread.is_alive():
            self._queue.put(None)
            self._thread.join()

    def put(self, heads: list[StreamHead]) -> None:
        """Queue heads to be stored as snapshots."""
        if heads and self._queue.qsize() < WAITING_LIMIT:
            self._queue.put(heads)

    def _run(self) -> None:
        snapshots = self._application.snapshots
        assert snapshots is not None
        while (heads := self._queue.get()) is not None:
            try:
                snapshots.put(heads)
                continue
            except PersistenceError as error:
                log.warning("snapshots were not stored", count=len(heads), error=str(error))
            except Exception:
                log.exception("storing snapshots met a defect")
            if self._is_stopping:
                return
