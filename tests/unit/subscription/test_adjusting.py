"""Correcting an operator's error: the differences that a run of a what-if found are settled, once per run."""

import pytest

from services.subscription.commands import SuspendSubscription
from services.subscription.events import AlertCrossed, CreditsAdjusted
from tests.unit.subscription.scenario import go_on, instant, play


def test_what_is_given_counts_as_given_back_and_can_be_spent() -> None:
    history = play("""
        2024-01-31 | start ai-suite-40000-monthly | balance 40,000
        2024-02-05 | charge 39,000                | balance 1,000
                   | adjust 300 run-1             | balance 1,300 of 40,000  used 39,000  reversed 300  version 4
                   | charge 1,300                 | balance 0
        2024-02-29 |                              | balance 40,000  reversed 0
    """)

    assert history.last(CreditsAdjusted) == CreditsAdjusted(300, "run-1", "a wrong price")


def test_what_is_taken_counts_as_used() -> None:
    play("""
        2024-01-31 | start ai-suite-40000-monthly | balance 40,000
                   | adjust -300 run-1            | balance 39,700 of 40,000  used 300  reversed 0
        2024-02-29 |                              | balance 40,000  used 0
    """)


def test_a_run_is_settled_once() -> None:
    play("""
        2024-01-31 | start ai-suite-40000-monthly | balance 40,000
                   | adjust -300 run-1            | balance 39,700
                   | adjust -300 run-1            | answered unchanged  balance 39,700  version 3
                   | adjust -200 run-2            | balance 39,500
        2024-03-15 | adjust -200 run-1            | answered unchanged  balance 40,000
    """)


@pytest.mark.parametrize(("balance", "taken"), [("300", 300), ("1", 1), ("0", 0)])
def test_no_more_is_taken_than_is_available(balance: str, taken: int) -> None:
    history = play(f"""
        2024-01-31 | start ai-suite-40000-monthly      | balance 40,000
                   | charge {40_000 - int(balance)}    | balance {balance}
                   | adjust -300 run-1                 | balance 0  used {40_000 - int(balance) + taken:,}
                   | adjust -300 run-1                 | answered unchanged
    """)

    assert history.last(CreditsAdjusted).credits == -taken


def test_what_is_held_is_not_taken() -> None:
    play("""
        2024-01-31 | start ai-suite-40000-monthly | balance 40,000
                   | hold 39,900 as film          | balance 40,000  available 100
                   | adjust -300 run-1            | balance 39,900  available 0
                   | capture film                 | balance 0
    """)


@pytest.mark.parametrize(("adjusted", "left"), [("300", "239,300"), ("-300", "238,700")])
def test_an_upgrade_takes_it_along(adjusted: str, left: str) -> None:
    play(f"""
        2024-01-31 | start ai-suite-40000-monthly   | balance 40,000
                   | charge 1,000                   | balance 39,000
                   | adjust {adjusted} run-1        |
                   | upgrade max-pro-240000-monthly | balance {left}
    """)
    play(f"""
        2024-01-31 | start ai-suite-40000-monthly   | balance 40,000
                   | charge 1,000                   | balance 39,000
                   | upgrade max-pro-240000-monthly | balance 239,000
                   | adjust {adjusted} run-1        | balance {left}
    """)


def test_suspended_it_is_settled_and_ended_it_is_not() -> None:
    history = play("2024-01-31 | start ai-suite-40000-monthly | balance 40,000")
    history.apply(SuspendSubscription("a renewal was not paid"), instant("2024-01-31"))
    go_on(
        history,
        """
        2024-01-31 | adjust 300 run-1             | balance 40,300
                   | cancel now                   | status ended
                   | adjust 300 run-2             | refused subscription_ended  balance 0
        """,
    )


def test_what_is_taken_may_cross_a_threshold() -> None:
    history = play("""
        2024-01-31 | start ai-suite-40000-monthly | balance 40,000
                   | alerts 0.5                   | balance 40,000
                   | charge 19,900                | balance 20,100
                   | adjust -100 run-1            | balance 20,000
                   | adjust 300 run-2             | balance 20,300
                   | charge 301                   | balance 19,999
    """)

    crossed = AlertCrossed("0.5", 20_000, 40_000, instant("2024-01-31"))
    adjusted = [event for _, event in history.recorded if isinstance(event, CreditsAdjusted)]
    assert [(each.cycle_number, each.alerts) for each in adjusted] == [(1, (crossed,)), (None, ())]
