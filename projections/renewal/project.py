"""The renewal row: the whole state as it was at the last change of plan, cycle, term or status.

Charges and reversals move nothing but counters, which the balance row has; `with_counters` puts the two together. So a
charge writes one narrow row, and a read still has the whole state without touching events.
"""

from datetime import datetime

import msgspec
from msgspec import Struct
from msgspec.structs import replace

from projections.declaration import StateRows
from services.subscription.state import Status, Subscription

_ENCODER = msgspec.json.Encoder(decimal_format="number")
_DECODER = msgspec.json.Decoder(Subscription)


class RenewalRow(Struct, frozen=True):
    """What the renewal table keeps of a state."""

    account_id: str
    status: Status
    next_due_at: datetime | None
    test_clock_id: str | None
    state: bytes
    """The state as JSON."""


def project(state: Subscription) -> RenewalRow:
    """The row for a state."""
    return RenewalRow(
        account_id=state.account_id,
        status=state.status,
        next_due_at=state.next_due_at,
        test_clock_id=state.test_clock_id,
        state=_ENCODER.encode(state),
    )


def state_of(row_state: bytes) -> Subscription:
    """The state that a row keeps, as it was when the row was written, version and counters included."""
    return _DECODER.decode(row_state)


def with_counters(row_state: bytes, *, version: int, used_credits: int, reversed_credits: int) -> Subscription:
    """The state now: the renewal row's, with the counters that the balance row has reached since."""
    state = state_of(row_state)
    return replace(
        state,
        version=version,
        used_credits=used_credits,
        reversed_credits=reversed_credits,
        used_since_reset=state.used_since_reset + used_credits - state.used_credits,
        reversed_since_reset=state.reversed_since_reset + reversed_credits - state.reversed_credits,
    )


RENEWAL = StateRows(table="renewal", row=RenewalRow, project=lambda state, _position: project(state))
