"""The row of `charges`: where a charge is recorded, and where its reversal is."""

from msgspec import Struct

from projections.declaration import EventRows, StreamEvent
from services.subscription.events import ChargeReversed, GenerationCharged


class ChargeRow(Struct, frozen=True):
    """The new row of a generation that was charged at `version` of its stream."""

    version: int
    generation_id: str


class ChargeReversal(Struct, frozen=True):
    """The change of a row whose charge was reversed at a version of the stream."""

    generation_id: str
    reversed_in_version: int


def project(each: StreamEvent) -> ChargeRow | ChargeReversal | None:
    """Make the row of a charge, or the change that a reversal brings; None for any other event."""
    match each.event:
        case GenerationCharged(generation_id=generation_id):
            return ChargeRow(each.version, generation_id)
        case ChargeReversed(generation_id=generation_id):
            return ChargeReversal(generation_id, each.version)
        case _:
            return None


CHARGES = EventRows(
    table="charges",
    row=ChargeRow,
    key=("generation_id",),
    events=frozenset((GenerationCharged, ChargeReversed)),
    project=project,
    changes=(ChargeReversal,),
)
