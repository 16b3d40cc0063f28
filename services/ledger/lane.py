"""The one way to write: a queue and the thread that commits whatever gathered in it during the previous commit.

There is no timer: a lone command is committed at once, and under load batches grow by themselves, so that thousands of
durable commands share each disk flush.

Charges on streams that the lane knows are decided at once, on assumptions which the server has to confirm; where one is
wrong, the batch is carried out like any other, which locks and looks up first. While a batch is committed and many
commands wait, the next is decided on the states that it leaves. It is sent once that commit is certain, and decided
anew if it failed.

A batch that fails is put again: as it was where the connection broke, since nothing is wrong with it; else one command
at a time, so that a command that cannot be carried out fails alone. All of it within two seconds of its submission.

The session keeps nothing but prepared statements between transactions, so a pooler may stand before PostgreSQL in
transaction mode: PgBouncer 1.22 or newer, which knows them (`max_prepared_statements` above 0).
"""

import threading
import time
from collections.abc import Callable, Mapping, Sequence
from queue import Empty, SimpleQueue
from typing import Any
from uuid import UUID

import psycopg
import structlog
from psycopg import Connection
from psycopg.errors import LockNotAvailable, UniqueViolation
from psycopg.pq import TransactionStatus

from services.ledger.batch import ASSUMED_WRONGLY, Batch, Workplace
from services.ledger.records import StreamHead
from services.ledger.submission import Answer, Failed, Submission
from services.postgres.session import Session

log = structlog.get_logger()

# Larger ones do not fit into the buffer of a socket, and the server would wait for the rest while the next is decided.
BATCH_LIMIT = 256
_WORTH_DECIDING_AHEAD = 64
QUEUE_LIMIT = 20_000
PATIENCE_SECONDS = 2.0
_PAUSES_SECONDS = (0.0, 0.01, 0.03, 0.1, 0.2)
_WORTH_RETRYING = (psycopg.OperationalError, psycopg.InterfaceError, psycopg.InternalError)
# Two processes started the same stream or used the same key: the loser sees it when it tries again. If it still does
# not, what is stored contradicts itself, and trying on would only hold up the lane.
_RACE_ATTEMPTS = 3
# A wrong assumption means mostly that another process writes to the same streams, so that the next would be wrong too:
# so many batches are looked up for, and each time that the first one after them is wrong again, twice as many.
CAREFUL_BATCHES = 32
CAREFUL_BATCHES_LIMIT = 4_096


class LaneClosed(RuntimeError):
    """The service is stopping and takes no more commands."""


class LaneFull(RuntimeError):
    """More commands are waiting than can be answered in time."""


class WriterLane:
    """Owns a connection and a thread. `submit` may be called from any thread."""

    def __init__(self, workplace: Workplace, connect: Callable[[], Session]) -> None:
        self._workplace = workplace
        self._connect = connect
        self._session: Session | None = None
        self._unreachable: psycopg.Error | None = None
        self._taken: Sequence[Submission] = ()
        """What was taken from the queue to be decided ahead, and is to be answered next."""
        self._ahead: Batch | None = None
        """The same, decided on the batch that is being committed, and worth nothing if that fails."""
        self._careful_batches, self._wrong_in_a_row = 0, 0
        self._queue: SimpleQueue[Submission | None] = SimpleQueue()
        self._door = threading.Lock()
        self._is_open = False
        self._thread = threading.Thread(target=self._run, name="writer-lane", daemon=True)

    def start(self) -> None:
        """Begin to take commands."""
        self._is_open = True
        self._thread.start()

    def stop(self) -> None:
        """Take no more commands, answer those that wait, and close the connection."""
        with self._door:
            was_open, self._is_open = self._is_open, False
        if was_open:
            self._queue.put(None)
            self._thread.join()

    def submit(self, submission: Submission) -> None:
        """Queue a command; its `deliver` gets the answer, always. Raises LaneClosed or LaneFull."""
        with self._door:  # nothing gets in behind the end of the queue, where nobody would answer it
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
            for submission, answer in zip(batch, self._answers(batch), strict=True):
                _deliver(submission, answer)
        self._disconnect()

    def _next_batch(self) -> Sequence[Submission]:
        """Wait for a command, and take along all that are there; empty once the lane has stopped and is drained."""
        taken, self._taken = self._taken, ()
        return taken or self._take()

    def _take(self) -> list[Submission]:
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

    def _answers(self, batch: Sequence[Submission]) -> list[Answer]:
        """An answer for each command, whatever happens."""
        answers: list[Answer] = []
        rest = batch
        try:
            while rest:
                answers += self._together(rest)
                rest = batch[len(answers) :]
        except Exception as defect:
            log.exception("the writer lane met a defect")
            self._disconnect()
            answers += [Failed(defect, may_have_happened=True)] * (len(batch) - len(answers))
        return answers

    def _together(self, batch: Sequence[Submission]) -> Sequence[Answer]:
        """The answers of a batch, or of its first part."""
        if self._unreachable is not None and (overdue := _overdue(batch)):
            return [Failed(self._unreachable)] * overdue
        result = self._attempt(batch)
        if self._session is None and self._unreachable is None:  # it broke; the commands may be sound
            result = self._attempt(batch)
        if not isinstance(result, Exception):
            return result
        log.warning("a batch is retried one by one", size=len(batch), error=repr(result))
        return self._one_by_one(batch, result)

    def _one_by_one(self, batch: Sequence[Submission], error: Exception) -> list[Answer]:
        """The answers of a batch that failed by `error`; a stream that someone else has locked holds up no other."""
        give_up_at = time.monotonic() + 2 * PATIENCE_SECONDS
        answers: list[Answer] = []
        locked: dict[UUID, Exception] = {}
        for submission in batch:
            id = submission.subscription_id
            if id in locked:
                answer: Answer = Failed(locked[id], may_have_happened=bool(submission.lost))
            else:
                answer = self._alone(submission, error, give_up_at)
            if isinstance(answer, Failed) and isinstance(answer.error, LockNotAvailable):
                locked[id] = answer.error
            answers.append(answer)
        return answers

    def _alone(self, submission: Submission, error: Exception, give_up_at: float) -> Answer:
        """The answer of one command of a batch that failed by `error`.

        It is tried at least once where the server can be reached, before `give_up_at`; and while it makes sense, within
        its own patience.
        """
        patient_until = submission.submitted_at + PATIENCE_SECONDS
        attempts = 0
        while time.monotonic() < (patient_until if attempts or self._session is None else give_up_at):
            time.sleep(_PAUSES_SECONDS[min(attempts, len(_PAUSES_SECONDS) - 1)])
            attempts += 1
            result = self._attempt([submission])
            if not isinstance(result, Exception):
                return result[0]
            error = result
            if not _is_worth_retrying(error, attempts):
                break
        is_defect = not isinstance(error, psycopg.Error)
        log.error("a command was given up", attempts=attempts, error=repr(error), exc_info=error if is_defect else None)
        return Failed(error, may_have_happened=bool(submission.lost))

    def _attempt(self, submissions: Sequence[Submission]) -> list[Answer] | Exception:
        """One transaction, or a second where the first assumed wrongly: its answers, or why it failed."""
        try:
            session = self._connected()
        except psycopg.Error as error:
            return error
        ahead, self._ahead = self._ahead, None
        batch = ahead if ahead and ahead.submissions is submissions else self._assumed(submissions, {})
        if batch:
            result = self._commit(session, batch)
            if not isinstance(result, ASSUMED_WRONGLY):
                self._wrong_in_a_row = 0
                return result
            self._careful_batches = min(CAREFUL_BATCHES << self._wrong_in_a_row, CAREFUL_BATCHES_LIMIT)
            self._wrong_in_a_row += 1
        return self._commit(session, Batch(self._workplace, submissions))

    def _assumed(self, submissions: Sequence[Submission], before: Mapping[UUID, StreamHead]) -> Batch | None:
        """The batch, decided on the heads `before` and on those that are kept, unless it takes looking up."""
        if self._careful_batches:
            self._careful_batches -= 1
            return None
        batch = Batch(self._workplace, submissions)
        batch.assume(before)
        return batch if batch.is_decided else None

    def _commit(self, session: Session, batch: Batch) -> list[Answer] | Exception:
        """The answers, or why it failed. Where the outcome is lost, note what was being committed."""
        try:
            with session.together():
                if not batch.is_decided:
                    batch.look_up(session)
                batch.send(session)
                session.send_off()
                self._decide_ahead(batch)
            return batch.answers()
        except Exception as error:  # noqa: BLE001 - it becomes an answer, in the end
            self._ahead = None  # it was decided on what did not come to be
            is_undone = self._undo(session.connection, error)
            if batch.is_committing and not is_undone:
                for place, attempt in batch.attempts():
                    batch.submissions[place].lost += (attempt,)
            return error

    def _decide_ahead(self, batch: Batch) -> None:
        """While a batch is committed, decide what comes after it, if that is much."""
        if not self._careful_batches and not self._taken and self._queue.qsize() >= _WORTH_DECIDING_AHEAD:
            self._taken = self._take()
            self._ahead = self._assumed(self._taken, batch.heads)

    def _undo(self, connection: Connection[Any], error: Exception) -> bool:
        """Roll back, or disconnect; whether the server says that the transaction was open until now."""
        was_open = connection.info.transaction_status in (TransactionStatus.INTRANS, TransactionStatus.INERROR)
        try:
            connection.rollback()
        except psycopg.Error:
            was_open = False
        # An internal error is one of the session (it became read-only, it timed out): another may do better.
        if connection.info.transaction_status != TransactionStatus.IDLE or isinstance(error, psycopg.InternalError):
            self._disconnect()
        return was_open

    def _connected(self) -> Session:
        if self._session is not None and self._session.is_over:
            self._disconnect()  # before a commit is sent into the void, whose outcome nobody would know
        if self._session is None:
            try:
                self._session = self._connect()
            except psycopg.Error as error:
                self._unreachable = error
                raise
            self._unreachable = None
        return self._session

    def _disconnect(self) -> None:
        """Close the connection. The next may lead to another server, so nothing is kept of what this one had."""
        if self._session is not None:
            connection, self._session = self._session.connection, None
            self._ahead = None
            self._workplace.heads.forget_all()
            connection.close()


def _deliver(submission: Submission, answer: Answer) -> None:
    """Hand the answer over; the lane does not stop for an asker that is gone."""
    try:
        submission.deliver(submission, answer)
    except Exception:
        log.exception("an answer could not be delivered")


def _overdue(batch: Sequence[Submission]) -> int:
    """How many commands, at the front of the batch, have waited too long to wait for the server."""
    now = time.monotonic()
    patient = (place for place, each in enumerate(batch) if now < each.submitted_at + PATIENCE_SECONDS)
    return next(patient, len(batch))


def _is_worth_retrying(error: Exception, attempts: int) -> bool:
    return isinstance(error, _WORTH_RETRYING) or (isinstance(error, UniqueViolation) and attempts < _RACE_ATTEMPTS)
