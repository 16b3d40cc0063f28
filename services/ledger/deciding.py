"""Decides a batch of commands: pure, from what is known, the instant and the catalogue.

Commands are decided in order, each on what the ones before it leave. A refusal, a replay or a defect is an answer like
any other. The outcome of a command is merged into the batch as a whole, so a defect leaves nothing behind.
"""

from collections.abc import Callable, Iterable, Mapping, Sequence
from datetime import datetime
from operator import attrgetter
from uuid import UUID

from msgspec import Struct
from msgspec.structs import replace

from projections.charges.view import Reversal
from projections.holds.view import Hold
from services.catalogue import Catalogue
from services.dispute.commands import DISPUTE_COMMANDS, DisputeCommand, OpenDispute
from services.dispute.decide import DisputedCharge
from services.dispute.decide import decide as decide_dispute
from services.idempotency import IdempotencyKeyReused, IdempotencyRecord
from services.ledger.known import Known
from services.ledger.mapper import next_dispute_event, next_event
from services.ledger.outcomes import DecidedBatch, Outcome, PendingAnswer
from services.ledger.records import (
    STATE_REFUSALS,
    STORED_REFUSALS,
    AnyRecorded,
    DisputeHead,
    RecordedCharge,
    RecordedHold,
    RefusalRow,
    StreamHead,
    extend,
    extend_dispute,
)
from services.ledger.replays import replayed
from services.ledger.submission import (
    BY_GENERATION,
    Answer,
    Charged,
    DecidedOn,
    Disputed,
    Done,
    Failed,
    Generation,
    Held,
    Refused,
    Released,
    Repeated,
    Submission,
    UnknownTestClock,
    generations,
)
from services.subscription.boundaries import due_events
from services.subscription.commands import CaptureHold, ChargeGeneration, HoldCredits, RecordDue, ReleaseHold
from services.subscription.decide import decide as decide_subscription
from services.subscription.events import ChargeReversed, CreditsHeld, Event, GenerationCharged, HoldReleased
from services.subscription.refusals import (
    HoldExpired,
    HoldWasReleased,
    Refusal,
    UnknownHold,
    UnknownSubscription,
    VersionMismatch,
)

EVENT_LIMIT = 10_000
"""A batch with so many events decides no further command. A subscription whose clock moved on by centuries has
thousands that are due; so one transaction stays within bounds of memory and time."""

DUE_AT_ONCE = 1_000
"""`RecordDue` records so many boundaries; the rest stays due. Before any other command, all of them are recorded."""

_PAYMENTS = (ChargeGeneration, HoldCredits, CaptureHold)
"""Commands that ask for credits. A cached head is all that they need, and their refusals are kept."""


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

    They are enough for charges, holds and captures, on streams that are all cached, and none of which lives by a test
    clock. What is to be captured must be asked for once: a second request is answered with its hold, which no head has.
    """
    if not all(isinstance(each.command, _PAYMENTS) for each in submissions):
        return None
    if any(isinstance(each.command, CaptureHold) for each in submissions) and _has_twice(generations(submissions)):
        return None
    ids = {each.subscription_id for each in submissions}
    heads = {id: head for id in ids if (head := cached(id)) is not None}
    if len(heads) < len(ids) or any(head.state.test_clock_id is not None for head in heads.values()):
        return None
    return heads


def _has_twice(sought: Sequence[Generation]) -> bool:
    return len(set(sought)) < len(sought)


def speculate(
    submissions: Sequence[Submission], heads: Mapping[UUID, StreamHead], now: datetime, catalogue: Catalogue
) -> Speculation:
    """Decide from cached heads, as if no generation had been charged or held before but for the open holds."""
    decided = decide(submissions, Known(heads), now, catalogue)
    versions = {id: heads[id].version for id in sorted(heads, key=attrgetter("int"))}
    written = decided.charges.keys() | decided.holds.keys() if decided.holds else decided.charges.keys()
    uncharged = [*set(generations(submissions)).difference(written)] if len(written) < len(submissions) else []
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
        """Answer a request under an id that was taken before, by the same request or another one."""
        command = submission.command
        if not isinstance(command, BY_GENERATION):
            return None
        generation = submission.subscription_id, command.generation_id
        charge, hold = self._charge(generation), self._hold(generation)
        answer = replayed(command, charge, hold, self._now_on(submission.subscription_id))
        return None if answer is None else Outcome(answer, idempotency_record=self._new_record(submission, None))

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
        if isinstance(decision, UnknownHold):
            decision = self._why_not_held(submission, decision)
        if isinstance(decision, Refusal):
            row = None
            if head is not None and isinstance(command, _PAYMENTS) and isinstance(decision, STORED_REFUSALS):
                row = RefusalRow.of(head, command, decision, now)
            return self._refuse(submission, decision, recorded, head, row)
        count = len(recorded) if isinstance(command, RecordDue) else len(decision)
        head = _record(recorded, submission, head, decision, now)
        assert head is not None
        if isinstance(command, ChargeGeneration | CaptureHold):
            return self._charged(submission, recorded, head)
        if isinstance(command, HoldCredits | ReleaseHold):
            return self._held(submission, recorded, head, now)
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
                submission.subscription_id, charge.event, version, charge.reversal is not None, has_open_dispute
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
        for reversed_ in decided.on_subscription:
            assert isinstance(reversed_, ChargeReversed)
            charge = replace(charge, reversal=Reversal(reversed_.credits, now, reversed_.dispute_id))
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

    def _held(self, submission: Submission, recorded: list[AnyRecorded], head: StreamHead, now: datetime) -> Outcome:
        last = recorded[-1]
        if isinstance(last.event, CreditsHeld):
            hold = RecordedHold(last.stored, last.event, ordinal=len(self._batch.recorded) + len(recorded))
            answer: Callable[[Hold], Answer] = Held
        else:
            assert isinstance(last.event, HoldReleased)
            known = self._hold((submission.subscription_id, last.event.generation_id))
            assert known is not None, "it is in the state, so that it is stored or of this batch"
            hold, answer = replace(known, status="released", cycle_number=last.event.cycle_number), Released
        return Outcome(
            lambda base: answer(hold.view(now, base)),
            recorded,
            head,
            is_carried_out=True,
            hold=hold,
            idempotency_record=self._new_record(submission, None),
        )

    def _why_not_held(self, submission: Submission, refusal: UnknownHold) -> Refusal:
        """Say what became of a hold that is not open, the boundaries included that are recorded with the command."""
        hold = self._hold((submission.subscription_id, refusal.generation_id))
        if hold is None or hold.status == "captured":
            return refusal
        return (
            HoldWasReleased(refusal.generation_id) if hold.status == "released" else HoldExpired(refusal.generation_id)
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
        decided_on = None
        if head is not None and isinstance(refusal, STATE_REFUSALS):
            decided_on = DecidedOn(head.version, head.state.balance_credits)
        return Outcome(_always(Refused(refusal, decided_on)), recorded, head, refusal=row, idempotency_record=record)

    def _charge(self, generation: Generation) -> RecordedCharge | None:
        return self._batch.charges.get(generation) or self._known.charge(generation)

    def _hold(self, generation: Generation) -> RecordedHold | None:
        """Return an earlier hold, as the batch has left it so far."""
        hold = self._batch.holds.get(generation) or self._known.hold(generation)
        head = self._batch.heads.get(generation[0])
        if hold is None or hold.status != "held" or head is None:
            return hold
        if (held := head.state.hold_of(generation[1])) is not None:
            return replace(hold, cycle_number=held.cycle_number)
        if (charge := self._batch.charges.get(generation)) is not None:
            return replace(hold, status="captured", cycle_number=charge.event.cycle_number, charge=charge)
        return replace(hold, status="expired")  # recorded in this batch, with another command

    def _now_on(self, subscription_id: UUID) -> datetime:
        """Return the instant that it is for a subscription."""
        head = self._batch.heads.get(subscription_id)
        clock_id = head.state.test_clock_id if head else None
        return self._now if clock_id is None else self._known.test_clocks.get(clock_id, self._now)

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
