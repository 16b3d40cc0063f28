"""From an event of a dispute to the row of its dispute."""

from datetime import datetime
from uuid import UUID

from msgspec import Struct

from projections.declaration import EventRows, LedgerEvent
from services.dispute.events import DisputeOpened, DisputeResolved, Reason
from services.dispute.state import Status


class DisputeRow(Struct, frozen=True):
    """A new row: a dispute that was opened, at `position` of the ledger. `version` is that of its last event."""

    position: int
    version: int
    opened_at: datetime
    subscription_id: UUID
    generation_id: str
    reason: Reason
    status: Status


class ResolvedDispute(Struct, frozen=True):
    """A changed row: where the dispute stands now, as of `version` of its stream."""

    version: int
    status: Status


def project(each: LedgerEvent) -> DisputeRow | ResolvedDispute | None:
    """What an event does to the table."""
    event = each.event
    match event:
        case DisputeOpened():
            return DisputeRow(
                position=each.position,
                version=each.version,
                opened_at=each.recorded_at,
                subscription_id=event.subscription_id,
                generation_id=event.generation_id,
                reason=event.reason,
                status="open",
            )
        case DisputeResolved():
            return ResolvedDispute(each.version, event.outcome)
        case _:
            return None


DISPUTES = EventRows(
    table="disputes",
    stream="dispute_id",
    row=DisputeRow,
    events=frozenset((DisputeOpened, DisputeResolved)),
    project=project,
    changes=(ResolvedDispute,),
)
