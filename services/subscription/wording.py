"""Puts each event into words: in brief for operators, in a sentence for customers."""

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
        case CreditsHeld():
            return _hold_in_words(event)
        case HoldReleased():
            return _release_in_words(event)
        case PlanUpgraded():
            granted, used = f"{event.granted_credits:,}", f"{event.used_credits:,}"
            left = event.granted_credits - event.used_credits + event.reversed_credits
            return Wording(
                f"{event.from_plan_id} to {event.plan.plan_id} by {event.policy}: {granted} less {used} used",
                f"Upgraded to {event.plan.name}; {left:,} credits left.",
            )
        case CycleReset():
            lapsed, granted = f"{event.lapsed_credits:,}", f"{event.granted_credits:,}"
            held = _held_over(event.held_credits)
            return Wording(
                f"cycle {event.cycle.number}: {lapsed} lapsed{held}, {granted} granted",
                f"A new cycle began: {lapsed} credits lapsed{held}, {granted} were granted.",
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
        case AlertsChanged():
            return _alerts_in_words(event)
        case PlanChangeUnscheduled():
            return Wording(f"the {event.kind} was taken back", f"The scheduled {event.kind} was taken back.")
        case SubscriptionCancelled():
            when = "at once" if event.when == "now" else "for the end of its term"
            return Wording(f"as of {event.effective_at:%Y-%m-%d %H:%M}", f"The subscription was cancelled {when}.")
        case SubscriptionSuspended() | SubscriptionReinstated():
            return _suspension_in_words(event)
        case SubscriptionEnded():
            lapsed = f"{event.lapsed_credits:,}"
            held = _held_over(event.held_credits)
            return Wording(f"{lapsed} lapsed{held}", f"The subscription ended; {lapsed} credits lapsed{held}.")
        case ChargeReversed():
            return _reversal_in_words(event)
        case CreditsAdjusted():
            return _adjustment_in_words(event)
        case _:
            assert_never(event)


def _alerts_in_words(event: AlertsChanged) -> Wording:
    if event.alerts is None:
        return Wording("alerts as in the catalogue", "Alerts are those of the catalogue again.")
    alerts = ", ".join(event.alerts) or "none"
    return Wording(f"alerts at {alerts}", f"Alerts of its own were set: {alerts}.")


def _suspension_in_words(event: SubscriptionSuspended | SubscriptionReinstated) -> Wording:
    what = "subscription was suspended" if isinstance(event, SubscriptionSuspended) else "suspension was taken back"
    return Wording(event.reason, f"The {what}: {event.reason}.")


def _reversal_in_words(event: ChargeReversed) -> Wording:
    amount, id = f"{event.credits:,}", event.generation_id
    deducted = f", less {event.deducted_credits:,} still to be deducted" if event.deducted_credits else ""
    return Wording(
        f"+{amount} for {id}{deducted}, by dispute {event.dispute_id}",
        f"{amount} credits were given back for {id}{deducted}; {event.balance_after:,} left.",
    )


def _adjustment_in_words(event: CreditsAdjusted) -> Wording:
    what = "taken" if event.credits < 0 else "given"
    return Wording(
        f"{event.credits:+,} by run {event.run_id}: {event.reason}",
        f"{abs(event.credits):,} credits were {what} to correct an error: {event.reason}.",
    )


def _charge_in_words(event: GenerationCharged) -> Wording:
    amount, id = f"{event.credits:,}", event.generation_id
    if event.held_credits is None:
        origin, told = "", ""
    else:
        of_cycle = f" in cycle {event.cycle_number}" if event.is_late else ""
        origin = f", captured of {event.held_credits:,} held{of_cycle}"
        told = f", of {event.held_credits:,} that were held{of_cycle}"
    return Wording(
        f"-{amount} for {id}: {event.model}, {_per_unit(event)}{origin}",
        f"{amount} credits for {event.asset_type} with {event.model} ({id}){told}; {event.balance_after:,} left.",
    )


def _hold_in_words(event: CreditsHeld) -> Wording:
    amount, id, until = f"{event.credits:,}", event.generation_id, f"{event.expires_at:%Y-%m-%d %H:%M:%S}"
    return Wording(
        f"{amount} held for {id}: {event.model}, {_per_unit(event)}, until {until}",
        f"{amount} credits were held for {event.asset_type} with {event.model} ({id}), until {until} at the latest;"
        f" {event.available_after:,} available.",
    )


def _release_in_words(event: HoldReleased) -> Wording:
    amount, id = f"{event.credits:,}", event.generation_id
    ended = "expired" if event.cause == "expired" else "was released"
    why = f" ({event.reason})" if event.reason else ""
    outcome = "lapsed, since their cycle has ended" if event.lapsed_credits else "are free again"
    return Wording(
        f"{amount} of {id} {event.cause}{why}" + (", lapsed" if event.lapsed_credits else ""),
        f"The hold for {id} {ended}{why}: {amount} credits {outcome}.",
    )


def _held_over(held_credits: int) -> str:
    return f", {held_credits:,} stayed held" if held_credits else ""


def _per_unit(event: GenerationCharged | CreditsHeld) -> str:
    return f"{event.price.quantity:f} {event.price.unit} x {event.price.credits_per_unit:f}"
