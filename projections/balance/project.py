"""The row of `balance`: a slice of the folded state, so that there is one fold and not two that must agree."""

from datetime import datetime

import msgspec
from msgspec import Struct

from projections.declaration import StateRows
from services.subscription.events import AlertCrossed, CreditsHeld
from services.subscription.state import ShownStatus, Subscription


class BalanceRow(Struct, frozen=True):
    """The credits of a subscription as of its last event, which is at `position`."""

    version: int
    position: int
    plan_id: str
    status: ShownStatus
    granted_credits: int
    used_credits: int
    reversed_credits: int
    carried_credits: int
    cycle_number: int
    cycle_starts_at: datetime
    cycle_ends_at: datetime
    credits_renew_at: datetime | None
    test_clock_id: str | None
    alerts: str
    """The thresholds that were crossed in the cycle, as JSON."""
    held_credits: int
    holds_expire_at: datetime | None
    holds: str
    """The open holds, as JSON, in the order in which they were made."""


class CrossedAlert(Struct, frozen=True):
    """A threshold that was crossed, and when."""

    threshold: str
    crossed_at: datetime


_ENCODER = msgspec.json.Encoder(decimal_format="number")
_DECODER = msgspec.json.Decoder(tuple[CrossedAlert, ...])
_HOLDS = msgspec.json.Decoder(tuple[CreditsHeld, ...])
NONE = "[]"


def _encoded(alerts: tuple[AlertCrossed, ...]) -> str:
    return _ENCODER.encode([CrossedAlert(each.threshold, each.crossed_at) for each in alerts]).decode()


def read_alerts(row: BalanceRow) -> tuple[CrossedAlert, ...]:
    """Read the thresholds that were crossed in the cycle of the row."""
    if row.alerts == NONE:
        return ()
    # While a program of before alerts serves as well, a reset by it leaves those of the cycle before.
    return tuple(each for each in _DECODER.decode(row.alerts) if each.crossed_at >= row.cycle_starts_at)


def written_holds(state: Subscription) -> str:
    """Write the open holds as the column has them."""
    return _ENCODER.encode(state.holds).decode() if state.holds else NONE


def read_holds(column: str) -> tuple[CreditsHeld, ...]:
    """Read the open holds in a column of `holds`. Raises msgspec.MsgspecError."""
    return () if column == NONE else _HOLDS.decode(column)


def project(state: Subscription, position: int) -> BalanceRow:
    """Make the row of a state; `position` is that of the event that led to it."""
    return BalanceRow(
        version=state.version,
        position=position,
        plan_id=state.plan.plan_id,
        status=state.shown_status,
        granted_credits=state.granted_credits,
        used_credits=state.used_credits,
        reversed_credits=state.reversed_credits,
        carried_credits=state.carried_credits,
        cycle_number=state.cycle.number,
        cycle_starts_at=state.cycle.starts_at,
        cycle_ends_at=state.cycle.ends_at,
        credits_renew_at=state.credits_renew_at,
        test_clock_id=state.test_clock_id,
        alerts=_encoded(state.crossed_alerts) if state.crossed_alerts else NONE,
        held_credits=state.held_credits,
        holds_expire_at=state.holds_expire_at,
        holds=written_holds(state),
    )


BALANCE = StateRows(table="balance", row=BalanceRow, project=project, has_counters=True)
