"""Makes the row of a dispute from its opening, and changes it by its resolution."""

from uuid import UUID

from msgspec import Struct

from projections.declaration import EventRows, StreamEvent
from services.dispute.events import DisputeOpened, DisputeResolved


class DisputedChargeRow(Struct, frozen=True):
    """A new row: the charge that a dispute is about."""

    subscription_id: UUID
    generation_id: str


class Resolution(Struct, frozen=True):
    """A changed row: the dispute was resolved, at that version of its stream."""

    resolved_in_version: int


def project(each: StreamEvent) -> DisputedChargeRow | Resolution | None:
    """Return the new row or the change that an event makes; None where it is not about a dispute."""
    match each.event:
        case DisputeOpened(subscription_id=subscription_id, generation_id=generation_id):
            return DisputedChargeRow(subscription_id, generation_id)
        case DisputeResolved():
            return Resolution(each.version)
        case _:
            return None


DISPUTED_CHARGES = EventRows(
    table="disputed_charges",
    stream="dispute_id",
    row=DisputedChargeRow,
    events=frozenset((DisputeOpened, DisputeResolved)),
    project=project,
    changes=(Resolution,),
)
