"""Puts each event into words: in brief for operators, in a sentence for customers."""

from typing import assert_never

from msgspec import Struct

from services.subscription.events import (
    ChargeReversed,
    CreditsGranted,
    CycleReset,
    Event,
    GenerationCharged,
    PlanChangeScheduled,
    PlanChangeUnscheduled,
    PlanUpgraded,
    SubscriptionCancelled,
    SubscriptionEnded,
    SubscriptionStarted,
    TermRenewed,
)


class Wording(Struct, frozen=True):
    """An event in words. `brief` stands beside the event's name and has ids; `sentence` stands alone."""

    brief: str
    sentence: str


def wording_of(event: Event) -> Wording:
    """Put an event into words."""
    match event:
        case SubscriptionStarted():
            return Wording(
                f"{event.account_id} takes {event.plan.plan_id}",
                f"The subscription started, with {event.plan.name}.",
            )
        case CreditsGranted():
            return Wording(f"+{event.credits:,}, the first allowance", f"{event.credits:,} credits were granted.")
        case GenerationCharged():
            return _charge_in_words(event)
        case PlanUpgraded():
            granted, used = f"{event.granted_credits:,}", f"{event.used_credits:,}"
            left = event.granted_credits - event.used_credits + event.reversed_credits
            return Wording(
                f"{event.from_plan_id} to {event.plan.plan_id} by {event.policy}: {granted} less {used} used",
                f"Upgraded to {event.plan.name}; {left:,} credits left.",
            )
        case CycleReset():
            lapsed, granted = f"{event.lapsed_credits:,}", f"{event.granted_credits:,}"
            return Wording(
                f"cycle {event.cycle.number}: {lapsed} lapsed, {granted} granted",
                f"A new cycle began: {lapsed} credits lapsed, {granted} were granted.",
            )
        case TermRenewed():
            return Wording(
                f"term {event.term.number} on {event.plan.plan_id}, until {event.term.ends_at:%Y-%m-%d %H:%M}",
                f"The subscription renewed, with {event.plan.name}.",
            )
        case PlanChangeScheduled():
            return Wording(
                f"to {event.plan.plan_id} on {event.effective_at:%Y-%m-%d %H:%M}",
                f"A change to {event.plan.name} was scheduled.",
            )
        case PlanChangeUnscheduled():
            return Wording(f"the {event.kind} was taken back", f"The scheduled {event.kind} was taken back.")
        case SubscriptionCancelled():
            when = "at once" if event.when == "now" else "for the end of its term"
            return Wording(f"as of {event.effective_at:%Y-%m-%d %H:%M}", f"The subscription was cancelled {when}.")
        case SubscriptionEnded():
            lapsed = f"{event.lapsed_credits:,}"
            return Wording(f"{lapsed} lapsed", f"The subscription ended; {lapsed} credits lapsed.")
        case ChargeReversed():
            amount, id = f"{event.credits:,}", event.generation_id
            deducted = f", less {event.deducted_credits:,} still to be deducted" if event.deducted_credits else ""
            return Wording(
                f"+{amount} for {id}{deducted}, by dispute {event.dispute_id}",
                f"{amount} credits were given back for {id}{deducted}; {event.balance_after:,} left.",
            )
        case _:
            assert_never(event)


def _charge_in_words(event: GenerationCharged) -> Wording:
    amount, id = f"{event.credits:,}", event.generation_id
    per_unit = f"{event.price.quantity:f} {event.price.unit} x {event.price.credits_per_unit:f}"
    return Wording(
        f"-{amount} for {id}: {event.model}, {per_unit}",
        f"{amount} credits for {event.asset_type} with {event.model} ({id}); {event.balance_after:,} left.",
    )
