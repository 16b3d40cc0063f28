"""Decides what credits an upgrade leaves. Three readings exist in the market; events name the one applied.

R6 by `deduct_used`: 1,000 used of 40,000, then 240,000 a month leaves 239,000 of 240,000.

A policy is a name in `UpgradePolicy` with a case in `credits_after_upgrade` and in `restarts_undeducted`. A name stays
for ever: events have it.
"""

from typing import Literal, Protocol, assert_never

from msgspec import Struct

UpgradePolicy = Literal["deduct_used", "add_leftover", "fresh"]
DEFAULT_POLICY: UpgradePolicy = "deduct_used"


class CreditsBefore(Protocol):
    """The credits of a subscription just before its upgrade; `services.subscription.state.Subscription` has them."""

    @property
    def balance_credits(self) -> int:
        """The credits that may still be spent in this cycle."""

    @property
    def used_since_reset(self) -> int:
        """The credits charged since the last reset, across all upgrades since."""

    @property
    def reversed_since_reset(self) -> int:
        """The credits reversed since the last reset, across all upgrades since."""

    @property
    def undeducted_credits(self) -> int:
        """The used credits that an earlier upgrade could not deduct."""


class CreditsAfter(Struct, frozen=True):
    """The counters of the first cycle after an upgrade, and the part of the balance before it that lapses."""

    granted_credits: int
    used_credits: int = 0
    reversed_credits: int = 0
    carried_credits: int = 0
    """The part of `granted_credits` that came from the plan before."""
    lapsed_credits: int = 0
    undeducted_credits: int = 0
    """The used credits that the allowance is too small to deduct. Later reversals of charges made before are set off
    against them; `fresh` forgets them."""

    @property
    def balance_credits(self) -> int:
        """The credits that may be spent after the upgrade; never below zero."""
        return self.granted_credits - self.used_credits + self.reversed_credits


def credits_after_upgrade(policy: UpgradePolicy, before: CreditsBefore, monthly_credits: int) -> CreditsAfter:
    """Apply a policy to an upgrade to a plan of so many monthly credits."""
    match policy:
        case "deduct_used":
            return _deduct_used(before, monthly_credits)
        case "add_leftover":
            leftover = before.balance_credits
            undeducted = before.undeducted_credits
            return CreditsAfter(monthly_credits + leftover, carried_credits=leftover, undeducted_credits=undeducted)
        case "fresh":
            return CreditsAfter(monthly_credits, lapsed_credits=before.balance_credits)
        case _:
            assert_never(policy)


def restarts_undeducted(policy: UpgradePolicy) -> bool:
    """Whether `undeducted_credits` after an upgrade are of charges before that upgrade, or still of an earlier one."""
    match policy:
        case "deduct_used" | "fresh":
            return True
        case "add_leftover":
            return False
        case _:
            assert_never(policy)


def _deduct_used(before: CreditsBefore, monthly_credits: int) -> CreditsAfter:
    """Deduct everything used since the last reset, once, from the new allowance; not below zero."""
    reversed_credits = before.reversed_since_reset
    used_credits = min(before.used_since_reset, monthly_credits + reversed_credits)
    balance_credits = monthly_credits - used_credits + reversed_credits
    return CreditsAfter(
        monthly_credits,
        used_credits,
        reversed_credits,
        lapsed_credits=max(0, before.balance_credits - balance_credits),
        undeducted_credits=before.used_since_reset - used_credits,
    )
