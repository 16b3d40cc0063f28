"""What the commands of a batch come to: the answers, and the rows to write. Pure."""

from collections.abc import Callable, Iterator, Sequence
from functools import partial
from uuid import UUID

from msgspec import Struct

from services.idempotency import IdempotencyRecord
from services.ledger.records import AnyRecorded, DisputeHead, RecordedCharge, RecordedHold, RefusalRow, StreamHead
from services.ledger.submission import Answer, AnyCommand, Attempt, Generation

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
    hold: RecordedHold | None = None
    """The hold that was made or released, as the command leaves it."""
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
    holds: dict[Generation, RecordedHold] = {}
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
        if outcome.hold is not None:
            self.holds[subscription_id, outcome.hold.event.generation_id] = outcome.hold
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


def _answer_at(answer: PendingAnswer, last: int, position: int) -> Answer:
    """Answer, given the position of the command's own last event, which is the batch's event number `last`."""
    return answer(position - last)
