"""Says what each event moves between what was granted, used, given back, lapsed, held and left.

Every credit that was granted or given back is used, lapsed, held or left. So the movements of any event, and of any
number of events, add up: `granted - used + reversed - lapsed = held + left`. The trial balance is made of them.
"""

from typing import assert_never

from msgspec import Struct

from services.subscription.events import (
    AlertsChanged,
    ChargeReversed,
    CreditsAdjusted,
    CreditsGranted,
    CreditsHeld,
    CycleReset,
    Event,
    GenerationCharged,
    HoldReleased,
    PlanChangeScheduled,
    PlanChangeUnscheduled,
    PlanUpgraded,
    SubscriptionCancelled,
    SubscriptionEnded,
    SubscriptionReinstated,
    SubscriptionStarted,
    SubscriptionSuspended,
    TermRenewed,
)


class Movements(Struct, frozen=True, gc=False):
    """The credits that an event moves, or the sums of several events.

    `held_credits` and `left_credits` are changes: of what all open holds hold, whatever their cycle, and of what is
    available beside them. The others only grow.
    """

    granted_credits: int = 0
    used_credits: int = 0
    """Charged, or used before the subscription moved in, or taken by an adjustment."""
    reversed_credits: int = 0
    """Given back to the balance, by a dispute or by an adjustment."""
    lapsed_credits: int = 0
    held_credits: int = 0
    left_credits: int = 0

    @property
    def sum_credits(self) -> int:
        """What does not add up, which is 0."""
        moved = self.granted_credits - self.used_credits + self.reversed_credits - self.lapsed_credits
        return moved - self.held_credits - self.left_credits


MOVING_EVENTS: frozenset[type] = frozenset(
    (
        *(CreditsGranted, GenerationCharged, CreditsHeld, HoldReleased, PlanUpgraded),
        *(CycleReset, SubscriptionEnded, ChargeReversed, CreditsAdjusted),
    )
)
"""The types of events that move credits."""


def movements_of(event: Event) -> Movements | None:
    """Return what an event moves; None for one that moves no credits, whatever it holds."""
    match event:
        case GenerationCharged():
            return _charged(event)
        case CreditsHeld(credits=credits):
            return Movements(held_credits=credits, left_credits=-credits)
        case HoldReleased(credits=credits, lapsed_credits=lapsed):
            return Movements(lapsed_credits=lapsed, held_credits=-credits, left_credits=credits - lapsed)
        case CreditsGranted(credits=credits, used_credits=used):
            return Movements(credits, used_credits=used, left_credits=credits - used)
        case CycleReset(granted_credits=granted, lapsed_credits=lapsed):
            return Movements(granted, lapsed_credits=lapsed, left_credits=granted - lapsed)
        case SubscriptionEnded(lapsed_credits=lapsed):
            return Movements(lapsed_credits=lapsed, left_credits=-lapsed)
        case PlanUpgraded():
            return _upgraded(event)
        case ChargeReversed(credits=credits, deducted_credits=deducted):
            return Movements(reversed_credits=credits - deducted, left_credits=credits - deducted)
        case CreditsAdjusted(credits=credits):
            given, taken = max(credits, 0), max(-credits, 0)
            return Movements(used_credits=taken, reversed_credits=given, left_credits=credits)
        case (
            SubscriptionStarted()
            | TermRenewed()
            | PlanChangeScheduled()
            | PlanChangeUnscheduled()
            | AlertsChanged()
            | SubscriptionCancelled()
            | SubscriptionSuspended()
            | SubscriptionReinstated()
        ):
            return None
        case _:
            assert_never(event)


def _charged(event: GenerationCharged) -> Movements:
    """A capture frees what its hold held beyond it; where the cycle of the hold has ended, that lapses."""
    held = event.held_credits or 0
    freed = held - event.credits
    if event.is_late:
        return Movements(used_credits=event.credits, lapsed_credits=freed, held_credits=-held)
    return Movements(used_credits=event.credits, held_credits=-held, left_credits=freed)


def _upgraded(event: PlanUpgraded) -> Movements:
    """By `fresh` all that was there lapses; by the other policies the difference is granted, or lapses."""
    balance_after = event.granted_credits - event.used_credits + event.reversed_credits
    change = balance_after - event.balance_before
    match event.policy:
        case "fresh":
            return Movements(balance_after, lapsed_credits=event.balance_before, left_credits=change)
        case "deduct_used" | "add_leftover":
            return Movements(max(change, 0), lapsed_credits=max(-change, 0), left_credits=change)
        case _:
            assert_never(event.policy)
