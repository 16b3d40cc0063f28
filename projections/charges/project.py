"""The row of `charges`: where the id of a generation was taken, by a charge or a hold, and what became of it."""

from msgspec import Struct

from projections.declaration import EventRows, StreamEvent
from services.subscription.events import ChargeReversed, CreditsHeld, GenerationCharged, HoldReleased


class ChargeRow(Struct, frozen=True):
    """The new row of a generation that was charged, or held, at `version` of its stream."""

    version: int
    generation_id: str


class Capture(Struct, frozen=True):
    """The change of a row whose hold was captured: the charge is at that version of the stream."""

    generation_id: str
    captured_in_version: int


class Release(Struct, frozen=True):
    """The change of a row whose hold was released."""

    generation_id: str
    released_in_version: int


class Expiry(Struct, frozen=True):
    """The change of a row whose hold expired."""

    generation_id: str
    expired_in_version: int


class ChargeReversal(Struct, frozen=True):
    """The change of a row whose charge was reversed at a version of the stream."""

    generation_id: str
    reversed_in_version: int


AnyRow = ChargeRow | Capture | Release | Expiry | ChargeReversal


def project(each: StreamEvent) -> AnyRow | None:
    """Make the row of a charge or hold, or the change that a later event brings; None for any other event."""
    match each.event:
        case GenerationCharged(generation_id=generation_id, held_credits=None):
            return ChargeRow(each.version, generation_id)
        case GenerationCharged(generation_id=generation_id):
            return Capture(generation_id, each.version)
        case CreditsHeld(generation_id=generation_id):
            return ChargeRow(each.version, generation_id)
        case HoldReleased(generation_id=generation_id, cause="released"):
            return Release(generation_id, each.version)
        case HoldReleased(generation_id=generation_id):
            return Expiry(generation_id, each.version)
        case ChargeReversed(generation_id=generation_id):
            return ChargeReversal(generation_id, each.version)
        case _:
            return None


CHARGES = EventRows(
    table="charges",
    row=ChargeRow,
    key=("generation_id",),
    events=frozenset((GenerationCharged, CreditsHeld, HoldReleased, ChargeReversed)),
    project=project,
    changes=(Capture, Release, Expiry, ChargeReversal),
)
