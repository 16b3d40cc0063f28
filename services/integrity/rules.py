"""What an event of a subscription says of itself, checked against the state before and after it. Pure."""

from collections.abc import Iterator

from services.catalogue import recompute
from services.subscription.events import (
    ChargeReversed,
    CycleReset,
    Event,
    GenerationCharged,
    PlanUpgraded,
    SubscriptionEnded,
)
from services.subscription.state import Subscription


def broken_rules(before: Subscription | None, event: Event, after: Subscription) -> Iterator[str]:
    """Each thing that does not add up, in words: prices, balances, what lapsed, and the cycle it belongs to."""
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
        case _:
            return


def _wrong_price(event: GenerationCharged) -> Iterator[str]:
    try:
        comes_to = recompute(event.price)
    except ArithmeticError:
        yield "has a price that no catalogue can have given"
        return
    yield from _differs("credits", event.credits, comes_to)


def _differs(name: str, said: object, found: object) -> Iterator[str]:
    if said != found:
        yield f"says {name} {said}, but it comes to {found}"
