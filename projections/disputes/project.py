"""From an event of a dispute to the row of its dispute."""

from datetime import datetime
from uuid import UUID

from msgspec import Struct

from services.dispute.events import DisputeOpened, DisputeResolved, Reason
from services.dispute.state import Status


class OpenedDispute(Struct, frozen=True):
    """A new row: a dispute that was opened, at `position` of the ledger."""

    dispute_id: UUID
    subscription_id: UUID
    generation_id: str
    reason: Reason
    opened_at: datetime
    position: int


class ResolvedDispute(Struct, frozen=True):
    """A changed row: where the dispute stands now, as of `version` of its stream."""

    dispute_id: UUID
    status: Status
    version: int


def opened(dispute_id: UUID, event: DisputeOpened, opened_at: datetime, position: int) -> OpenedDispute:
    """The row that an opening adds."""
    return OpenedDispute(
        dispute_id=dispute_id,
        subscription_id=event.subscription_id,
        generation_id=event.generation_id,
        reason=event.reason,
        opened_at=opened_at,
        position=position,
    )


def resolved(dispute_id: UUID, event: DisputeResolved, version: int) -> ResolvedDispute:
    """What a resolution changes."""
    return ResolvedDispute(dispute_id, event.outcome, version)
