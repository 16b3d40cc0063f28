"""From an event to the row of its charge."""

from msgspec import Struct

from services.subscription.events import ChargeReversed, Event, GenerationCharged


class ChargeRow(Struct, frozen=True):
    """A new row: a generation that was charged, at `version` of its stream."""

    generation_id: str
    version: int


class ReversedCharge(Struct, frozen=True):
    """A changed row: the version of the stream at which the charge was given back."""

    generation_id: str
    version: int


def project(event: Event, version: int) -> ChargeRow | ReversedCharge | None:
    """What an event does to the table; None for most."""
    match event:
        case GenerationCharged():
            return ChargeRow(event.generation_id, version)
        case ChargeReversed():
            return ReversedCharge(event.generation_id, version)
        case _:
            return None
