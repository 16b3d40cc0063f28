"""One transaction of the write path: a batch of commands, decided in order and committed together.

    lock the streams' rows -> look up replays -> load heads -> decide each -> append, project -> commit

A command sees the effect of the ones before it. A refusal or a replay is an answer like any other; only an error of the
database undoes the batch, and then the lane retries each command alone.
"""

from collections.abc import Callable, Sequence
from datetime import datetime
from typing import Any
from uuid import UUID

import psycopg
import structlog
from msgspec import Struct
from psycopg import Connection

from projections.charges.view import Charge, charge_view
from services.catalogue import Catalogue
from services.ledger.heads import Heads
from services.ledger.mapper import next_event, read_event
from services.ledger.recorder import LedgerRecorder, chained_event
from services.ledger.records import Recorded, StreamHead, extend
from services.ledger.submission import (
    Answer,
    Attempt,
    Charged,
    Done,
    Failed,
    GenerationIdConflict,
    IdempotencyKeyReused,
    Refused,
    Repeated,
    Submission,
    UnknownTestClock,
)
from services.ledger.writes import KeptAnswer, RefusalRow, Writes
from services.sql import Queries
from services.subscription.boundaries import due_events
from services.subscription.commands import ChargeGeneration, RecordDue, StartSubscription
from services.subscription.decide import decide, is_same_charge
from services.subscription.events import Event, GenerationCharged
from services.subscription.refusals import Refusal, VersionMismatch

log = structlog.get_logger()

PendingAnswer = Callable[[int], Answer]
"""The answer, given the position before the batch's first event."""


class OriginalCharge(Struct, frozen=True):
    """A charge that was made before: stored, or earlier in this batch."""

    event: GenerationCharged
    view: Callable[[int], Charge]


class Workplace(Struct, frozen=True):
    """What every batch of a lane works with."""

    recorder: LedgerRecorder
    charge_queries: Queries
    writes: Writes
    heads: Heads
    catalogue: Catalogue
    clock: Callable[[], datetime]
    take_snapshots: Callable[[list[StreamHead]], None]
    snapshot_interval: int
    """Events of a stream between two snapshots of it."""


class Batch:
    """The commands of one transaction. `commit` is all of it."""

    def __init__(self, workplace: Workplace, connection: Connection[Any], submissions: Sequence[Submission]):
        self._at = workplace
        self._connection = connection
        self._submissions = submissions
        self._heads: dict[UUID, StreamHead] = {}
        self._originals: dict[tuple[UUID, str], OriginalCharge] = {}
        self._answered: dict[tuple[str, str], tuple[bytes, bytes]] = {}
        self._clocks: dict[str, datetime] = {}
        self._now = workplace.clock()
        self._recorded: list[Recorded] = []
        self._refusals: list[RefusalRow] = []
        self._kept_answers: list[KeptAnswer] = []
        self.attempts: dict[int, Attempt] = {}
        """By place in the batch: what is being committed, for the case that the outcome is lost."""

    def commit(self) -> list[Answer]:
        """Carry the batch out and return its answers in order. Raises psycopg.Error; nothing is then known to hold."""
        with self._connection.pipeline():
            self._lock_and_look_up()
            pending = [self._decide(place, each) for place, each in enumerate(self._submissions)]
            positions = self._at.writes.send(
                self._connection, self._recorded, self._heads, self._refusals, self._kept_answers
            )
            self._connection.commit()
            base = positions.base() if positions else 0
        self._at.heads.keep(self._heads.values())
        self._at.take_snapshots(self._snapshots_due())
        return [answer(base) for answer in pending]

    def _snapshots_due(self) -> list[StreamHead]:
        interval = self._at.snapshot_interval
        ids = {each.originator_id for each in self._recorded if each.originator_version % interval == 0}
        return [self._heads[id] for id in ids]

    def _lock_and_look_up(self) -> None:
        queries, run = self._at.recorder.queries, self._connection.execute
        ids = list({each.subscription_id for each in self._submissions})
        run(queries["begin_batch"])
        locked = run(queries["lock_streams"], {"ids": ids})
        charges = self._find_charges()
        answers = self._find_answers()
        self._heads = self._at.heads.load(self._connection, dict(locked.fetchall()))
        self._now = self._at.clock()
        for *row, generation_id, is_reversed in charges or ():
            original = _stored_charge(row, is_reversed)
            self._originals[row[0], generation_id] = original
        for key_id, key, request_hash, answer in answers or ():
            self._answered[key_id, key] = (bytes(request_hash), bytes(answer))
        self._read_clocks()

    def _find_charges(self) -> Any:
        wanted = {
            (each.subscription_id, each.command.generation_id)
            for each in self._submissions
            if isinstance(each.command, ChargeGeneration)
        }
        if not wanted:
            return None
        ids, generation_ids = zip(*wanted, strict=True)
        arguments = {"ids": list(ids), "generation_ids": list(generation_ids)}
        return self._connection.execute(self._at.charge_queries["find_charges"], arguments)

    def _find_answers(self) -> Any:
        keys = [(each.metadata.key_id, each.idempotency.key) for each in self._submissions if each.idempotency]
        if not keys:
            return None
        key_ids, idempotency_keys = zip(*keys, strict=True)
        arguments = {"key_ids": list(key_ids), "keys": list(idempotency_keys)}
        return self._connection.execute(self._at.recorder.queries["find_answers"], arguments)

    def _read_clocks(self) -> None:
        ids = {head.state.test_clock_id for head in self._heads.values()} | {
            each.command.test_clock_id for each in self._submissions if isinstance(each.command, StartSubscription)
        }
        if wanted := [id for id in ids if id is not None]:
            rows = self._connection.execute(self._at.recorder.queries["lock_clocks"], {"ids": wanted})
            self._clocks = dict(rows.fetchall())

    def _decide(self, place: int, submission: Submission) -> PendingAnswer:
        """Decide one command; a defect that it meets is its own answer and leaves no event behind."""
        head, mark = self._heads.get(submission.subscription_id), len(self._recorded)
        try:
            return self._happened_already(submission) or self._answer(place, submission)
        except psycopg.Error:
            raise
        except Exception as defect:
            log.exception("a command met a defect", command=type(submission.command).__name__)
            del self._recorded[mark:]
            if head is not None:
                self._heads[submission.subscription_id] = head
            else:
                self._heads.pop(submission.subscription_id, None)
            failure = Failed(defect)
            return lambda _base: failure

    def _happened_already(self, submission: Submission) -> PendingAnswer | None:
        """The answer of an attempt whose outcome was lost, if its first event is stored after all."""
        if (attempt := submission.uncertain) is not None:
            wanted = {"id": attempt.event.originator_id, "version": attempt.event.originator_version}
            row = self._connection.execute(self._at.recorder.queries["find_event"], wanted).fetchone()
            if row is not None and (stored := chained_event(row)).hash == attempt.event.hash:
                answer = attempt.answer((stored.position or 0) - 1)
                return lambda _base: answer
        return self._answered_before(submission)

    def _answered_before(self, submission: Submission) -> PendingAnswer | None:
        if (key := submission.idempotency) is None:
            return None
        if (before := self._answered.get((submission.metadata.key_id, key.key))) is None:
            return None
        request_hash, answer = before
        if request_hash != key.request_hash:
            return _refused(IdempotencyKeyReused())
        repeated = Repeated(answer)
        return (lambda _base: repeated) if answer else None

    def _answer(self, place: int, submission: Submission) -> PendingAnswer:
        id, command = submission.subscription_id, submission.command
        head = self._heads.get(id)
        if isinstance(command, ChargeGeneration) and (before := self._originals.get((id, command.generation_id))):
            return _replay(before, command)
        clock_id = head.state.test_clock_id if head else getattr(command, "test_clock_id", None)
        if clock_id is not None and clock_id not in self._clocks:
            return self._keep_answer(submission, Refused(UnknownTestClock(clock_id)))
        now = self._clocks[clock_id] if clock_id is not None else self._now
        first = len(self._recorded)
        if head is not None:
            now = max(now, head.recorded_at)
            for event in due_events(head.state, now):
                self._append(submission, event, now)
            if submission.expected_version not in (None, head.version):
                return self._keep_answer(submission, Refused(VersionMismatch(head.version)))
        head = self._heads.get(id)
        decision = decide(head.state if head else None, command, now, self._at.catalogue)
        if isinstance(decision, Refusal):
            if isinstance(command, ChargeGeneration) and head is not None:
                self._refusals.append(RefusalRow.of(head, command, decision, now))
            return self._keep_answer(submission, Refused(decision))
        for event in decision:
            self._append(submission, event, now)
        happened = len(self._recorded) - first if isinstance(command, RecordDue) else len(decision)
        answer = self._carried_out(submission, happened, now)
        if len(self._recorded) > first:
            self.attempts[place] = Attempt(self._recorded[first].stored, lambda position: answer(position - first))
        return answer

    def _append(self, submission: Submission, event: Event, now: datetime) -> None:
        id = submission.subscription_id
        head = self._heads.get(id)
        recorded = next_event(id, head, event, submission.metadata, now)
        after = extend(head, (recorded,))
        assert after is not None
        self._heads[id] = after
        self._recorded.append(recorded)

    def _carried_out(self, submission: Submission, event_count: int, now: datetime) -> PendingAnswer:
        id, command = submission.subscription_id, submission.command
        if isinstance(command, ChargeGeneration):
            view = _charge_at(self._recorded[-1], ordinal=len(self._recorded))
            charged = self._recorded[-1].event
            assert isinstance(charged, GenerationCharged)
            self._originals[id, command.generation_id] = OriginalCharge(charged, view)
            self._keep(submission, b"")  # its generation id makes a charge repeatable; the key only guards the body
            return lambda base: Charged(view(base))
        return self._keep_answer(submission, Done(id, self._heads[id].state, now, event_count))

    def _keep_answer(self, submission: Submission, answer: Answer) -> PendingAnswer:
        if submission.idempotency is not None:
            self._keep(submission, submission.idempotency.render(answer))
        return lambda _base: answer

    def _keep(self, submission: Submission, written: bytes) -> None:
        if (key := submission.idempotency) is not None:
            key_id = submission.metadata.key_id
            self._kept_answers.append(KeptAnswer(key_id, key.key, key.request_hash, written, self._now))
            self._answered[key_id, key.key] = (key.request_hash, written)


def _refused(refusal: Refusal) -> PendingAnswer:
    answer = Refused(refusal)
    return lambda _base: answer


def _replay(before: OriginalCharge, command: ChargeGeneration) -> PendingAnswer:
    if is_same_charge(before.event, command):
        return lambda base: Charged(before.view(base), is_replay=True)
    return lambda base: Refused(GenerationIdConflict(before.view(base)))


def _stored_charge(row: Sequence[Any], is_reversed: bool) -> OriginalCharge:
    stored = chained_event(row)
    event = read_event(stored).event
    assert isinstance(event, GenerationCharged)
    charge = charge_view(
        stored.originator_id,
        event,
        charged_at=stored.recorded_at,
        version=stored.originator_version,
        position=stored.position or 0,
        is_reversed=is_reversed,
    )
    return OriginalCharge(event, lambda _base: charge)


def _charge_at(recorded: Recorded, ordinal: int) -> Callable[[int], Charge]:
    event, stored = recorded.event, recorded.stored
    assert isinstance(event, GenerationCharged)
    return lambda base: charge_view(
        stored.originator_id,
        event,
        charged_at=stored.recorded_at,
        version=stored.originator_version,
        position=base + ordinal,
    )
