"""The one way to write: a queue and the thread that commits whatever gathered in it during the previous commit.

There is no timer: a lone command is committed at once, and under load batches grow by themselves, so that thousands of
durable commands share each disk flush.
"""

import threading
import time
from collections.abc import Sequence
from queue import Empty, SimpleQueue
from typing import Any

import psycopg
import structlog
from psycopg import Connection

from services.database import Connect
from services.ledger.batch import Batch, Workplace
from services.ledger.submission import Answer, Failed, Submission

log = structlog.get_logger()

BATCH_LIMIT = 512
QUEUE_LIMIT = 20_000
PATIENCE_SECONDS = 2.0
_PAUSES_SECONDS = (0.0, 0.01, 0.03, 0.1, 0.2)
_WORTH_RETRYING = (psycopg.OperationalError, psycopg.InterfaceError, psycopg.IntegrityError)


class LaneClosed(RuntimeError):
    """The service is stopping and takes no more commands."""


class LaneFull(RuntimeError):
    """More commands are waiting than can be answered in time."""


class WriterLane:
    """Owns a connection and a thread. `submit` may be called from any thread."""

    def __init__(self, workplace: Workplace, connect: Connect) -> None:
        self._workplace = workplace
        self._connect = connect
        self._connection: Connection[Any] | None = None
        self._queue: SimpleQueue[Submission | None] = SimpleQueue()
        self._is_open = False
        self._thread = threading.Thread(target=self._run, name="writer-lane", daemon=True)

    def start(self) -> None:
        """Begin to take commands."""
        self._is_open = True
        self._thread.start()

    def stop(self) -> None:
        """Take no more commands, answer those that wait, and close the connection."""
        if self._is_open:
            self._is_open = False
            self._queue.put(None)
            self._thread.join()

    def submit(self, submission: Submission) -> None:
        """Queue a command; its `deliver` gets the answer. Raises LaneClosed or LaneFull."""
        if not self._is_open:
            raise LaneClosed
        if self._queue.qsize() >= QUEUE_LIMIT:
            raise LaneFull
        self._queue.put(submission)

    @property
    def waiting(self) -> int:
        """How many commands are queued."""
        return self._queue.qsize()

    @property
    def is_alive(self) -> bool:
        """Whether commands are taken and there is a thread to answer them."""
        return self._is_open and self._thread.is_alive()

    def _run(self) -> None:
        while batch := self._next_batch():
            try:
                answers = self._commit(batch)
            except Exception as defect:
                log.exception("a batch met a defect")
                self._reset(batch)
                answers = [Failed(defect, may_have_happened=True)] * len(batch)
            for submission, answer in zip(batch, answers, strict=True):
                submission.deliver(submission, answer)
        self._disconnect()

    def _next_batch(self) -> list[Submission]:
        """Wait for a command, and take along all that are there; empty once the lane has stopped and is drained."""
        batch: list[Submission] = []
        item = self._queue.get()
        while item is not None:
            batch.append(item)
            if len(batch) == BATCH_LIMIT:
                return batch
            try:
                item = self._queue.get_nowait()
            except Empty:
                return batch
        if batch:
            self._queue.put(None)  # the stop came behind these: answer them first
        return batch

    def _commit(self, batch: list[Submission]) -> list[Answer]:
        try:
            return self._attempt(batch)
        except psycopg.Error as error:
            log.warning("a batch is retried one by one", size=len(batch), error=str(error))
            return [self._alone(submission, error) for submission in batch]

    def _alone(self, submission: Submission, error: psycopg.Error) -> Answer:
        """Retry one command until it is answered, or its patience or the pauses run out."""
        give_up_at = submission.submitted_at + PATIENCE_SECONDS
        attempt = 0
        while isinstance(error, _WORTH_RETRYING) and time.monotonic() < give_up_at:
            time.sleep(_PAUSES_SECONDS[min(attempt, len(_PAUSES_SECONDS) - 1)])
            attempt += 1
            try:
                return self._attempt([submission])[0]
            except psycopg.Error as next_error:
                error = next_error
        return Failed(error, may_have_happened=submission.uncertain is not None)

    def _attempt(self, submissions: Sequence[Submission]) -> list[Answer]:
        """One transaction. Where the connection breaks, what was being committed is noted as uncertain."""
        if self._connection is None:
            self._connection = self._connect()
        batch = Batch(self._workplace, self._connection, submissions)
        try:
            return batch.commit()
        except psycopg.Error:
            if self._connection.broken:
                for place, attempt in batch.attempts.items():
                    submissions[place].uncertain = attempt
            self._reset(submissions)
            raise

    def _reset(self, submissions: Sequence[Submission]) -> None:
        """Forget what the failed transaction may have left: kept heads, and the connection unless it rolls back."""
        self._workplace.heads.forget(each.subscription_id for each in submissions)
        try:
            if self._connection is not None:
                self._connection.rollback()
        except psycopg.Error:
            self._disconnect()

    def _disconnect(self) -> None:
        if self._connection is not None:
            self._connection.close()
            self._connection = None
