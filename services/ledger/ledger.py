"""The ledger as the rest of the service sees it: put a command, get its answer; ask for history."""

import asyncio
import threading
from collections import deque
from collections.abc import Callable
from concurrent.futures import Future
from datetime import UTC, datetime
from queue import SimpleQueue
from typing import Self
from uuid import UUID

import structlog
from eventsourcing.persistence import PersistenceError

from services.catalogue import Catalogue
from services.database import connect
from services.ledger.application import LedgerApplication
from services.ledger.batch import Workplace
from services.ledger.heads import Heads
from services.ledger.lane import WriterLane
from services.ledger.records import Metadata, StreamHead
from services.ledger.submission import Answer, IdempotencyKey, Submission
from services.ledger.writes import Writes
from services.sql import load_queries
from services.subscription.commands import Command

log = structlog.get_logger()

KEPT_HEADS = 50_000
SNAPSHOT_INTERVAL = 200


def utc_now() -> datetime:
    """The instant now, in UTC."""
    return datetime.now(UTC)


class Ledger:
    """One ledger in one schema. A context manager: it holds connections and threads while it is open."""

    def __init__(
        self,
        database_url: str,
        schema: str,
        catalogue: Catalogue,
        *,
        clock: Callable[[], datetime] = utc_now,
        snapshot_interval: int = SNAPSHOT_INTERVAL,
    ) -> None:
        self.application = LedgerApplication(database_url, schema)
        self._snapshots = SnapshotWriter(self.application)
        recorder = self.application.recorder
        workplace = Workplace(
            recorder=recorder,
            charge_queries=load_queries("projections.charges", "charges.sql", schema=schema),
            writes=Writes(recorder, schema),
            heads=Heads(recorder.queries, self.application.mapper, KEPT_HEADS),
            catalogue=catalogue,
            clock=clock,
            take_snapshots=self._snapshots.put,
            snapshot_interval=snapshot_interval,
        )
        self.lane = WriterLane(workplace, lambda: connect(database_url))

    def __enter__(self) -> Self:
        self._snapshots.start()
        self.lane.start()
        return self

    def __exit__(self, *_exception: object) -> None:
        self.lane.stop()
        self._snapshots.stop()
        self.application.close()

    def execute(
        self,
        subscription_id: UUID,
        command: Command,
        metadata: Metadata,
        *,
        expected_version: int | None = None,
        idempotency: IdempotencyKey | None = None,
    ) -> Answer:
        """Put a command and wait for its answer; for threads. Raises LaneClosed or LaneFull."""
        future: Future[Answer] = Future()
        self.lane.submit(
            Submission(
                subscription_id,
                command,
                metadata,
                lambda _submission, answer: future.set_result(answer),
                expected_version,
                idempotency,
            )
        )
        return future.result()


class AsyncGate:
    """Puts commands from an event loop; one wake-up of the loop delivers all the answers of a batch."""

    def __init__(self, lane: WriterLane, loop: asyncio.AbstractEventLoop) -> None:
        self._lane = lane
        self._loop = loop
        self._waiting: dict[int, asyncio.Future[Answer]] = {}
        self._answers: deque[tuple[Submission, Answer]] = deque()

    async def execute(
        self,
        subscription_id: UUID,
        command: Command,
        metadata: Metadata,
        idempotency: IdempotencyKey | None = None,
    ) -> Answer:
        """Put a command and await its answer. Raises LaneClosed or LaneFull."""
        submission = Submission(subscription_id, command, metadata, self._deliver, idempotency=idempotency)
        future: asyncio.Future[Answer] = self._loop.create_future()
        self._waiting[id(submission)] = future
        try:
            self._lane.submit(submission)
            return await future
        finally:
            del self._waiting[id(submission)]

    def _deliver(self, submission: Submission, answer: Answer) -> None:
        """Called by the lane's thread: only the first answer since the last wake-up wakes the loop.

        It looks after it has appended: a loop that empties the queue in between has seen this answer. The submission
        itself is queued, so that its id is not given to another one before the answer is handed over.
        """
        self._answers.append((submission, answer))
        if len(self._answers) == 1:
            self._loop.call_soon_threadsafe(self._wake)

    def _wake(self) -> None:
        while self._answers:
            submission, answer = self._answers.popleft()
            future = self._waiting.get(id(submission))
            if future is not None and not future.done():
                future.set_result(answer)


class SnapshotWriter:
    """Stores snapshots in its own thread; one that fails is only missed, since a stream can always be folded."""

    def __init__(self, application: LedgerApplication) -> None:
        self._application = application
        self._queue: SimpleQueue[list[StreamHead] | None] = SimpleQueue()
        self._thread = threading.Thread(target=self._run, name="snapshots", daemon=True)

    def start(self) -> None:
        """Begin to store."""
        self._thread.start()

    def stop(self) -> None:
        """Store what waits and stop."""
        if self._thread.is_alive():
            self._queue.put(None)
            self._thread.join()

    def put(self, heads: list[StreamHead]) -> None:
        """Queue heads to be stored as snapshots."""
        if heads:
            self._queue.put(heads)

    def _run(self) -> None:
        snapshots = self._application.snapshots
        assert snapshots is not None
        while (heads := self._queue.get()) is not None:
            try:
                snapshots.put(heads)
            except PersistenceError as error:
                log.warning("snapshots were not stored", count=len(heads), error=str(error))
