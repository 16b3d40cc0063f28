"""The row of `renewal`: the whole state as of the last change of plan, cycle, term or status.

Charges, holds and reversals move only counters and open holds, which the balance row has, and `with_balance` combines
the two. So a charge or a hold writes one row, and a read has the whole state without reading events.
"""

from datetime import datetime
from typing import NamedTuple

import msgspec
from msgspec import Struct
from msgspec.structs import replace

from projections.balance.project import read_holds
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


class Moved(NamedTuple):
    """What the balance row has of a state: it moves without the renewal row. The columns are those of that row."""

    version: int
    used_credits: int
    reversed_credits: int
    held_credits: int
    holds_expire_at: datetime | None
    holds: str


def with_balance(row_state: bytes, moved: Moved) -> Subscription:
    """Read the current state: that of a renewal row, with what the balance row has. Raises msgspec.MsgspecError."""
    then = read_state(row_state)
    state = replace(
        then,
        version=moved.version,
        used_credits=moved.used_credits,
        reversed_credits=moved.reversed_credits,
        used_since_reset=then.used_since_reset + moved.used_credits - then.used_credits,
        reversed_since_reset=then.reversed_since_reset + moved.reversed_credits - then.reversed_credits,
        holds=read_holds(moved.holds),
    )
    if (state.held_credits, state.holds_expire_at) != (moved.held_credits, moved.holds_expire_at):
        # A program of before wrote what is held, and the holds themselves into the renewal row alone.
        return replace(state, holds=then.holds)
    return state


RENEWAL = StateRows(table="renewal", row=RenewalRow, project=lambda state, _position: project(state))
