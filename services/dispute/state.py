"""Folds the events of a dispute into its state."""

from collections.abc import Iterable
from typing import Literal, assert_never
from uuid import UUID

from msgspec import Struct
from msgspec.structs import replace

from services.dispute.events import DisputeEvent, DisputeOpened, DisputeResolved, Reason

Status = Literal["open", "upheld", "rejected"]


class Dispute(Struct, frozen=True):
    """A dispute as its events leave it; `resolution` is None while it is open."""

    subscription_id: UUID
    generation_id: str
    charge_version: int
    reason: Reason
    note: str
    version: int = 1
    resolution: DisputeResolved | None = None

    @property
    def status(self) -> Status:
        """The outcome, or `open` until there is one."""
        return "open" if self.resolution is None else self.resolution.outcome


def evolve(state: Dispute | None, event: DisputeEvent) -> Dispute:
    """Return the state after one event. It records the event and decides nothing. Raises ValueError without a start."""
    match event:
        case DisputeOpened():
            return Dispute(
                subscription_id=event.subscription_id,
                generation_id=event.generation_id,
                charge_version=event.charge_version,
                reason=event.reason,
                note=event.note,
            )
        case DisputeResolved():
            if state is None:
                raise ValueError("a dispute begins with DisputeOpened, not DisputeResolved")
            return replace(state, version=state.version + 1, resolution=event)
        case _:
            assert_never(event)


def fold(events: Iterable[DisputeEvent]) -> Dispute | None:
    """Return the state after all the events; None where there are none."""
    state = None
    for event in events:
        state = evolve(state, event)
    return state
