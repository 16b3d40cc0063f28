"""Ending a subscription: at the term's end or at once, withdrawn until then, and for good afterwards."""

import pytest

from services.catalogue import Settings
from services.subscription.commands import CancelSubscription, ChargeGeneration
from services.subscription.events import SubscriptionCancelled, SubscriptionEnded
from services.subscription.refusals import InsufficientCredits
from tests.unit.subscription.scenario import instant, play


def test_credits_stay_until_the_term_ends() -> None:
    play("""
        2024-01-31 10:00           | start ai-suite-40000-monthly | balance 40,000
        2024-02-05                 | charge 1,000                 | balance 39,000
        2024-02-10                 | cancel                       | status cancelling  recorded SubscriptionCancelled
                                   |                              | scheduled cancel at 2024-02-29 10:00  renews never
        2024-02-29 09:59:59.999999 | charge 39,000 as last        | balance 0  status cancelling
        2024-02-29 10:00           |                              | balance 0  status ended  renews never
    """)


def test_what_is_left_lapses_at_the_end() -> None:
    history = play("""
        2024-01-31 10:00 | start ai-suite-40000-monthly | balance 40,000
        2024-02-05       | charge 1,000                 | balance 39,000
                         | cancel                       | balance 39,000
        2024-02-29 10:00 | charge 1                     | refused subscription_ended
    """)

    ended = history.last(SubscriptionEnded)
    assert ended == SubscriptionEnded(instant("2024-02-29 10:00"), lapsed_credits=39_000)
    assert history.state_at(instant("2024-03-15")).balance_credits == 0


def test_a_yearly_plan_cancelled_in_the_middle_still_resets_until_its_end() -> None:
    play("""
        2024-01-31 | start ai-suite-40000-yearly | term_ends 2025-01-31
        2024-06-15 | charge 1,000                | balance 39,000
                   | cancel                      | scheduled cancel at 2025-01-31  renews 2024-06-30
        2024-06-30 |                             | balance 40,000  status cancelling  renews 2024-07-31
        2024-12-30 |                             | balance 40,000  cycle 11  renews 2024-12-31
        2024-12-31 |                             | balance 40,000  cycle 12  renews never  status cancelling
        2025-01-30 | charge 40,000               | balance 0
        2025-01-31 | record                      | answered unchanged  recorded SubscriptionEnded
                   |                             | balance 0  of 0  used 0  cycle 12  term 1  status ended
        2026-01-31 |                             | balance 0  status ended  cycle 12  term 1
    """)


def test_at_once_ends_it_immediately() -> None:
    history = play("""
        2024-01-31 10:00 | start ai-suite-40000-yearly | balance 40,000
        2024-02-05 11:30 | charge 1,000                | balance 39,000
                         | cancel now                  | recorded SubscriptionCancelled SubscriptionEnded
                         |                             | balance 0  of 0  used 0  carried 0  status ended
                         |                             | renews never  scheduled nothing  version 5
        2030-01-31       |                             | balance 0  version 5
    """)

    now = instant("2024-02-05 11:30")
    assert history.last(SubscriptionCancelled) == SubscriptionCancelled("now", now)
    assert history.last(SubscriptionEnded) == SubscriptionEnded(now, lapsed_credits=39_000)


def test_at_once_after_all() -> None:
    play("""
        2024-01-31 | start ai-suite-40000-yearly | balance 40,000
                   | cancel                      | status cancelling
        2024-02-29 | cancel now                  | recorded CycleReset SubscriptionCancelled SubscriptionEnded
                   |                             | status ended  balance 0
    """)


def test_cancelling_twice_changes_nothing() -> None:
    play("""
        2024-01-31 | start ai-suite-40000-yearly | balance 40,000
                   | cancel                      | version 3
        2024-02-01 | cancel                      | answered unchanged  version 3
    """)


def test_a_cancellation_can_be_undone_until_the_term_ends() -> None:
    play("""
        2024-01-31 10:00           | start ai-suite-40000-monthly | balance 40,000
        2024-02-05                 | cancel                       | renews never
        2024-02-29 09:59:59.999999 | resume                       | recorded PlanChangeUnscheduled  status active
                                   |                              | renews 2024-02-29 10:00  scheduled nothing
        2024-02-29 10:00           |                              | cycle 2  term 2  status active
    """)


def test_at_the_end_of_the_term_it_is_too_late() -> None:
    play("""
        2024-01-31 10:00 | start ai-suite-40000-monthly | balance 40,000
        2024-02-05       | cancel                       | status cancelling
        2024-02-29 10:00 | resume                       | refused subscription_ended  status ended
    """)


def test_with_nothing_scheduled_there_is_nothing_to_resume() -> None:
    play("""
        2024-01-31 | start ai-suite-40000-monthly | balance 40,000
                   | resume                       | refused nothing_scheduled
                   | cancel                       | status cancelling
                   | resume                       | status active
                   | resume                       | refused nothing_scheduled
    """)


def test_a_refused_charge_in_the_last_cycle_names_no_renewal() -> None:
    history = play("""
        2024-01-31 | start ai-suite-40000-monthly | balance 40,000
                   | cancel                       | renews never
    """)

    too_much = ChargeGeneration("film", "video", Settings(characters=40_001))
    refusal = history.apply(too_much, instant("2024-02-01")).refusal
    assert isinstance(refusal, InsufficientCredits)
    assert refusal.credits_renew_at is None


@pytest.mark.parametrize("how", ["cancel", "cancel now"])
@pytest.mark.parametrize(
    "command",
    [
        "charge 1",
        "charge 999,999 voiceover",
        "generate no-such-model",
        "upgrade odd-top-monthly",
        "upgrade no-such-plan",
        "downgrade ai-suite-40000-monthly",
        "cancel",
        "cancel now",
        "resume",
        "reverse song",
        "reverse song original_cycle",
    ],
)
def test_an_ended_subscription_refuses_every_command(how: str, command: str) -> None:
    play(f"""
        2024-01-31 | start max-pro-40000-monthly | balance 40,000
                   | charge 150 as song          | balance 39,850
                   | {how}                       | answered done
        2024-02-29 | {command}                     | refused subscription_ended  balance 0  status ended
                   | charge 150 as song          | answered replayed
                   | record                      | answered unchanged
    """)


def test_what_is_refused_is_told_in_a_sentence() -> None:
    history = play("""
        2024-01-31 | start ai-suite-40000-monthly | balance 40,000
                   | cancel now                   | status ended
    """)

    refusal = history.apply(CancelSubscription("now"), instant("2024-02-01")).refusal
    assert refusal is not None
    assert refusal.detail == "The subscription has ended; it can only be read."
