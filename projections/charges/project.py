"""From an event to the row of its charge."""

from msgspec import Struct

from projections.declaration import EventRows, StreamEvent
from services.subscription.events import ChargeReversed, GenerationCharged


class ChargeRow(Struct, frozen=True):
    """A new row: a generation that was charged, at `version` of its stream."""

    version: int
    generation_id: str


class ReversedCharge(Struct, frozen=True):
    """A changed row: the charge was given back at a version of the stream."""

    generation_id: str
    reversed_in_version: int


def project(each: StreamEvent) -> ChargeRow | ReversedCharge | None:
    """What an event does to the table."""
    match each.event:
        case GenerationCharged(generation_id=generation_id):
            return ChargeRow(each.version, generation_id)
        case ChargeReversed(generation_id=generation_id):
            return ReversedCharge(generation_id, each.version)
        case _:
            return None


CHARGES = EventRows(
    table="charges",
    row=ChargeRow,
    key=("generation_id",),
    events=frozenset((GenerationCharged, ChargeReversed)),
    project=project,
    changes=(ReversedCharge,),
)
