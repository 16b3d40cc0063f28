"""Reversing a charge, as an upheld dispute does: to its own cycle while that lasts, or to the current one."""

import pytest

from services.subscription.events import ChargeReversed
from tests.unit.subscription.scenario import play


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
                   | reverse film                 | balance 30,000 of 10,000  used 10,500  reversed 30,500
    """)
