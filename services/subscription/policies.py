"""What is left after an upgrade. Three readings exist in the market; the one applied is recorded with the event.

R6 by `deduct_used`: 1,000 used of 40,000, then 240,000 a month leaves 239,000 of 240,000.
"""

from collections.abc import Callable, Mapping

from msgspec import Struct

from services.catalogue.model import UpgradePolicy
from services.subscription.state import Subscription


class Counters(Struct, frozen=True):
    """The balance right after the upgrade: `granted - used + reversed` credits, never below zero."""

    granted_credits: int
    used_credits: int = 0
    reversed_credits: int = 0
    carried_credits: int = 0


def deduct_used(state: Subscription, monthly_credits: int) -> Counters:
    """The new allowance less everything used since the last reset, counted once, and not below zero."""
    reversed_credits = state.reversed_since_reset
    used_credits = min(state.used_since_reset, monthly_credits + reversed_credits)
    return Counters(monthly_credits, used_credits, reversed_credits)


def add_leftover(state: Subscription, monthly_credits: int) -> Counters:
    """The new allowance and, for its first cycle only, what was left of the old one."""
    leftover = state.balance_credits
    return Counters(monthly_credits + leftover, carried_credits=leftover)


def fresh(_state: Subscription, monthly_credits: int) -> Counters:
    """The new allowance only."""
    return Counters(monthly_credits)


POLICIES: Mapping[UpgradePolicy, Callable[[Subscription, int], Counters]] = {
    "deduct_used": deduct_used,
    "add_leftover": add_leftover,
    "fresh": fresh,
}
