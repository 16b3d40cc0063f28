"""What an event says of itself: true of every event that the core decides, and found where it is altered."""

from collections.abc import Iterator
from random import Random

from msgspec.structs import replace

from services.integrity.rules import broken_rules
from services.subscription.events import Event
from services.subscription.state import Subscription, evolve
from tests.unit.subscription.simulation import Simulation, random_history

NUMBERS = ("balance_before", "balance_after", "lapsed_credits", "cycle_number")


def lived() -> Iterator[tuple[Subscription | None, Event, Subscription]]:
    """Each event of some histories, between the states before and after it."""
    for seed in range(60):
        beginning, steps = random_history(Random(seed))
        simulation = Simulation(beginning)
        for step in steps:
            simulation.play(step)
        state: Subscription | None = None
        for _, event in simulation.history.recorded:
            before, state = state, evolve(state, event)
            yield before, event, state


def test_what_the_core_decides_breaks_no_rule() -> None:
    for before, event, after in lived():
        assert list(broken_rules(before, event, after)) == [], event


def test_a_number_that_is_not_so_is_found_in_whatever_event_it_stands() -> None:
    altered = set[tuple[str, str]]()
    for before, event, after in lived():
        for name in set(NUMBERS) & set(event.__struct_fields__) if before else ():
            wrong = replace(event, **{name: getattr(event, name) + 1})
            assert f"says {name} " in " ".join(broken_rules(before, wrong, after)), wrong
            altered.add((type(event).__name__, name))
    assert altered == {
        ("ChargeReversed", "balance_after"),
        ("ChargeReversed", "cycle_number"),
        ("CreditsGranted", "cycle_number"),
        ("CycleReset", "lapsed_credits"),
        ("GenerationCharged", "balance_after"),
        ("GenerationCharged", "cycle_number"),
        ("PlanUpgraded", "balance_before"),
        ("SubscriptionEnded", "lapsed_credits"),
    }
