"""The row of `movements`: what an event moves."""

from datetime import datetime

from msgspec import Struct

from projections.declaration import EventRows, LedgerEvent
from services.subscription.movements import MOVING_EVENTS, movements_of


class MovementRow(Struct, frozen=True, gc=False):
    """What the event at a position moved; held and left are changes. A row adds up, as `Movements` says."""

    position: int
    recorded_at: datetime
    granted_credits: int
    used_credits: int
    reversed_credits: int
    lapsed_credits: int
    held_credits: int
    left_credits: int


def project(each: LedgerEvent) -> MovementRow | None:
    """Make the row of an event; None for one that moves no credits."""
    moved = movements_of(each.event)
    if moved is None:
        return None
    return MovementRow(
        each.position,
        each.recorded_at,
        moved.granted_credits,
        moved.used_credits,
        moved.reversed_credits,
        moved.lapsed_credits,
        moved.held_credits,
        moved.left_credits,
    )


MOVEMENTS = EventRows(
    table="movements",
    row=MovementRow,
    key=("position",),
    events=MOVING_EVENTS,
    project=project,
)
