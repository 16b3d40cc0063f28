"""The public form of a balance, as the API answers it."""

from datetime import datetime
from uuid import UUID

from msgspec import Struct

from projections.balance.project import BalanceRow, CrossedAlert, read_alerts
from services.subscription.calendar import Period
from services.subscription.state import ShownStatus


class Balance(Struct, frozen=True):
    """The credits of one subscription at one instant.

    `balance = granted - used + reversed`, and `available = balance - held`: what is held can be spent by its captures
    alone.
    """

    subscription_id: UUID
    plan_id: str
    status: ShownStatus
    balance_credits: int
    granted_credits: int
    used_credits: int
    reversed_credits: int
    carried_credits: int
    held_credits: int
    available_credits: int
    cycle: Period
    credits_renew_at: datetime | None
    as_of: datetime
    version: int
    position: int
    alerts: tuple[CrossedAlert, ...]


def balance_view(subscription_id: UUID, row: BalanceRow, as_of: datetime) -> Balance:
    """Make the public form of a row, as of an instant within the row's cycle."""
    balance_credits = row.granted_credits - row.used_credits + row.reversed_credits
    return Balance(
        subscription_id=subscription_id,
        plan_id=row.plan_id,
        status=row.status,
        balance_credits=balance_credits,
        granted_credits=row.granted_credits,
        used_credits=row.used_credits,
        reversed_credits=row.reversed_credits,
        carried_credits=row.carried_credits,
        held_credits=row.held_credits,
        available_credits=balance_credits - row.held_credits,
        cycle=Period(row.cycle_number, row.cycle_starts_at, row.cycle_ends_at),
        credits_renew_at=row.credits_renew_at,
        as_of=as_of,
        version=row.version,
        position=row.position,
        alerts=read_alerts(row),
    )
