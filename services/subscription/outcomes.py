"""Compares what became of a command with what would have become of it. Pure."""

from collections.abc import Hashable, Iterator, Sequence

from msgspec import Struct
from msgspec.structs import replace

from services.subscription.events import (
    ChargeReversed,
    CreditsAdjusted,
    CreditsHeld,
    CycleReset,
    Event,
    GenerationCharged,
    HoldReleased,
    TermRenewed,
)
from services.subscription.recorded_commands import RecordedEvent


class ChargeRefused(Struct, frozen=True, omit_defaults=True):
    """An outcome: the charge is refused with this code, at this balance."""

    code: str
    balance_credits: int
    required_credits: int | None = None


class ChargeRepeated(Struct, frozen=True):
    """An outcome: the generation is charged already, so that this request charges nothing."""


ReplayOutcome = Event | ChargeRefused | ChargeRepeated


def is_same(actual: ReplayOutcome | None, replayed: ReplayOutcome | None) -> bool:
    """Whether a replay came to the recorded outcome."""
    if isinstance(actual, ChargeRefused) and isinstance(replayed, ChargeRefused):
        return actual.code == replayed.code
    return _without_balance(actual) == _without_balance(replayed)


def _without_balance(outcome: ReplayOutcome | None) -> ReplayOutcome | None:
    """Return an outcome without what follows from the balance before it: what is left after it, and alerts."""
    match outcome:
        case GenerationCharged():
            return replace(outcome, balance_after=0, alerts=())
        case CreditsHeld():
            return replace(outcome, available_after=0, alerts=())
        case ChargeReversed():
            return replace(outcome, balance_after=0)
        case CreditsAdjusted():
            return replace(outcome, cycle_number=None, alerts=())
        case _:
            return outcome


def paired(
    actual: Sequence[RecordedEvent], replayed: Sequence[Event]
) -> Iterator[tuple[RecordedEvent | None, Event | None]]:
    """Pair the boundaries of both sides: those of cycles by their instants, expiries by generation.

    A change may keep an upgrade from being made, and then the two sides have other cycles.
    """
    remaining = {_key(event): event for event in replayed}
    for each in actual:
        yield each, remaining.pop(_key(each.event), None)
    for event in remaining.values():
        yield None, event


def _key(boundary: Event) -> Hashable:
    match boundary:
        case CycleReset():
            return CycleReset, boundary.cycle.starts_at
        case TermRenewed():
            return TermRenewed, boundary.term.starts_at
        case HoldReleased():
            return HoldReleased, boundary.generation_id
        case _:
            return type(boundary)
