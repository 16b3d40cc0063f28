"""Decides a batch of commands: pure, from what is known, the instant and the catalogue.

Commands are decided in order, each on what the ones before it leave. A refusal, a replay or a defect is an answer like
any other. The outcome of a command is merged into the batch as a whole, so a defect leaves nothing behind.
"""

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from datetime import datetime
from functools import partial
from operator import attrgetter
from uuid import UUID

from msgspec import Struct
from msgspec.structs import replace

from services.catalogue import Catalogue
from services.dispute.commands import DISPUTE_COMMANDS, DisputeCommand, OpenDispute
from services.dispute.decide import DisputedCharge
from services.dispute.decide import decide as decide_dispute
from services.idempotency import IdempotencyKeyReused, IdempotencyRecord
from services.ledger.known import Known
from services.ledger.mapper import next_dispute_event, next_event
from services.ledger.records import (
    AnyRecorded,
    DisputeHead,
    RecordedCharge,
    RefusalRow,
    StreamHead,
    extend,
    extend_dispute,
)
from services.ledger.submission import (
    Answer,
    AnyCommand,
    Attempt,
    Charged,
    Disputed,
    Done,
    Failed,
    Generation,
    GenerationIdConflict,
    Refused,
    Repeated,
    Submission,
    UnknownTestClock,
    generations,
)
from services.subscription.boundaries import due_events
from services.subscription.commands import ChargeGeneration, RecordDue
from services.subscription.decide import decide as decide_subscription
from services.subscription.decide import is_same_charge
from services.subscription.events import Event, GenerationCharged
from services.subscription.refusals import Refusal, UnknownSubscription, VersionMismatch

EVENT_LIMIT = 10_000
"""A batch with so many events decides no further command. A subscription whose clock moved on by centuries has
thousands that are due; so one transaction stays within bounds of memory and time."""

DUE_AT_ONCE = 1_000
"""`RecordDue` records so many boundaries; the rest stays due. Before any other command, all of them are recorded."""

PendingAnswer = Callable[[int], Answer]
"""The answer, given the position before the batch's first event."""


class Outcome(Struct, frozen=True):
    """What one command comes to: its answer, and all that it brings about."""

    answer: PendingAnswer
    recorded: Sequence[AnyRecorded] = ()
    """The boundaries that were due and, where the command is carried out, its own events."""
    head: StreamHead | None = None
    """The head of the subscription's stream after these events; None where there is no such stream."""
    is_carried_out: bool = False
    charge: RecordedCharge | None = None
    """The charge that was made or reversed, as the command leaves it."""
    dispute: DisputeHead | None = None
    """The head of the dispute's stream after these events."""
    refusal: RefusalRow | None = None
    idempotency_record: IdempotencyRecord | None = None


class DecidedBatch(Struct):
    """What the commands of a batch come to: the rows to write, and the answers once they are committed."""

    heads: dict[UUID, StreamHead]
    """The heads of the subscriptions' streams after the batch."""
    outcomes: list[Outcome] = []
    """One outcome a command, in order; fewer where the batch came to `EVENT_LIMIT`."""
    recorded: list[AnyRecorded] = []
    charges: dict[Generation, RecordedCharge] = {}
    disputes: dict[UUID, DisputeHead] = {}
    refusals: list[RefusalRow] = []
    records_by_key: dict[tuple[str, str], IdempotencyRecord] = {}
    defects: list[tuple[AnyCommand, Exception]] = []
    """The commands that met a defect, each with what it raised."""

    def merge(self, subscription_id: UUID, outcome: Outcome) -> None:
        """Add what the next command comes to."""
        self.outcomes.append(outcome)
        self.recorded += outcome.recorded
        if outcome.head is not None:
            self.heads[subscription_id] = outcome.head
        if outcome.charge is not None:
            self.charges[subscription_id, outcome.charge.event.generation_id] = outcome.charge
        if outcome.dispute is not None:
            self.disputes[outcome.dispute.originator_id] = outcome.dispute
        if outcome.refusal is not None:
            self.refusals.append(outcome.refusal)
        if outcome.idempotency_record is not None:
            self.records_by_key[outcome.idempotency_record.place] = outcome.idempotency_record

    def answers(self, base: int) -> list[Answer]:
        """Return the answers in order, given the position before the batch's first event."""
        return [outcome.answer(base) for outcome in self.outcomes]

    def attempts(self) -> Iterator[tuple[int, Attempt]]:
        """Yield the commands carried out in events, by place in the batch, in case the commit's outcome is lost."""
        last = 0
        for place, outcome in enumerate(self.outcomes):
            last += len(outcome.recorded)
            if outcome.is_carried_out and outcome.recorded:
                yield place, Attempt(self.recorded[last - 1].stored, partial(_answer_at, outcome.answer, last))


class Speculation(Struct, frozen=True):
    """Charges decided from cached heads without a look-up, and what the transaction has to validate for that."""

    decided: DecidedBatch
    versions: Mapping[UUID, int]
    """The version of each stream, in the order of the ids."""
    uncharged: Sequence[Generation]
    """The generations that were refused, which must not have been charged before.

    Of those that are charged the database itself makes sure, when their rows are written.
    """


def decide(submissions: Sequence[Submission], known: Known, now: datetime, catalogue: Catalogue) -> DecidedBatch:
    """Decide the commands in order, all of them or as many as fill a transaction."""
    batch = DecidedBatch(dict(known.heads))
    decider = _Decider(known, now, catalogue, batch)
    for submission in submissions:
        if len(batch.recorded) >= EVENT_LIMIT:
            break
        try:
            outcome = decider.outcome(submission)
        except Exception as defect:  # noqa: BLE001 - it is the answer of this command alone
            batch.defects.append((submission.command, defect))
            outcome = Outcome(_always(Failed(defect, may_have_happened=bool(submission.lost))))
        batch.merge(submission.subscription_id, outcome)
    return batch


def heads_to_speculate_on(
    submissions: Sequence[Submission], cached: Callable[[UUID], StreamHead | None]
) -> dict[UUID, StreamHead] | None:
    """Return the cached heads of the streams, or None where they are not enough to decide on.

    They are enough for charges, on streams that are all cached, and none of which lives by a test clock.
    """
    if not all(isinstance(each.command, ChargeGeneration) for each in submissions):
        return None
    ids = {each.subscription_id for each in submissions}
    heads = {id: head for id in ids if (head := cached(id)) is not None}
    if len(heads) < len(ids) or any(head.state.test_clock_id is not None for head in heads.values()):
        return None
    return heads


def speculate(
    submissions: Sequence[Submission], heads: Mapping[UUID, StreamHead], now: datetime, catalogue: Catalogue
) -> Speculation:
    """Decide charges from cached heads, as if no generation had been charged before."""
    decided = decide(submissions, Known(heads), now, catalogue)
    versions = {id: heads[id].version for id in sorted(heads, key=attrgetter("int"))}
    charged = decided.charges.keys()
    uncharged = [*set(generations(submissions)).difference(charged)] if len(charged) < len(submissions) else []
    return Speculation(decided, versions, uncharged)


class _Decider:
    """Decides one command after another, on what is known and on what the batch has come to so far."""

    def __init__(self, known: Known, now: datetime, catalogue: Catalogue, batch: DecidedBatch) -> None:
        self._known = known
        self._now = now
        self._catalogue = catalogue
        self._batch = batch

    def outcome(self, submission: Submission) -> Outcome:
        """Decide the next command. Whatever it raises is a defect of this command."""
        return self._earlier_answer(submission) or self._replay(submission) or self._decide(submission)

    def _earlier_answer(self, submission: Submission) -> Outcome | None:
        """Answer with an attempt that was committed after all, or with the record under the idempotency key."""
        if submission.lost and (answer := self._known.answer_of(submission.lost)) is not None:
            return Outcome(_always(answer))
        if submission.idempotency is None or (record := self._record_under_key(submission)) is None:
            return None
        if record.request_hash != submission.idempotency.request_hash:
            return Outcome(_always(Refused(IdempotencyKeyReused())))
        return Outcome(_always(Repeated(record.answer))) if record.answer else None

    def _replay(self, submission: Submission) -> Outcome | None:
        """Answer a charge whose generation was charged before."""
        command = submission.command
        if not isinstance(command, ChargeGeneration):
            return None
        if (original := self._charge((submission.subscription_id, command.generation_id))) is None:
            return None
        return Outcome(
            partial(_replayed, original, is_same_charge(original.event, command)),
            idempotency_record=self._new_record(submission, None),
        )

    def _decide(self, submission: Submission) -> Outcome:
        """Record what is due, and then decide the command on it."""
        id, command = submission.subscription_id, submission.command
        if (defect := self._known.defects.get(id)) is not None:
            raise defect
        head = self._batch.heads.get(id)
        clock_id = head.state.test_clock_id if head else getattr(command, "test_clock_id", None)
        if clock_id is not None and clock_id not in self._known.test_clocks:
            return self._refuse(submission, UnknownTestClock(clock_id))
        now = self._now if clock_id is None else self._known.test_clocks[clock_id]
        recorded: list[AnyRecorded] = []
        if head is not None:
            now, version = max(now, head.recorded_at), head.version
            at_most = DUE_AT_ONCE if isinstance(command, RecordDue) else None
            head = _record(recorded, submission, head, due_events(head.state, now, at_most), now)
            assert head is not None
            expected = submission.expected_versions
            if expected is not None and version not in expected:  # it is what reads show, whatever is due
                return self._refuse(submission, VersionMismatch(head.version), recorded, head)
        if isinstance(command, DISPUTE_COMMANDS):
            return self._decide_dispute(submission, command, recorded, head, now)
        decision = decide_subscription(head.state if head else None, command, now, self._catalogue)
        if isinstance(decision, Refusal):
            row = None
            if head is not None and isinstance(command, ChargeGeneration):
                row = RefusalRow.of(head, command, decision, now)
            return self._refuse(submission, decision, recorded, head, row)
        count = len(recorded) if isinstance(command, RecordDue) else len(decision)
        head = _record(recorded, submission, head, decision, now)
        assert head is not None
        if isinstance(command, ChargeGeneration):
            return self._charged(submission, recorded, head)
        return self._carried_out(submission, Done(id, head.state, now, count), recorded, head)

    def _decide_dispute(
        self,
        submission: Submission,
        command: DisputeCommand,
        recorded: list[AnyRecorded],
        head: StreamHead | None,
        now: datetime,
    ) -> Outcome:
        """Decide a command on a dispute; what it does to the charge is recorded on the subscription's stream."""
        if head is None:
            return self._refuse(submission, UnknownSubscription())
        charge = self._charge((submission.subscription_id, command.generation_id))
        if charge is not None and charge.stored.position is None:
            charge = None  # it was made in this very batch and is not answered yet
        disputed = None
        if charge is not None:
            version = charge.stored.originator_version
            has_open_dispute = self._has_open_dispute((submission.subscription_id, command.generation_id))
            disputed = DisputedCharge(
                submission.subscription_id, charge.event, version, charge.is_reversed, has_open_dispute
            )
        dispute = self._batch.disputes.get(command.dispute_id) or self._known.dispute(command.dispute_id)
        decided = decide_dispute(
            dispute.state if dispute else None, command, disputed, head.state, now, self._catalogue
        )
        if isinstance(decided, Refusal):
            return self._refuse(submission, decided, recorded, head)
        head = _record(recorded, submission, head, decided.on_subscription, now)
        for event in decided.on_dispute:
            of_dispute = next_dispute_event(command.dispute_id, dispute, event, submission.metadata, now)
            dispute = extend_dispute(dispute, (of_dispute,))
            recorded.append(of_dispute)
        assert head is not None
        assert dispute is not None
        assert charge is not None
        if decided.on_subscription:
            charge = replace(charge, is_reversed=True)
        answer = Disputed(dispute.view(charge.view()), is_new=isinstance(command, OpenDispute))
        return self._carried_out(submission, answer, recorded, head, charge, dispute)

    def _charged(self, submission: Submission, recorded: list[AnyRecorded], head: StreamHead) -> Outcome:
        last = recorded[-1]
        assert isinstance(last.event, GenerationCharged)
        charge = RecordedCharge(last.stored, last.event, ordinal=len(self._batch.recorded) + len(recorded))
        return Outcome(
            lambda base: Charged(charge.view(base)),
            recorded,
            head,
            is_carried_out=True,
            charge=charge,
            idempotency_record=self._new_record(submission, None),
        )

    def _carried_out(
        self,
        submission: Submission,
        answer: Answer,
        recorded: list[AnyRecorded],
        head: StreamHead,
        charge: RecordedCharge | None = None,
        dispute: DisputeHead | None = None,
    ) -> Outcome:
        return Outcome(
            _always(answer),
            recorded,
            head,
            is_carried_out=True,
            charge=charge,
            dispute=dispute,
            idempotency_record=self._new_record(submission, answer),
        )

    def _refuse(
        self,
        submission: Submission,
        refusal: Refusal,
        recorded: Sequence[AnyRecorded] = (),
        head: StreamHead | None = None,
        row: RefusalRow | None = None,
    ) -> Outcome:
        record = self._new_record(submission, None)
        return Outcome(_always(Refused(refusal)), recorded, head, refusal=row, idempotency_record=record)

    def _charge(self, generation: Generation) -> RecordedCharge | None:
        return self._batch.charges.get(generation) or self._known.charge(generation)

    def _has_open_dispute(self, generation: Generation) -> bool:
        """Whether a charge has an open dispute, by what is stored and what the batch has come to so far."""
        of_batch = self._batch.disputes
        return any(
            each.state.status == "open" and (each.state.subscription_id, each.state.generation_id) == generation
            for each in of_batch.values()
        ) or any(
            stored == generation and dispute_id not in of_batch
            for dispute_id, stored in self._known.open_disputes.items()
        )

    def _record_under_key(self, submission: Submission) -> IdempotencyRecord | None:
        assert submission.idempotency is not None
        place = submission.metadata.key_id, submission.idempotency.key
        return self._batch.records_by_key.get(place) or self._known.idempotency_records.get(place)

    def _new_record(self, submission: Submission, answer: Answer | None) -> IdempotencyRecord | None:
        """Make the record to store under the command's key, if it has one and there is something new to store.

        A record without an answer only guards the key against another request: a charge is repeatable by its generation
        id, and what was refused is decided anew.
        """
        key = submission.idempotency
        if key is None or (answer is None and self._record_under_key(submission) is not None):
            return None
        rendered = b"" if answer is None else key.render(answer)
        return IdempotencyRecord(submission.metadata.key_id, key.key, key.request_hash, rendered, self._now)


def _record(
    recorded: list[AnyRecorded], submission: Submission, head: StreamHead | None, events: Iterable[Event], now: datetime
) -> StreamHead | None:
    """Append the events to `recorded` as the next of the subscription's stream; return the head that they leave."""
    for event in events:
        each = next_event(submission.subscription_id, head, event, submission.metadata, now)
        head = extend(head, (each,))
        recorded.append(each)
    return head


def _always(answer: Answer) -> PendingAnswer:
    return lambda _base: answer


def _replayed(original: RecordedCharge, is_same: bool, base: int) -> Answer:
    charge = original.view(base)
    return Charged(charge, is_replay=True) if is_same else Refused(GenerationIdConflict(charge))


def _answer_at(answer: PendingAnswer, last: int, position: int) -> Answer:
    """Answer, given the position of the command's own last event, which is the batch's event number `last`."""
    return answer(position - last)
