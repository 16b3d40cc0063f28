"""A ledger without a database: it decides batches as a transaction does, and stores what they leave in memory."""

from collections.abc import Callable, Collection, Iterable
from datetime import datetime
from uuid import UUID

from msgspec.structs import replace

from services.catalogue import Catalogue
from services.dispute.commands import DisputeCommand
from services.idempotency import IdempotencyRecord
from services.ledger.deciding import decide
from services.ledger.known import Known
from services.ledger.mapper import fold_disputes, read_event
from services.ledger.outcomes import DecidedBatch
from services.ledger.records import ChainedEvent, Metadata, RefusalRow, StreamHead
from services.ledger.submission import Answer, AnyCommand, Generation, IdempotencyKey, Submission
from services.subscription.commands import ChargeGeneration, StartSubscription
from services.subscription.events import ChargeReversed, CreditsHeld, GenerationCharged, HoldReleased

BY = Metadata("key-1", "request-1")
STARTER = "ai-starter-16500-monthly"  # 110 tracks of Lyria 3, at 150 credits each
SMALL = "ai-starter-7500-monthly"  # no music
LARGEST = "max-pro-240000-yearly"
TRACK_CREDITS = 150


def track(generation_id: str) -> ChargeGeneration:
    """Make a charge for one track of Lyria 3."""
    return ChargeGeneration(generation_id, "lyria-3")


def render(answer: Answer) -> bytes:
    """Write an answer down as a caller would."""
    return repr(answer).encode()


def key(name: str = "key", request: bytes = b"request") -> IdempotencyKey:
    """Make an idempotency key that came with a request."""
    return IdempotencyKey(name, request, render)


def submit(
    subscription_id: UUID,
    command: AnyCommand | DisputeCommand,
    *,
    by: Metadata = BY,
    expected_versions: Collection[int] | None = None,
    idempotency: IdempotencyKey | None = None,
) -> Submission:
    """Make a submission whose answer nobody waits for."""
    return Submission(subscription_id, command, by, lambda *_: None, expected_versions, idempotency)


_ON_GENERATIONS = {kind.__name__ for kind in (GenerationCharged, CreditsHeld, HoldReleased, ChargeReversed)}


class InMemoryLedger:
    """Stores streams, refusals and idempotency records, and knows all of them when it decides."""

    def __init__(self, catalogue: Catalogue, clock: Callable[[], datetime]) -> None:
        self.catalogue = catalogue
        self.clock = clock
        self.heads: dict[UUID, StreamHead] = {}
        self.events: list[ChainedEvent] = []
        self.refusals: list[RefusalRow] = []
        self.records: dict[tuple[str, str], IdempotencyRecord] = {}
        self.test_clocks: dict[str, datetime] = {}

    def known(self) -> Known:
        """Return everything that is stored."""
        return Known(
            dict(self.heads),
            generations=self._generations(),
            disputes=self._streams(),
            open_disputes=self._open_disputes(),
            idempotency_records=dict(self.records),
            positions={event.hash: event.position or 0 for event in self.events},
            test_clocks=dict(self.test_clocks),
        )

    def decide(self, *submissions: Submission, known: Known | None = None) -> DecidedBatch:
        """Decide a batch, by default on everything that is stored."""
        return decide(submissions, known or self.known(), self.clock(), self.catalogue)

    def commit(self, batch: DecidedBatch) -> list[Answer]:
        """Store what a batch came to; return its answers."""
        base = len(self.events)
        self.events += [
            replace(each.stored, position=position) for position, each in enumerate(batch.recorded, start=base + 1)
        ]
        self.heads |= batch.heads
        self.refusals += batch.refusals
        for place in self.records.keys() & batch.records_by_key.keys():
            assert not self.records[place].answer, "an answer is recorded once"
        self.records |= batch.records_by_key
        return batch.answers(base)

    def put(self, *submissions: Submission) -> list[Answer]:
        """Decide a batch and commit it; return its answers."""
        return self.commit(self.decide(*submissions))

    def put_each(self, submissions: Iterable[Submission]) -> list[Answer]:
        """Decide and commit each command in a batch of its own."""
        return [answer for each in submissions for answer in self.put(each)]

    def start(self, plan_id: str = STARTER, *, test_clock_id: str | None = None) -> UUID:
        """Start a subscription; return its id."""
        id = UUID(int=len(self.heads) + 1)
        self.put(submit(id, StartSubscription(f"account-{id.int}", plan_id, test_clock_id)))
        return id

    def types(self, stream_id: UUID) -> list[str]:
        """Return the types of a stream's events, in order."""
        return [event.topic for event in self.events if event.originator_id == stream_id]

    def _streams(self) -> dict[UUID, list[ChainedEvent]]:
        streams: dict[UUID, list[ChainedEvent]] = {}
        for event in self.events:
            streams.setdefault(event.originator_id, []).append(event)
        return streams

    def _open_disputes(self) -> dict[UUID, Generation]:
        disputes = fold_disputes(event for stream in self._streams().values() for event in stream)
        states = {id: head.state for id, head in disputes.items() if head.state.status == "open"}
        return {id: (state.subscription_id, state.generation_id) for id, state in states.items()}

    def _generations(self) -> dict[Generation, list[ChainedEvent]]:
        generations: dict[Generation, list[ChainedEvent]] = {}
        for stored in self.events:
            if stored.topic not in _ON_GENERATIONS:
                continue
            event = read_event(stored).event
            assert isinstance(event, GenerationCharged | CreditsHeld | HoldReleased | ChargeReversed)
            events = generations.setdefault((stored.originator_id, event.generation_id), [])
            assert stored.topic not in {each.topic for each in events}, "a generation is charged and reversed once"
            events.append(stored)
        return generations
