"""What is stored of everything that a batch of commands is about: what `lookups` reads, and `deciding` decides on."""

from collections.abc import Iterable, Mapping, Sequence
from datetime import datetime
from types import MappingProxyType
from typing import Any
from uuid import UUID

from msgspec import Struct

from services.idempotency import IdempotencyRecord
from services.ledger.mapper import fold_disputes, read_generation
from services.ledger.records import ChainedEvent, DisputeHead, RecordedCharge, RecordedHold, StreamHead
from services.ledger.submission import Answer, Attempt, Generation

_NOTHING: Mapping[Any, Any] = MappingProxyType({})


class Known(Struct, frozen=True):
    """What is stored of everything that a batch is about; what is missing here does not exist."""

    heads: Mapping[UUID, StreamHead]
    defects: Mapping[UUID, Exception] = _NOTHING
    """The streams that cannot be read, each with the reason."""
    generations: Mapping[Generation, Sequence[ChainedEvent]] = _NOTHING
    """The events of charges and holds, and of what became of them."""
    disputes: Mapping[UUID, Sequence[ChainedEvent]] = _NOTHING
    """The events of disputes, in order."""
    open_disputes: Mapping[UUID, Generation] = _NOTHING
    """The generation that each open dispute is about."""
    idempotency_records: Mapping[tuple[str, str], IdempotencyRecord] = _NOTHING
    """The records by their `place`."""
    positions: Mapping[bytes, int] = _NOTHING
    """The positions by hash of those events that a commit with a lost outcome stored after all."""
    test_clocks: Mapping[str, datetime] = _NOTHING
    """The readings of test clocks."""

    def charge(self, generation: Generation) -> RecordedCharge | None:
        """Return an earlier charge. Raises UnreadableEvent."""
        return read_generation(self.generations.get(generation, ()))[0]

    def hold(self, generation: Generation) -> RecordedHold | None:
        """Return an earlier hold. Raises UnreadableEvent."""
        return read_generation(self.generations.get(generation, ()))[1]

    def dispute(self, dispute_id: UUID) -> DisputeHead | None:
        """Return the head of a dispute. Raises UnreadableEvent."""
        return fold_disputes(self.disputes.get(dispute_id, ())).get(dispute_id)

    def answer_of(self, attempts: Iterable[Attempt]) -> Answer | None:
        """Return the answer of the first attempt that was committed after all, though its outcome was lost."""
        for attempt in attempts:
            if (position := self.positions.get(attempt.event.hash)) is not None:
                return attempt.answer(position)
        return None
