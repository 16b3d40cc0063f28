"""Movements: what each event moves adds up to what is held and left, whatever comes in which order."""

from collections.abc import Iterable
from operator import add
from random import Random

import pytest
from msgspec.structs import astuple

from services.subscription.events import Event
from services.subscription.movements import MOVING_EVENTS, Movements, movements_of
from services.subscription.state import evolve
from tests.unit.subscription.history import History
from tests.unit.subscription.scenario import play
from tests.unit.subscription.simulation import Simulation, random_history


def total(events: Iterable[Event]) -> Movements:
    moved = [astuple(each) for event in events if (each := movements_of(event)) is not None]
    return Movements(*[sum(column) for column in zip(*moved, strict=True)])


def moved_in(history: History) -> Movements:
    """The sums of a history, each of whose events adds up and leaves what its state says."""
    state, so_far = None, Movements()
    for _, event in history.recorded:
        state, moved = evolve(state, event), movements_of(event)
        assert (moved is not None) == (type(event) in MOVING_EVENTS)
        if moved is not None:
            assert moved.sum_credits == 0, event
            so_far = Movements(*map(add, astuple(so_far), astuple(moved)))
        held = sum(hold.credits for hold in state.holds)
        assert (so_far.held_credits, so_far.left_credits) == (held, state.available_credits), event
    return so_far


@pytest.mark.parametrize(
    ("scenario", "expected"),
    [
        (
            """
            2024-01-31 | start ai-starter-16500-monthly | available 16,500
                       | charge 500 as one              | available 16,000
            2024-02-29 | record                         | available 16,500
            """,
            Movements(33_000, used_credits=500, lapsed_credits=16_000, left_credits=16_500),
        ),
        (  # a late capture is used, and what its hold held beyond it lapses
            """
            2024-02-28 12:00 | start ai-starter-16500-monthly | available 16,500
            2024-03-28 11:50 | hold 1,000 as one              | available 15,500
            2024-03-28 12:00 | record                         | available 16,500
                             | capture one 400                | available 16,500
            """,
            Movements(33_000, used_credits=400, lapsed_credits=16_100, left_credits=16_500),
        ),
        (  # released late, all of it lapses; open, it is held for as long as it is
            """
            2024-02-28 12:00 | start ai-starter-16500-monthly | available 16,500
            2024-03-28 11:50 | hold 1,000 as one              | available 15,500
                             | hold 300 as two                | available 15,200
                             | cancel now                     | available 0
                             | release one                    | available 0
            """,
            Movements(16_500, lapsed_credits=16_200, held_credits=300),
        ),
        (  # by deduct_used the difference is granted, and a hold comes along
            """
            2024-01-31 | start ai-suite-40000-monthly  | available 40,000
                       | charge 1,000 as one           | available 39,000
                       | hold 600 as two               | available 38,400
                       | upgrade max-pro-240000-monthly | available 238,400
                       | capture two 500               | available 238,500
            """,
            Movements(240_000, used_credits=1_500, left_credits=238_500),
        ),
        (  # by add_leftover the allowance of the new plan is granted
            """
            2024-01-31 | start ai-starter-16500-monthly | available 16,500
                       | charge 1,000 as one            | available 15,500
                       | upgrade odd-leftover-monthly   | available 315,500
            """,
            Movements(316_500, used_credits=1_000, left_credits=315_500),
        ),
        (  # by fresh what was there lapses
            """
            2024-01-31 | start ai-starter-16500-monthly | available 16,500
                       | charge 1,000 as one            | available 15,500
                       | upgrade odd-fresh-yearly       | available 5,000
            """,
            Movements(21_500, used_credits=1_000, lapsed_credits=15_500, left_credits=5_000),
        ),
        (
            """
            2024-01-31 | start ai-suite-40000-monthly | available 40,000
                       | charge 1,000 as one          | available 39,000
                       | reverse one                  | available 40,000
                       | adjust 300 run-1             | available 40,300
                       | adjust -500 run-2            | available 39,800
            """,
            Movements(40_000, used_credits=1_500, reversed_credits=1_300, left_credits=39_800),
        ),
    ],
)
def test_a_history_moves(scenario: str, expected: Movements) -> None:
    assert moved_in(play(scenario)) == expected


def test_random_histories_add_up_after_each_event() -> None:
    random, events = Random(15), 0
    for _ in range(250):
        beginning, steps = random_history(random)
        simulation = Simulation(beginning)
        for step in steps:
            simulation.play(step)
        moved_in(simulation.history)
        events += len(simulation.history.recorded)
    assert events > 2_500
