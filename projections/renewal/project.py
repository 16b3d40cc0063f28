"""The row of `renewal`: the whole state as of the last change of plan, cycle, term or status.

Charges and reversals move only counters, which the balance row has, and `with_counters` combines the two. So a charge
writes one narrow row, and a read has the whole state without reading events.
"""

from datetime import datetime

import msgspec
from msgspec import Struct
from msgspec.structs import replace

from projections.declaration import StateRows
from services.subscription.state import ShownStatus, Subscription

_ENCODER = msgspec.json.Encoder(decimal_format="number")
_DECODER = msgspec.json.Decoder(Subscription)


class RenewalRow(Struct, frozen=True):
    """A subscription, and when its cycle ends."""

    account_id: str
    status: ShownStatus
    next_due_at: datetime | None
    """The end of the cycle. When holds expire is in the balance row."""
    test_clock_id: str | None
    state: bytes
    """The whole state, as JSON."""


def project(state: Subscription) -> RenewalRow:
    """Make the row of a state."""
    return RenewalRow(
        account_id=state.account_id,
        status=state.shown_status,
        next_due_at=state.cycle_boundary_at,
        test_clock_id=state.test_clock_id,
        state=_ENCODER.encode(state),
    )


def read_state(row_state: bytes) -> Subscription:
    """Read the state of a row as of when it was written, counters included. Raises msgspec.MsgspecError."""
    return _DECODER.decode(row_state)


def with_counters(row_state: bytes, *, version: int, used_credits: int, reversed_credits: int) -> Subscription:
    """Read the current state: that of a renewal row, with the counters of the balance row."""
    state = read_state(row_state)
    return replace(
        state,
        version=version,
        used_credits=used_credits,
        reversed_credits=reversed_credits,
        used_since_reset=state.used_since_reset + used_credits - state.used_credits,
        reversed_since_reset=state.reversed_since_reset + reversed_credits - state.reversed_credits,
    )


RENEWAL = StateRows(table="renewal", row=RenewalRow, project=lambda state, _position: project(state))
