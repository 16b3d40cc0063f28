"""The one way to write: a queue, and the thread that commits whatever gathered in it during the previous commit.

There is no timer: a lone command is committed at once, and under load batches grow by themselves, so that thousands of
durable commands share each disk flush.

Charges on streams whose heads are cached are decided speculatively, and validated by the server in the transaction that
writes them. A batch whose speculation was wrong is carried out like any other: locked and looked up first. While a
batch is being committed and many commands are queued, the next is decided speculatively on the heads that it leaves. It
is sent once that commit is certain, and decided anew if it failed.

A failed batch is retried: as a whole where the connection broke, since nothing is wrong with it; else one command at a
time, so that a command that cannot be carried out fails alone. All of it within two seconds of its submission.

Between transactions the session holds nothing but prepared statements, so a pooler may stand before PostgreSQL in
transaction mode: PgBouncer 1.21 or newer, which supports them (`max_prepared_statements` above 0).
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
from psycopg.errors import DiskFull, LockNotAvailable, ReadOnlySqlTransaction, UniqueViolation
from psycopg.pq import TransactionStatus

from services.ledger.clock_guard import ClockGuard
from services.ledger.records import StreamHead
from services.ledger.submission import Answer, Failed, Submission
from services.ledger.tally import LaneTally
from services.ledger.transaction import BatchContext, Misspeculation, Transaction, speculate
from services.postgres.session import Session

log = structlog.get_logger()

# A larger batch does not fit into a socket's buffer, and the server would wait for the rest while the next is decided.
BATCH_LIMIT = 256
# Fewer queued commands are not worth the overhead of deciding them while the batch before is being committed.
SPECULATION_THRESHOLD = 64
QUEUE_LIMIT = 20_000
PATIENCE_SECONDS = 2.0
_PAUSES_SECONDS = (0.0, 0.01, 0.03, 0.1, 0.2)
_TRANSIENT_ERRORS = (psycopg.OperationalError, psycopg.InterfaceError, psycopg.InternalError)
# Two processes started the same stream or used the same key: the loser sees it on its next attempt. If it still does
# not, what is stored contradicts itself, and further attempts would only hold up the lane.
_RACE_ATTEMPTS = 3
# A misspeculation means mostly that another process writes to the same streams, so that the next would fail too: this
# many batches are looked up instead, and twice as many each time that the first one after them fails again.
CAREFUL_BATCHES = 32
CAREFUL_BATCHES_LIMIT = 4_096


class LaneClosed(RuntimeError):
    """The service is stopping and takes no more commands."""


class LaneFull(RuntimeError):
    """More commands are waiting than can be answered in time."""


class WriterLane:
    """Owns a session and a thread. `submit` may be called from any thread."""

    def __init__(self, context: BatchContext, connect: Callable[[], Session]) -> None:
        self._context = context
        self._connect = connect
        self._session: Session | None = None
        self._connect_error: psycopg.Error | None = None
        self._clock_guard = ClockGuard()
        self._batch_began_at: float | None = None
        self.tally = LaneTally()
        self.write_failure: psycopg.Error | None = None
        """Why the server took the last writes not: a full disk, a read-only server; None where it took them."""
        self._next_submissions: Sequence[Submission] = ()
        """The batch after the one that is being committed, drained from the queue meanwhile."""
        self._next_transaction: Transaction | None = None
        """Its speculative transaction, which is void if the commit before it fails."""
        self._careful_batches, self._misspeculations_in_a_row = 0, 0
        self._queue: SimpleQueue[Submission | None] = SimpleQueue()
        self._submit_lock = threading.Lock()
        self._is_open = False
        self._thread = threading.Thread(target=self._run, name="writer-lane", daemon=True)

    def start(self) -> None:
        """Begin to take commands."""
        self._is_open = True
        self._thread.start()

    def stop(self) -> None:
        """Take no more commands, answer those that are queued, and close the connection."""
        with self._submit_lock:
            was_open, self._is_open = self._is_open, False
        if was_open:
            self._queue.put(None)
            self._thread.join()

    def submit(self, submission: Submission) -> None:
        """Queue a command; its `deliver` gets the answer, always. Raises LaneClosed or LaneFull."""
        with self._submit_lock:  # a command behind the end of the queue would never be answered
            if not self._is_open:
                raise LaneClosed
            if self._queue.qsize() >= QUEUE_LIMIT:
                raise LaneFull
            self._queue.put(submission)

    @property
    def waiting(self) -> int:
        """The number of queued commands."""
        return self._queue.qsize()

    @property
    def is_alive(self) -> bool:
        """Whether commands are taken and there is a thread to answer them."""
        return self._is_open and self._thread.is_alive()

    @property
    def busy_seconds(self) -> float:
        """How long it has been at the batch that it is at; 0 where it waits for one."""
        began_at = self._batch_began_at
        return 0.0 if began_at is None else time.monotonic() - began_at

    def _run(self) -> None:
        while submissions := self._next_batch():
            self._batch_began_at = began_at = time.monotonic()
            self.tally.begin(submissions, began_at)
            for submission, answer in zip(submissions, self._answers(submissions), strict=True):
                self.tally.count(answer)
                _deliver(submission, answer)
            self._batch_began_at = None
        self._disconnect()

    def _next_batch(self) -> Sequence[Submission]:
        """Return the batch that was drained meanwhile, or wait for one; empty once the lane has stopped."""
        submissions, self._next_submissions = self._next_submissions, ()
        return submissions or self._drain_queue()

    def _drain_queue(self) -> list[Submission]:
        """Wait for a command, and return it with all that are queued behind it."""
        submissions: list[Submission] = []
        item = self._queue.get()
        while item is not None:
            submissions.append(item)
            if len(submissions) == BATCH_LIMIT:
                return submissions
            try:
                item = self._queue.get_nowait()
            except Empty:
                return submissions
        if submissions:
            self._queue.put(None)  # the stop came behind these: answer them first
        return submissions

    def _answers(self, submissions: Sequence[Submission]) -> list[Answer]:
        """Return an answer for each command, whatever happens."""
        answers: list[Answer] = []
        rest = submissions
        try:
            while rest:
                answers += self._commit_batch(rest)
                rest = submissions[len(answers) :]
        except Exception as defect:
            log.exception("the writer lane met a defect")
            self._disconnect()
            answers += [Failed(defect, may_have_happened=True)] * (len(submissions) - len(answers))
        return answers

    def _commit_batch(self, submissions: Sequence[Submission]) -> Sequence[Answer]:
        """Return the answers of a batch, or of its first part."""
        if self._connect_error is not None and (overdue := _count_overdue(submissions)):
            return [Failed(self._connect_error)] * overdue
        result = self._try_once(submissions)
        if self._session is None and self._connect_error is None:  # it broke; the commands may be sound
            result = self._try_once(submissions)
        if not isinstance(result, Exception):
            return result
        log.warning("a batch is retried one by one", size=len(submissions), error=repr(result))
        return self._retry_each(submissions, result)

    def _retry_each(self, submissions: Sequence[Submission], error: Exception) -> list[Answer]:
        """Return the answers of a batch that failed by `error`; a stream that is locked elsewhere holds up no other."""
        give_up_at = time.monotonic() + 2 * PATIENCE_SECONDS
        answers: list[Answer] = []
        locked: dict[UUID, Exception] = {}
        for submission in submissions:
            id = submission.subscription_id
            if id in locked:
                answer: Answer = Failed(locked[id], may_have_happened=bool(submission.lost))
            else:
                answer = self._retry_one(submission, error, give_up_at)
            if isinstance(answer, Failed) and isinstance(answer.error, LockNotAvailable):
                locked[id] = answer.error
            answers.append(answer)
        return answers

    def _retry_one(self, submission: Submission, error: Exception, give_up_at: float) -> Answer:
        """Return the answer of one command of a batch that failed by `error`.

        It is tried at least once where the server can be reached, before `give_up_at`; and again, while that makes
        sense, within its own patience.
        """
        patient_until = submission.submitted_at + PATIENCE_SECONDS
        attempts = 0
        while time.monotonic() < (patient_until if attempts or self._session is None else give_up_at):
            time.sleep(_PAUSES_SECONDS[min(attempts, len(_PAUSES_SECONDS) - 1)])
            attempts += 1
            result = self._try_once([submission])
            if not isinstance(result, Exception):
                return result[0]
            error = result
            if not _is_worth_retrying(error, attempts):
                break
        is_defect = not isinstance(error, psycopg.Error)
        log.error("a command was given up", attempts=attempts, error=repr(error), exc_info=error if is_defect else None)
        return Failed(error, may_have_happened=bool(submission.lost))

    def _try_once(self, submissions: Sequence[Submission]) -> list[Answer] | Exception:
        """Run one transaction, or a second after a misspeculation; return its answers, or why it failed."""
        try:
            session = self._open_session()
        except psycopg.Error as error:
            return error
        early, self._next_transaction = self._next_transaction, None
        transaction = early if early and early.submissions is submissions else self._speculate(submissions, {})
        if transaction:
            result = self._commit(session, transaction)
            if not isinstance(result, Misspeculation):
                self._misspeculations_in_a_row = 0
                return result
            self._careful_batches = min(CAREFUL_BATCHES << self._misspeculations_in_a_row, CAREFUL_BATCHES_LIMIT)
            self._misspeculations_in_a_row += 1
        return self._commit(session, Transaction(self._context, submissions))

    def _speculate(self, submissions: Sequence[Submission], heads: Mapping[UUID, StreamHead]) -> Transaction | None:
        """Decide a batch on `heads` or else cached ones; None where it has to be looked up."""
        if self._careful_batches:
            self._careful_batches -= 1
            return None
        return speculate(self._context, submissions, heads)

    def _commit(self, session: Session, transaction: Transaction) -> list[Answer] | Exception:
        """Return the answers, or why it failed. Where the outcome is lost, note what was being committed."""
        began_at = time.monotonic()
        try:
            with session.pipeline():
                transaction.send(session)
                session.flush()
                self._speculate_on_next(transaction.heads)
            answers = transaction.answers()
            self.tally.commit_seconds.add(time.monotonic() - began_at)
            self.write_failure = None
            return answers
        except Exception as error:  # noqa: BLE001 - it becomes an answer, in the end
            self._next_transaction = None  # it was decided on heads that did not come to be
            if isinstance(error, DiskFull | ReadOnlySqlTransaction):
                self.write_failure = error
            is_undone = self._roll_back(session.connection, error)
            if transaction.is_committing and not is_undone:
                for place, attempt in transaction.attempts():
                    transaction.submissions[place].lost += (attempt,)
            return error

    def _speculate_on_next(self, heads: Mapping[UUID, StreamHead]) -> None:
        """Decide the next batch on the heads that the one being committed leaves, where many commands are queued."""
        if not self._careful_batches and not self._next_submissions and self._queue.qsize() >= SPECULATION_THRESHOLD:
            self._next_submissions = self._drain_queue()
            self._next_transaction = self._speculate(self._next_submissions, heads)

    def _roll_back(self, connection: Connection[Any], error: Exception) -> bool:
        """Roll back, or disconnect; return whether the server says that the transaction was open until now."""
        was_open = connection.info.transaction_status in (TransactionStatus.INTRANS, TransactionStatus.INERROR)
        try:
            connection.rollback()
        except psycopg.Error:
            was_open = False
        # An internal error is one of the session (it became read-only, it timed out): another may do better.
        if connection.info.transaction_status != TransactionStatus.IDLE or isinstance(error, psycopg.InternalError):
            self._disconnect()
        return was_open

    def _open_session(self) -> Session:
        """Return the session, or a new one where there is none. Raises psycopg.Error, ClockDiffers among them."""
        if self._session is not None and self._session.is_closed_by_server:
            self._disconnect()  # before a commit is sent on it, whose outcome would be unknown
        if self._session is None:
            try:
                self._session = self._connect()
            except psycopg.Error as error:
                self._connect_error = error
                raise
            self._connect_error = None
        self._clock_guard.compare(self._session)
        return self._session

    def _disconnect(self) -> None:
        """Close the connection. The next may lead to another server, so no cached head is trusted there."""
        if self._session is not None:
            connection, self._session = self._session.connection, None
            self._next_transaction = None
            self._context.heads.clear()
            connection.close()


def _deliver(submission: Submission, answer: Answer) -> None:
    """Hand over the answer; a failed callback must not stop the lane."""
    try:
        submission.deliver(submission, answer)
    except Exception:
        log.exception("an answer could not be delivered")


def _count_overdue(submissions: Sequence[Submission]) -> int:
    """Count the commands at the front of the batch that have waited too long to wait for the server."""
    now = time.monotonic()
    patient = (place for place, each in enumerate(submissions) if now < each.submitted_at + PATIENCE_SECONDS)
    return next(patient, len(submissions))


def _is_worth_retrying(error: Exception, attempts: int) -> bool:
    return isinstance(error, _TRANSIENT_ERRORS) or (isinstance(error, UniqueViolation) and attempts < _RACE_ATTEMPTS)
