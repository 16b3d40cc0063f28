"""The list of all projections."""

from projections.balance.project import BALANCE
from projections.charges.project import CHARGES
from projections.cycles.project import CYCLES
from projections.declaration import AnyProjection, CatchUp, EventRows, StateRows, StreamEvent
from projections.disputed_charges.project import DISPUTED_CHARGES
from projections.disputes.project import DISPUTES
from projections.movements.project import MOVEMENTS
from projections.renewal.project import RENEWAL
from projections.usage.project import USAGE

STATES: tuple[StateRows, ...] = (BALANCE, RENEWAL)
"""Inline projections, written in the transaction of the events: of a subscription's folded state."""

INLINE_ROWS: tuple[EventRows[StreamEvent], ...] = (CHARGES, DISPUTED_CHARGES)
"""Inline projections of single events."""

CATCH_UP: tuple[CatchUp, ...] = (
    CYCLES,
    USAGE,
    DISPUTES,
    MOVEMENTS,
)
"""Catch-up projections, a moment behind the events: the projector writes them.

A rebuild fills them in this order: cycles come before the sums that look plans up there.
"""

INLINE: tuple[StateRows | EventRows[StreamEvent], ...] = (*STATES, *INLINE_ROWS)
PROJECTIONS: tuple[AnyProjection, ...] = (*INLINE, *CATCH_UP)
