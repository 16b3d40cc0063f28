"""Checks what an event of a subscription says of itself against the state before and after it. Pure.

A field of one of the names in `_EXPECTED` means the same in every event, so that a new event is checked by its fields.
"""

from collections.abc import Callable, Iterator, Mapping
from datetime import datetime

from services.catalogue import quantity_of, recompute
from services.integrity.cycles import broken_cycles, differs
from services.subscription.events import (
    ChargeReversed,
    CreditsAdjusted,
    CreditsGranted,
    CreditsHeld,
    CycleReset,
    Event,
    GenerationCharged,
    HoldReleased,
    SubscriptionEnded,
)
from services.subscription.state import Subscription

_EXPECTED: Mapping[str, Callable[[Subscription, Subscription], object]] = {
    "balance_before": lambda before, _after: before.balance_credits,
    "balance_after": lambda _before, after: after.balance_credits,
    "available_after": lambda _before, after: after.available_credits,
    "from_plan_id": lambda before, _after: before.plan.plan_id,
}


def broken_rules(
    before: Subscription | None, event: Event, after: Subscription, recorded_at: datetime
) -> Iterator[str]:
    """Yield, in words, each statement of an event that the states do not bear out.

    Checked are prices and quantities, balances, lapsed credits, cycles and grants, and holds against what ends them.
    """
    yield from broken_cycles(before, event, recorded_at)
    if after.available_credits < 0:
        yield f"leaves a balance of {after.balance_credits}, with {after.held_credits} held"
    if before is None:
        return
    match event:
        case GenerationCharged(held_credits=None):
            yield from _wrong_price(event)
            yield from differs("cycle_number", event.cycle_number, before.cycle.number)
        case GenerationCharged():
            yield from _wrong_price(event)
            yield from _wrong_capture(event, before)
        case CreditsHeld():
            yield from _wrong_price(event)
            yield from _wrong_hold(event, before)
        case HoldReleased():
            yield from _wrong_release(event, before)
        case ChargeReversed():
            yield from _wrong_reversal(event, before)
            yield from differs("cycle_number", event.cycle_number, before.cycle.number)
        case CreditsAdjusted():
            yield from _wrong_adjustment(event, before)
        case CreditsGranted():
            yield from differs("cycle_number", event.cycle_number, before.cycle.number)
        case CycleReset() | SubscriptionEnded():
            yield from differs("lapsed_credits", event.lapsed_credits, before.available_credits)
            yield from differs("held_credits", event.held_credits, before.held_credits)
        case _:
            pass
    for name in event.__struct_fields__:
        if (expected := _EXPECTED.get(name)) is not None:
            yield from differs(name, getattr(event, name), expected(before, after))


def _wrong_capture(event: GenerationCharged, before: Subscription) -> Iterator[str]:
    if (held := before.hold_of(event.generation_id)) is None:
        yield f"captures a hold of {event.generation_id}, and there is none"
        return
    yield from differs("held_credits", event.held_credits, held.credits)
    yield from differs("cycle_number", event.cycle_number, held.cycle_number)
    yield from differs("is_late", event.is_late, not before.is_current(held))
    if event.is_late and event.credits > held.credits:
        yield f"charges {event.credits} credits to a cycle that has ended, and {held.credits} were held"


def _wrong_hold(event: CreditsHeld, before: Subscription) -> Iterator[str]:
    yield from differs("cycle_number", event.cycle_number, before.cycle.number)
    if before.hold_of(event.generation_id) is not None:
        yield f"holds for {event.generation_id}, for which something is held already"


def _wrong_release(event: HoldReleased, before: Subscription) -> Iterator[str]:
    if (held := before.hold_of(event.generation_id)) is None:
        yield f"releases a hold of {event.generation_id}, and there is none"
        return
    yield from differs("credits", event.credits, held.credits)
    yield from differs("cycle_number", event.cycle_number, held.cycle_number)
    yield from differs("lapsed_credits", event.lapsed_credits, 0 if before.is_current(held) else held.credits)


def _wrong_adjustment(event: CreditsAdjusted, before: Subscription) -> Iterator[str]:
    if event.run_id in before.settled_runs:
        yield f"settles run {event.run_id}, which is settled already"
    yield from differs("cycle_number", event.cycle_number, before.cycle.number if event.alerts else None)


def _wrong_price(event: GenerationCharged | CreditsHeld) -> Iterator[str]:
    try:
        price_credits = recompute(event.price)
        quantity = quantity_of(event.price.rule, event.settings)
    except ArithmeticError:
        yield "has a price that no catalogue can have given"
        return
    yield from differs("credits", event.credits, price_credits)
    yield from differs("quantity", event.price.quantity, quantity)


def _wrong_reversal(event: ChargeReversed, before: Subscription) -> Iterator[str]:
    if event.credits <= 0:
        yield f"gives {event.credits} credits back"
    if not 0 <= event.deducted_credits <= min(event.credits, before.undeducted_credits):
        yield f"deducts {event.deducted_credits} credits, and {before.undeducted_credits} were still to be deducted"
