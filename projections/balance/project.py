"""The row of `balance`: a slice of the folded state, so that there is one fold and not two that must agree."""

from datetime import datetime

from msgspec import Struct

from projections.declaration import StateRows
from services.subscription.state import Status, Subscription


class BalanceRow(Struct, frozen=True):
    """The credits of a subscription as of its last event, which is at `position`."""

    version: int
    position: int
    plan_id: str
    status: Status
    granted_credits: int
    used_credits: int
    reversed_credits: int
    carried_credits: int
    cycle_number: int
    cycle_starts_at: datetime
    cycle_ends_at: datetime
    credits_renew_at: datetime | None
    test_clock_id: str | None


def project(state: Subscription, position: int) -> BalanceRow:
    """Make the row of a state; `position` is that of the event that led to it."""
    return BalanceRow(
        version=state.version,
        position=position,
        plan_id=state.plan.plan_id,
        status=state.status,
        granted_credits=state.granted_credits,
        used_credits=state.used_credits,
        reversed_credits=state.reversed_credits,
        carried_credits=state.carried_credits,
        cycle_number=state.cycle.number,
        cycle_starts_at=state.cycle.starts_at,
        cycle_ends_at=state.cycle.ends_at,
        credits_renew_at=state.credits_renew_at,
        test_clock_id=state.test_clock_id,
    )


BALANCE = StateRows(table="balance", row=BalanceRow, project=project, has_counters=True)
