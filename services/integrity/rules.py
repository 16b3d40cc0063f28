"""Checks what an event of a subscription says of itself against the state before and after it. Pure.

A field of one of the names in `_EXPECTED` means the same in every event, so that a new event is checked by its fields.
"""

from collections.abc import Callable, Iterator, Mapping

from services.catalogue import recompute
from services.subscription.events import ChargeReversed, CycleReset, Event, GenerationCharged
from services.subscription.state import Subscription

_EXPECTED: Mapping[str, Callable[[Subscription, Subscription], object]] = {
    "balance_before": lambda before, _after: before.balance_credits,
    "balance_after": lambda _before, after: after.balance_credits,
    "lapsed_credits": lambda before, _after: before.balance_credits,
    "from_plan_id": lambda before, _after: before.plan.plan_id,
    "cycle_number": lambda _before, after: after.cycle.number,
}


def broken_rules(before: Subscription | None, event: Event, after: Subscription) -> Iterator[str]:
    """Yield, in words, each statement of an event that the states do not bear out.

    Checked are prices, balances, lapsed credits and the numbers of cycles.
    """
    if after.balance_credits < 0:
        yield f"leaves a balance of {after.balance_credits}"
    if before is None:
        return
    if isinstance(event, GenerationCharged):
        yield from _wrong_price(event)
    if isinstance(event, ChargeReversed):
        yield from _wrong_reversal(event, before)
    for name in event.__struct_fields__:
        if (expected := _EXPECTED.get(name)) is not None:
            yield from _differs(name, getattr(event, name), expected(before, after))
    if hasattr(event, "cycle"):
        yield from _differs("cycle.number", event.cycle.number, before.cycle.number + 1)
    if isinstance(event, CycleReset):
        yield from _differs("cycle.starts_at", event.cycle.starts_at, before.cycle.ends_at)


def _wrong_price(event: GenerationCharged) -> Iterator[str]:
    try:
        price_credits = recompute(event.price)
    except ArithmeticError:
        yield "has a price that no catalogue can have given"
        return
    yield from _differs("credits", event.credits, price_credits)


def _wrong_reversal(event: ChargeReversed, before: Subscription) -> Iterator[str]:
    if event.credits <= 0:
        yield f"gives {event.credits} credits back"
    if not 0 <= event.deducted_credits <= min(event.credits, before.undeducted_credits):
        yield f"deducts {event.deducted_credits} credits, and {before.undeducted_credits} were still to be deducted"


def _differs(name: str, stated: object, computed: object) -> Iterator[str]:
    if stated != computed:
        yield f"says {name} {stated}, but it comes to {computed}"
