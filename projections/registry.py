"""Every projection there is: a line each."""

from projections.balance.project import BALANCE
from projections.charges.project import CHARGES
from projections.declaration import AnyProjection, CatchUp, EventRows, StateRows, StreamEvent
from projections.disputes.project import DISPUTES
from projections.renewal.project import RENEWAL
from projections.usage.project import USAGE

STATES: tuple[StateRows, ...] = (BALANCE, RENEWAL)
"""Inline, in the transaction of the events: from the state that a subscription's events fold to."""

INLINE_ROWS: tuple[EventRows[StreamEvent], ...] = (CHARGES,)
"""Inline: from single events."""

CATCH_UP: tuple[CatchUp, ...] = (
    USAGE,
    DISPUTES,
)
"""A moment behind the events: what the projector writes."""

INLINE: tuple[StateRows | EventRows[StreamEvent], ...] = (*STATES, *INLINE_ROWS)
PROJECTIONS: tuple[AnyProjection, ...] = (*INLINE, *CATCH_UP)
