"""Checks what an event of a subscription says of itself against the state before and after it. Pure."""

from collections.abc import Iterator
from typing import assert_never

from services.catalogue import recompute
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
from services.subscription.state import Subscription


def broken_rules(before: Subscription | None, event: Event, after: Subscription) -> Iterator[str]:
    """Yield, in words, each statement of an event that the states do not bear out.

    Checked are prices, balances, lapsed credits and the numbers of cycles.
    """
    if after.balance_credits < 0:
        yield f"leaves a balance of {after.balance_credits}"
    if before is None:
        return
    match event:
        case GenerationCharged():
            yield from _wrong_price(event)
            yield from _differs("balance_after", event.balance_after, after.balance_credits)
            yield from _differs("cycle_number", event.cycle_number, after.cycle.number)
        case ChargeReversed():
            yield from _differs("balance_after", event.balance_after, after.balance_credits)
            if event.credits <= 0:
                yield f"gives {event.credits} credits back"
        case PlanUpgraded():
            yield from _differs("balance_before", event.balance_before, before.balance_credits)
            yield from _differs("from_plan_id", event.from_plan_id, before.plan.plan_id)
            yield from _differs("cycle.number", event.cycle.number, before.cycle.number + 1)
        case CycleReset():
            yield from _differs("lapsed_credits", event.lapsed_credits, before.balance_credits)
            yield from _differs("cycle.number", event.cycle.number, before.cycle.number + 1)
            yield from _differs("cycle.starts_at", event.cycle.starts_at, before.cycle.ends_at)
        case SubscriptionEnded():
            yield from _differs("lapsed_credits", event.lapsed_credits, before.balance_credits)
        case (
            SubscriptionStarted()
            | CreditsGranted()
            | TermRenewed()
            | PlanChangeScheduled()
            | PlanChangeUnscheduled()
            | SubscriptionCancelled()
        ):
            pass  # they state nothing that the states could contradict
        case _:
            assert_never(event)


def _wrong_price(event: GenerationCharged) -> Iterator[str]:
    try:
        price_credits = recompute(event.price)
    except ArithmeticError:
        yield "has a price that no catalogue can have given"
        return
    yield from _differs("credits", event.credits, price_credits)


def _differs(name: str, stated: object, computed: object) -> Iterator[str]:
    if stated != computed:
        yield f"says {name} {stated}, but it comes to {computed}"
