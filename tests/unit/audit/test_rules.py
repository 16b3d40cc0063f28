"""What an event says of itself: true of every event that the core decides, and found where it is altered."""

from collections.abc import Iterator
from datetime import datetime, timedelta
from random import Random

from msgspec.structs import replace

from services.integrity.rules import broken_rules
from services.subscription.events import (
    CreditsGranted,
    CreditsHeld,
    CycleReset,
    Event,
    GenerationCharged,
    PlanUpgraded,
    SubscriptionEnded,
    TermRenewed,
)
from services.subscription.state import Subscription, evolve
from tests.unit.subscription.simulation import Simulation, random_history

NUMBERS = ("balance_before", "balance_after", "lapsed_credits", "cycle_number")


def lived() -> Iterator[tuple[Subscription | None, Event, Subscription, datetime]]:
    """Each event of some histories, between the states before and after it."""
    for seed in range(60):
        beginning, steps = random_history(Random(seed))
        simulation = Simulation(beginning)
        for step in steps:
            simulation.play(step)
        state: Subscription | None = None
        for at, event in simulation.history.recorded:
            before, state = state, evolve(state, event)
            yield before, event, state, at


def test_what_the_core_decides_breaks_no_rule() -> None:
    for before, event, after, at in lived():
        assert list(broken_rules(before, event, after, at)) == [], event


def test_a_number_that_is_not_so_is_found_in_whatever_event_it_stands() -> None:
    altered = set[tuple[str, str]]()
    for before, event, after, at in lived():
        for name in set(NUMBERS) & set(event.__struct_fields__) if before else ():
            wrong = replace(event, **{name: (getattr(event, name) or 0) + 1})
            assert f"says {name} " in " ".join(broken_rules(before, wrong, after, at)), wrong
            altered.add((type(event).__name__, name))
    assert altered == {
        ("ChargeReversed", "balance_after"),
        ("ChargeReversed", "cycle_number"),
        ("CreditsAdjusted", "cycle_number"),
        ("CreditsGranted", "cycle_number"),
        ("CycleReset", "lapsed_credits"),
        ("GenerationCharged", "balance_after"),
        ("GenerationCharged", "cycle_number"),
        ("PlanUpgraded", "balance_before"),
        ("SubscriptionEnded", "lapsed_credits"),
    }


def wrong_grants(before: Subscription, event: Event) -> Iterator[Event]:
    """What would give a subscription other credits, or another time, than its plan does."""
    match event:
        case CreditsGranted():
            yield replace(event, credits=event.credits + 1)
        case CycleReset():
            yield replace(event, granted_credits=event.granted_credits + 1)
            yield replace(event, cycle=replace(event.cycle, ends_at=event.cycle.ends_at + timedelta(days=1)))
        case PlanUpgraded():
            yield replace(event, granted_credits=event.granted_credits + 1)
            yield replace(event, used_credits=event.used_credits - 1)
            yield replace(event, term=replace(event.term, ends_at=event.term.ends_at + timedelta(days=1)))
        case TermRenewed():
            yield replace(event, plan=replace(event.plan, monthly_credits=event.plan.monthly_credits + 1))
        case _:
            pass
    if before.version > 1 and before.status != "ended":
        yield CreditsGranted(1_000_000, before.cycle.number)
        yield CreditsGranted(before.plan.monthly_credits, before.cycle.number)


def test_credits_are_granted_as_the_plan_has_it_or_found() -> None:
    altered = set[type]()
    for before, event, _, at in lived():
        for wrong in wrong_grants(before, event) if before else ():
            assert list(broken_rules(before, wrong, evolve(before, wrong), at)), wrong
            altered.add(type(wrong))
    assert altered == {CreditsGranted, CycleReset, PlanUpgraded, TermRenewed}


def test_a_wrong_cycle_is_shown_as_the_event_has_it() -> None:
    resets = [(before, event, at) for before, event, _, at in lived() if isinstance(event, CycleReset)]
    for before, event, at in resets:
        wrong = replace(event, cycle=replace(event.cycle, number=77))
        [found] = [each for each in broken_rules(before, wrong, evolve(before, wrong), at) if "cycle" in each]
        assert found.startswith('says cycle {"number":77,"starts_at":"')
    assert resets


def test_a_cycle_that_begins_before_its_time_is_found() -> None:
    early = timedelta(microseconds=1)
    resets = [(before, event, after) for before, event, after, _ in lived() if isinstance(event, CycleReset)]
    for before, event, after in resets:
        found = " ".join(broken_rules(before, event, after, event.cycle.starts_at - early))
        assert "but was recorded before" in found
    assert resets


def test_what_comes_after_the_end_is_found() -> None:
    ended = [(after, at) for _, _, after, at in lived() if after.status == "ended"]
    for state, at in ended:
        again = SubscriptionEnded(at, 0)
        assert "comes after the end of its subscription" in list(broken_rules(state, again, state, at))
    assert ended


def test_a_quantity_that_is_not_that_of_the_settings_is_found() -> None:
    """The price still comes to the credits: twice the quantity at half the price."""
    charges = [each for each in lived() if isinstance(each[1], GenerationCharged | CreditsHeld)]
    for before, event, after, at in charges:
        assert isinstance(event, GenerationCharged | CreditsHeld)
        price = replace(
            event.price, quantity=event.price.quantity * 2, credits_per_unit=event.price.credits_per_unit / 2
        )
        wrong = replace(event, price=price)
        found = " ".join(broken_rules(before, wrong, after, at))
        assert f"says quantity {price.quantity}, but it comes to {event.price.quantity}" in found
    assert charges
