"""One transaction of the write path: a batch of commands, decided in order and committed together.

    lock the streams' rows -> look up replays -> load heads -> decide each -> append, project -> commit

Or, for charges on streams that the lane knows, in one exchange with the server:

    decide each, assuming -> lock the streams' rows, confirm what was assumed -> append, project -> commit

A command sees the effect of the ones before it. A refusal, a replay or a defect is an answer like any other; only an
error of the database, or a row that cannot be written, undoes the batch, and then the lane retries each command alone.
"""

from collections.abc import Callable, Iterator, Mapping, Sequence
from datetime import datetime
from functools import partial
from operator import attrgetter
from uuid import UUID

import psycopg
import structlog
from msgspec import Struct
from msgspec.structs import replace
from psycopg.errors import SerializationFailure, UniqueViolation

from projections.charges.view import Charge, charge_view
from services.catalogue import Catalogue
from services.dispute.commands import DISPUTE_COMMANDS, DisputeCommand, OpenDispute
from services.dispute.decide import DisputedCharge
from services.dispute.decide import decide as decide_dispute
from services.idempotency import IdempotencyKeyReused, IdempotencyRecord
from services.ledger.disputes import view_of
from services.ledger.heads import Heads
from services.ledger.lookups import Lookups, OriginalCharge, generations
from services.ledger.mapper import next_dispute_event, next_event
from services.ledger.recorder import LedgerRecorder
from services.ledger.records import AnyRecorded, DisputeHead, RefusalRow, StreamHead, extend, extend_dispute
from services.ledger.submission import (
    Answer,
    Attempt,
    Charged,
    Disputed,
    Done,
    Failed,
    GenerationIdConflict,
    Refused,
    Repeated,
    Submission,
    UnknownTestClock,
)
from services.ledger.writes import Writes
from services.postgres.arrays import Bigints, Texts, Uuids
from services.postgres.session import Session
from services.postgres.sql import Queries
from services.subscription.boundaries import due_events
from services.subscription.commands import ChargeGeneration, RecordDue, StartSubscription
from services.subscription.decide import decide, is_same_charge
from services.subscription.events import Event, GenerationCharged
from services.subscription.refusals import Refusal, UnknownSubscription, VersionMismatch

log = structlog.get_logger()

EVENT_LIMIT = 10_000
"""A batch that has come to so many events decides no further command. A subscription whose clock moved on by centuries
has thousands that are due; so one transaction stays within bounds of memory and time."""

DUE_AT_ONCE = 1_000
"""So many boundaries are recorded for the sake of recording; the rest stays due. Before any other command, all are."""

PendingAnswer = Callable[[int], Answer]
"""The answer, given the position before the batch's first event."""


class NotCommitted(RuntimeError):
    """The server rolled back when it was asked to commit."""


ASSUMED_WRONGLY = (SerializationFailure, UniqueViolation)
"""How a transaction fails whose batch assumed something that is not so."""


class Workplace(Struct, frozen=True):
    """What every batch of a lane works with."""

    recorder: LedgerRecorder
    charge_queries: Queries
    record_queries: Queries
    writes: Writes
    heads: Heads
    catalogue: Catalogue
    clock: Callable[[], datetime]
    take_snapshots: Callable[[list[StreamHead]], None]
    snapshot_interval: int
    """Events of a stream between two snapshots of it."""


class Batch:
    """The commands of one transaction: `look_up` or `assume`, then `send`, then `answers`."""

    def __init__(self, workplace: Workplace, submissions: Sequence[Submission]):
        self._at = workplace
        self.submissions = submissions
        self.heads: dict[UUID, StreamHead] = {}
        """Of its streams; once it is decided, as it leaves them."""
        self.is_decided = False
        self._assumed: dict[UUID, int] = {}
        """In id order, the version at which each stream is, if what the batch is decided on is so."""
        self._found = Lookups()
        self._pending: list[PendingAnswer] = []
        self._defects: dict[UUID, Exception] = {}
        self._originals: dict[tuple[UUID, str], OriginalCharge] = {}
        self._answered: dict[tuple[str, str], tuple[bytes, bytes]] = {}
        self._clocks: dict[str, datetime] = {}
        self._disputes: dict[UUID, DisputeHead] = {}
        self._given_back: set[tuple[UUID, str]] = set()
        self._recorded: list[AnyRecorded] = []
        self._refusals: list[RefusalRow] = []
        self._kept_answers: list[IdempotencyRecord] = []
        self._ends: dict[int, tuple[int, PendingAnswer]] = {}
        """By place in the batch: which event, counted from 1, is the last that its command brings about; the answer."""
        self.is_committing = False
        """Whether COMMIT may have been sent. From then on an error does not tell that nothing happened."""

    def look_up(self, session: Session) -> None:
        """Begin the transaction, lock the streams, learn what is stored, and decide. Raises psycopg.Error."""
        queries, run = self._at.recorder.queries, session.execute
        ids = list({each.subscription_id for each in self.submissions})
        self._begin(session)
        locked = run(queries["lock_streams"], {"ids": Uuids(ids)})
        self._found.ask(queries, self._at.charge_queries, self._at.record_queries, session, self.submissions)
        loaded = self._at.heads.load(session, dict(locked.rows()))
        self.heads, self._defects = loaded.heads, loaded.defects
        self._found.read()
        self._read_clocks(session)
        self._decide_in_order()

    def assume(self, before: Mapping[UUID, StreamHead]) -> None:
        """Decide without asking where that can be done, which `is_decided` tells: if all are charges, as if none had
        been made before, on the heads `before` or else those that are kept. What was assumed, `send` has confirmed.
        """
        if not all(isinstance(each.command, ChargeGeneration) for each in self.submissions):
            return
        ids = {each.subscription_id for each in self.submissions}
        heads = {id: head for id in ids if (head := before.get(id) or self._at.heads.kept(id)) is not None}
        if len(heads) < len(ids) or any(head.state.test_clock_id is not None for head in heads.values()):
            return
        self.heads, self._assumed = heads, {id: heads[id].version for id in sorted(ids, key=attrgetter("int"))}
        self._decide_in_order()

    def send(self, session: Session) -> None:
        """Say what was decided, up to the commit. Raises psycopg.Error, or what writing a row raises."""
        if self._assumed:
            self._begin(session)
            self._have_confirmed(session)
        self._positions = self._at.writes.send(session, self._recorded, self.heads, self._refusals, self._kept_answers)
        self.is_committing = True
        self._commit = session.execute(b"COMMIT")

    def answers(self) -> list[Answer]:
        """The answers, in order, of all of it or of as many as fill a transaction, once it is committed.

        Raises NotCommitted or psycopg.Error.
        """
        if self._commit.status() != "COMMIT":  # PostgreSQL answers ROLLBACK, and no error, where one came before
            raise NotCommitted(self._commit.status())
        base = self._positions.base() if self._positions else 0
        self._at.heads.keep(self.heads.values())
        self._at.take_snapshots(self._snapshots_due())
        return [answer(base) for answer in self._pending]

    def attempts(self) -> Iterator[tuple[int, Attempt]]:
        """What was being committed, by place in the batch, for the case that the outcome is lost."""
        for place, (last, answer) in self._ends.items():
            yield place, Attempt(self._recorded[last - 1].stored, partial(_given_own_position, answer, last))

    def _snapshots_due(self) -> list[StreamHead]:
        interval = self._at.snapshot_interval
        ids = {each.originator_id for each in self._recorded if each.originator_version % interval == 0}
        return [self.heads[id] for id in ids if id in self.heads]

    def _begin(self, session: Session) -> None:
        session.execute(b"BEGIN")
        session.execute(self._at.recorder.queries["begin_batch"])

    def _have_confirmed(self, session: Session) -> None:
        """Lock the streams, and have the transaction fail where one has moved on or a refused charge was made before.

        That a charge that is about to be made was made before, or its key used, is seen when its row is written.
        """
        versions = {"ids": Uuids(list(self._assumed)), "versions": Bigints(list(self._assumed.values()))}
        session.execute(self._at.recorder.queries["confirm_versions"], versions)
        charged, asked = self._originals.keys(), self.submissions
        if len(charged) < len(asked) and (refused := set(generations(asked)) - charged):
            ids, generation_ids = zip(*refused, strict=True)
            wanted = {"ids": Uuids(ids), "generation_ids": Texts(generation_ids)}
            session.execute(self._at.charge_queries["confirm_new"], wanted)

    def _read_clocks(self, session: Session) -> None:
        ids = {head.state.test_clock_id for head in self.heads.values()} | {
            each.command.test_clock_id for each in self.submissions if isinstance(each.command, StartSubscription)
        }
        if wanted := [id for id in ids if id is not None]:
            locked = session.execute(self._at.recorder.queries["lock_clocks"], {"ids": Texts(wanted)})
            self._clocks = dict(locked.rows())

    def _decide_in_order(self) -> None:
        self._now = self._at.clock()
        for place, submission in enumerate(self.submissions):
            if len(self._recorded) >= EVENT_LIMIT:
                break
            self._pending.append(self._decide(place, submission))
        self.is_decided = True

    def _decide(self, place: int, submission: Submission) -> PendingAnswer:
        """Decide one command; a defect that it meets is its own answer and leaves nothing of it behind."""
        id = submission.subscription_id
        head, recorded, refusals = self.heads.get(id), len(self._recorded), len(self._refusals)
        try:
            return self._happened_already(submission) or self._answer(place, submission)
        except psycopg.Error:
            raise
        except Exception as defect:
            log.exception("a command met a defect", command=type(submission.command).__name__)
            del self._recorded[recorded:], self._refusals[refusals:]
            if head is not None:
                self.heads[id] = head
            else:
                self.heads.pop(id, None)
            failure = Failed(defect, may_have_happened=bool(submission.lost))
            return lambda _base: failure

    def _happened_already(self, submission: Submission) -> PendingAnswer | None:
        """The answer of an attempt whose outcome was lost, if it is stored after all; or the one kept under the key."""
        if submission.lost and (answer := self._found.lost_answer(submission)) is not None:
            return lambda _base: answer
        if (key := submission.idempotency) is None or (before := self._answer_before(submission)) is None:
            return None
        request_hash, written = before
        if request_hash != key.request_hash:
            return _refused(IdempotencyKeyReused())
        repeated = Repeated(written)
        return (lambda _base: repeated) if written else None

    def _answer_before(self, submission: Submission) -> tuple[bytes, bytes] | None:
        assert submission.idempotency is not None
        asked = submission.metadata.key_id, submission.idempotency.key
        return self._answered.get(asked) or self._found.answer(*asked)

    def _answer(self, place: int, submission: Submission) -> PendingAnswer:
        id, command = submission.subscription_id, submission.command
        if isinstance(command, ChargeGeneration) and (before := self._original(id, command.generation_id)):
            self._keep(submission, b"")
            return _replay(before, command)
        if (defect := self._defects.get(id)) is not None:
            raise defect
        head = self.heads.get(id)
        clock_id = head.state.test_clock_id if head else getattr(command, "test_clock_id", None)
        if clock_id is not None and clock_id not in self._clocks:
            return self._keep_answer(submission, Refused(UnknownTestClock(clock_id)))
        now = self._clocks[clock_id] if clock_id is not None else self._now
        first = len(self._recorded)
        if head is not None:
            now = max(now, head.recorded_at)
            at_most = DUE_AT_ONCE if isinstance(command, RecordDue) else None
            for event in due_events(head.state, now, at_most):
                self._append(submission, event, now)
            head = self.heads[id]
            if submission.expected_version not in (None, head.version):
                return self._keep_answer(submission, Refused(VersionMismatch(head.version)))
        if isinstance(command, DISPUTE_COMMANDS):
            return self._dispute(place, submission, command, now)
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
            self._ends[place] = (len(self._recorded), answer)
        return answer

    def _dispute(self, place: int, submission: Submission, command: DisputeCommand, now: datetime) -> PendingAnswer:
        """Decide a command on a dispute; what it does to the charge is recorded on the subscription's stream."""
        id, dispute_id = submission.subscription_id, command.dispute_id
        if (subscription := self.heads.get(id)) is None:
            return self._keep_answer(submission, Refused(UnknownSubscription()))
        # A charge of this same batch is not answered yet, so nobody can know of it.
        original = self._found.charge(id, command.generation_id)
        is_reversed = original is not None and (original.is_reversed or (id, command.generation_id) in self._given_back)
        charge = None
        if original is not None:
            charge = DisputedCharge(id, original.event, original.version, is_reversed)
        dispute = self._disputes.get(dispute_id) or self._found.dispute(dispute_id)
        state = dispute.state if dispute else None
        decided = decide_dispute(state, command, charge, subscription.state, now, self._at.catalogue)
        if isinstance(decided, Refusal):
            return self._keep_answer(submission, Refused(decided))
        for event in decided.on_subscription:
            self._append(submission, event, now)
        for each in decided.on_dispute:
            recorded = next_dispute_event(dispute_id, dispute, each, submission.metadata, now)
            dispute = extend_dispute(dispute, (recorded,))
            self._recorded.append(recorded)
        assert dispute is not None
        assert original is not None
        shown = original.view(0)
        if decided.on_subscription:
            shown = replace(shown, status="reversed")
        is_new = isinstance(command, OpenDispute)
        answer = self._keep_answer(submission, Disputed(view_of(dispute, shown), is_new))
        # Last, since a defect before would have to leave nothing behind.
        self._disputes[dispute_id] = dispute
        if decided.on_subscription:
            self._given_back.add((id, command.generation_id))
        self._ends[place] = (len(self._recorded), answer)
        return answer

    def _original(self, id: UUID, generation_id: str) -> OriginalCharge | None:
        return self._originals.get((id, generation_id)) or self._found.charge(id, generation_id)

    def _append(self, submission: Submission, event: Event, now: datetime) -> None:
        id = submission.subscription_id
        head = self.heads.get(id)
        recorded = next_event(id, head, event, submission.metadata, now)
        after = extend(head, (recorded,))
        assert after is not None
        self.heads[id] = after
        self._recorded.append(recorded)

    def _carried_out(self, submission: Submission, event_count: int, now: datetime) -> PendingAnswer:
        id, command = submission.subscription_id, submission.command
        if isinstance(command, ChargeGeneration):
            view = _charge_at(self._recorded[-1], ordinal=len(self._recorded))
            charged = self._recorded[-1].event
            assert isinstance(charged, GenerationCharged)
            self._keep(submission, b"")
            version = self._recorded[-1].originator_version
            self._originals[id, command.generation_id] = OriginalCharge(charged, view, version)
            return lambda base: Charged(view(base))
        return self._keep_answer(submission, Done(id, self.heads[id].state, now, event_count))

    def _keep_answer(self, submission: Submission, answer: Answer) -> PendingAnswer:
        if submission.idempotency is not None:
            self._keep(submission, submission.idempotency.render(answer))
        return lambda _base: answer

    def _keep(self, submission: Submission, written: bytes) -> None:
        """Keep what was answered under the command's key, if it has one.

        For a charge that is nothing: its generation id makes it repeatable, and the key only guards the request.
        """
        if (key := submission.idempotency) is None or self._answer_before(submission) is not None:
            return
        key_id = submission.metadata.key_id
        self._kept_answers.append(IdempotencyRecord(key_id, key.key, key.request_hash, written, self._now))
        self._answered[key_id, key.key] = (key.request_hash, written)


def _refused(refusal: Refusal) -> PendingAnswer:
    answer = Refused(refusal)
    return lambda _base: answer


def _replay(before: OriginalCharge, command: ChargeGeneration) -> PendingAnswer:
    if is_same_charge(before.event, command):
        return lambda base: Charged(before.view(base), is_replay=True)
    return lambda base: Refused(GenerationIdConflict(before.view(base)))


def _given_own_position(answer: PendingAnswer, last: int, own: int) -> Answer:
    """The answer, where the position of the command's own last event is what is known."""
    return answer(own - last)


def _charge_at(recorded: AnyRecorded, ordinal: int) -> Callable[[int], Charge]:
    event, stored = recorded.event, recorded.stored
    assert isinstance(event, GenerationCharged)
    return lambda base: charge_view(
        stored.originator_id,
        event,
        charged_at=stored.recorded_at,
        version=stored.originator_version,
        position=base + ordinal,
    )
