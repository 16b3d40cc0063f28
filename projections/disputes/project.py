"""The row of `disputes`: where a dispute is recorded, and where it stands."""

from datetime import datetime
from uuid import UUID

from msgspec import Struct

from projections.declaration import EventRows, LedgerEvent
from services.dispute.events import DisputeOpened, DisputeResolved, Reason
from services.dispute.state import Status


class DisputeRow(Struct, frozen=True):
    """The row of a dispute that was opened at `position`; `version` is that of its last event."""

    position: int
    version: int
    opened_at: datetime
    subscription_id: UUID
    generation_id: str
    reason: Reason
    status: Status


class DisputeResolution(Struct, frozen=True):
    """The change of a row whose dispute was resolved at `version` of its stream."""

    version: int
    status: Status


def project(each: LedgerEvent) -> DisputeRow | DisputeResolution | None:
    """Make the row of a dispute, or the change that its resolution brings; None for any other event."""
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
            return DisputeResolution(each.version, event.outcome)
        case _:
            return None


DISPUTES = EventRows(
    table="disputes",
    stream="dispute_id",
    row=DisputeRow,
    events=frozenset((DisputeOpened, DisputeResolved)),
    project=project,
    changes=(DisputeResolution,),
)
