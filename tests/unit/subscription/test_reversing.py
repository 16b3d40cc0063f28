"""Reversing a charge, as an upheld dispute does: to its own cycle while that lasts, or to the current one."""

import os
from collections.abc import Sequence
from datetime import datetime
from itertools import product
from random import Random, SystemRandom

import pytest

from services.catalogue import Catalogue, UpgradePolicy
from services.subscription.commands import Command, UpgradePlan
from services.subscription.decide import decide
from services.subscription.events import ChargeReversed, PlanUpgraded
from services.subscription.refusals import Refusal
from services.subscription.state import Subscription, fold
from tests.unit.subscription.catalogues import odd_catalogue
from tests.unit.subscription.scenario import play
from tests.unit.subscription.simulation import Simulation, random_history


@pytest.mark.parametrize("to", ["", "original_cycle"])
def test_in_its_own_cycle_the_credits_can_be_spent_again(to: str) -> None:
    history = play(f"""
        2024-01-31 | start ai-suite-40000-monthly | balance 40,000
        2024-02-05 | charge 39,000 as film        | balance 1,000
                   | reverse film {to}            | balance 40,000 of 40,000  used 39,000  reversed 39,000  version 4
                   | charge 40,000                | balance 0  used 79,000
    """)

    assert history.last(ChargeReversed) == ChargeReversed(
        generation_id="film",
        dispute_id="dispute",
        credits=39_000,
        credit_to="original_cycle" if to else "current_cycle",
        cycle_number=1,
        balance_after=40_000,
    )


def test_once_its_cycle_has_ended_only_the_current_one_can_have_them() -> None:
    play("""
        2024-01-31 | start ai-suite-40000-monthly | balance 40,000
        2024-02-05 | charge 1,000 as film         | balance 39,000
        2024-02-29 | reverse film original_cycle  | refused cycle_closed  balance 40,000
                   | reverse film                 | balance 41,000 of 40,000  used 0  reversed 1,000
        2024-03-31 |                              | balance 40,000  reversed 0
    """)


def test_an_upgrade_closes_the_cycle_too() -> None:
    play("""
        2024-01-31 | start ai-suite-40000-monthly   | balance 40,000
        2024-02-05 | charge 1,000 as film           | balance 39,000
        2024-02-06 | upgrade max-pro-240000-monthly | balance 239,000  cycle 2
                   | reverse film original_cycle    | refused cycle_closed
                   | reverse film                   | balance 240,000  used 1,000  reversed 1,000
    """)


def test_in_the_last_cycle_of_a_cancelled_subscription_they_lapse_with_the_rest() -> None:
    play("""
        2024-01-31 | start ai-suite-40000-monthly | balance 40,000
                   | charge 1,000 as film         | balance 39,000
                   | cancel                       | status cancelling
                   | reverse film                 | balance 40,000
        2024-02-29 |                              | balance 0  reversed 0
    """)


def test_credits_given_back_live_on_through_an_upgrade_as_the_policy_has_it() -> None:
    play("""
        2024-01-31 | start odd-smaller-monthly    | balance 10,000
                   | charge 4,000 as film         | balance 6,000
        2024-02-29 | reverse film                 | balance 14,000 of 10,000  reversed 4,000
        2024-03-05 | upgrade odd-leftover-monthly | balance 314,000 of 314,000  carried 14,000  reversed 0
        2024-04-05 |                              | balance 300,000 of 300,000  carried 0
    """)


def test_credits_given_back_are_part_of_the_total_that_never_falls_below_zero() -> None:
    play("""
        2024-01-31 | start max-pro-240000-monthly | balance 240,000
                   | charge 30,000 as film        | balance 210,000
                   | charge 500 as track          | balance 209,500
                   | reverse track                | balance 210,000
        2024-02-05 | upgrade odd-smaller-monthly  | balance 0 of 10,000  used 10,500  reversed 500
                   | reverse film                 | balance 10,000 of 10,000  used 30,500  reversed 30,500
    """)


# 32,000 of 240,000 are used; the higher plan has 10,000. Under `deduct_used`, the 22,000 that it cannot deduct come off
# the film's 30,000 when that is given back.
@pytest.mark.parametrize(("policy", "balance"), [("deduct_used", "8,000"), ("add_leftover", "248,000")])
@pytest.mark.parametrize(
    "order", [("reverse film", "upgrade odd-smaller-yearly"), ("upgrade odd-smaller-yearly", "reverse film")]
)
def test_a_reversal_and_an_upgrade_leave_the_same_balance_in_either_order(
    policy: UpgradePolicy, balance: str, order: tuple[str, str]
) -> None:
    play(
        f"""
        2024-01-31 | start max-pro-240000-monthly | balance 240,000
                   | charge 30,000 as film        | balance 210,000
                   | charge 2,000                 | balance 208,000
        2024-02-05 | {order[0]}                   | answered done
        2024-02-06 | {order[1]}                   | balance {balance}
        2024-03-06 |                              | balance 10,000 of 10,000  used 0  reversed 0
        """,
        odd_catalogue(policy),
    )


def test_what_an_upgrade_could_not_deduct_comes_off_reversals_bit_by_bit() -> None:
    history = play("""
        2024-01-31 | start max-pro-240000-monthly | balance 240,000
                   | charge 6,000 as first        | balance 234,000
                   | charge 6,000 as second       | balance 228,000
                   | charge 3,000 as third        | balance 225,000
        2024-02-05 | upgrade odd-smaller-monthly  | balance 0 of 10,000  used 10,000
                   | reverse third                | balance 0  used 13,000  reversed 3,000
                   | reverse first                | balance 4,000  used 15,000  reversed 9,000
                   | charge 4,000 as later        | balance 0
                   | reverse second               | balance 6,000  used 19,000  reversed 15,000
                   | reverse later                | balance 10,000
    """)

    events = [event for _, event in history.recorded if isinstance(event, ChargeReversed)]
    assert [event.deducted_credits for event in events] == [3_000, 2_000, 0, 0]
    assert history.last(PlanUpgraded).undeducted_credits == 5_000


def test_it_comes_off_no_charge_that_was_made_after_that_upgrade() -> None:
    """Though an upgrade by `add_leftover` gives credits to spend before it is deducted."""
    play("""
        2024-01-31 | start max-pro-240000-monthly | balance 240,000
                   | charge 15,000 as film        | balance 225,000
        2024-02-05 | upgrade odd-smaller-monthly  | balance 0 of 10,000
        2024-02-06 | upgrade odd-leftover-monthly | balance 300,000 of 300,000
                   | charge 1,000 as song         | balance 299,000
                   | reverse song                 | balance 300,000
                   | reverse film                 | balance 310,000
    """)


def test_it_is_forgotten_with_the_cycle() -> None:
    play("""
        2024-01-31 | start max-pro-240000-monthly | balance 240,000
                   | charge 15,000 as film        | balance 225,000
        2024-02-05 | upgrade odd-smaller-monthly  | balance 0 of 10,000
        2024-03-05 | reverse film                 | balance 25,000 of 10,000
    """)


@pytest.mark.parametrize("histories", [500, pytest.param(20_000, marks=pytest.mark.long)])
def test_the_order_makes_no_difference_whatever_came_before_and_comes_after(histories: int) -> None:
    """After histories at random: the two in either order, and then another upgrade; under `fresh` it may."""
    seed = os.environ.get("TALLYSTICK_SEED") or str(SystemRandom().randrange(2**32))
    compared = 0
    for number in range(histories):
        random = Random(f"{seed}:{number}")
        beginning, steps = random_history(random)
        simulation = Simulation(beginning)
        for step in steps:
            simulation.play(step)
        history, at = simulation.history, simulation.at
        state, catalogue = history.state_at(at), history.catalogue
        upgrades = [UpgradePlan(plan.plan_id) for plan in catalogue.plans if catalogue.policy_for(plan) != "fresh"]
        reversals = [
            history.reversal_of(id, "current_cycle") for id in history.charges if id not in simulation.model.reversed
        ]
        for reversal, upgrade, next_upgrade in product(reversals[-3:], upgrades, random.sample(upgrades, 2)):
            first = _after(state, (reversal, upgrade), at, catalogue)
            second = _after(state, (upgrade, reversal), at, catalogue)
            if first is None or second is None:
                continue
            where = f"TALLYSTICK_SEED={seed}, history {number}: {upgrade}, {reversal}, {next_upgrade}"
            assert first.balance_credits == second.balance_credits, where
            balances = [
                after and after.balance_credits
                for state_then in (first, second)
                for after in [_after(state_then, (next_upgrade,), at, catalogue)]
            ]
            assert balances[0] == balances[1], where
            compared += 1
    assert compared > histories, "too little was compared"


def _after(state: Subscription, commands: Sequence[Command], at: datetime, catalogue: Catalogue) -> Subscription | None:
    """Return the state after commands at an instant; None where one of them is refused."""
    for command in commands:
        decision = decide(state, command, at, catalogue)
        if isinstance(decision, Refusal):
            return None
        after = fold(decision, state)
        assert after is not None
        state = after
    return state
