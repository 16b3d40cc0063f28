"""Holds: what is held, for whom, how long, and what becomes of it over every boundary. One credit a character."""

import pytest

from services.catalogue import Settings
from services.subscription.commands import HoldCredits
from services.subscription.decide import decide
from services.subscription.events import CycleReset, HoldReleased
from services.subscription.refusals import HoldsOutstanding, InsufficientCredits
from tests.unit.subscription.scenario import go_on, instant, play


def test_h1_what_is_held_is_there_and_cannot_be_spent() -> None:
    play("""
        2024-01-31 | start ai-starter-16500-monthly | available 16,500 held 0
                   | hold 16,000 as film            | balance 16,500 held 16,000 available 500 used 0
                   | charge 501                     | refused insufficient_credits
                   | hold 501 as more               | refused insufficient_credits
                   | charge 500                     | balance 16,000 available 0
    """)


def test_h1_a_refusal_names_the_plans_that_could_pay_beside_all_that_is_held() -> None:
    history = play("""
        2024-01-31 | start ai-suite-40000-monthly | available 40,000
                   | hold 39,000 as film          | available 1,000
    """)
    refused = decide(
        history.state_at(instant("2024-01-31")),
        _hold(2_000, "more"),
        instant("2024-01-31"),
        history.catalogue,
    )
    assert isinstance(refused, InsufficientCredits)
    assert (refused.balance_credits, refused.available_credits) == (40_000, 1_000)
    # 41,000 in all: the same 40,000 of a higher tier do not do, nor the 10,000 and 5,000 of the odd plans above
    assert "max-pro-40000-monthly" not in refused.upgrade_options
    assert "odd-smaller-monthly" not in refused.upgrade_options
    assert "max-pro-240000-monthly" in refused.upgrade_options
    assert "odd-leftover-monthly" in refused.upgrade_options


def test_h1_the_order_of_refusals() -> None:
    play("""
        2024-01-31 | start ai-starter-7500-monthly      | available 7,500
                   | hold 9,000 music as song           | refused not_in_plan
                   | hold 9,000 nothing as song         | refused unknown_model
                   | hold 9,000 voiceover as speech     | refused insufficient_credits
                   | cancel now                         | status ended
                   | hold 9,000 nothing as song         | refused subscription_ended
    """)


def test_h3_a_capture_may_come_to_less_or_to_more() -> None:
    play("""
        2024-01-31 | start ai-starter-16500-monthly | available 16,500
                   | hold 1,000 as one              | held 1,000
                   | hold 2,000 as two              | held 3,000 open one@1 two@1
                   | capture one 400                | balance 16,100 held 2,000 available 14,100 open two@1
                   | capture two 5,000              | balance 11,100 held 0 available 11,100 open none used 5,400
    """)


def test_h3_a_dearer_capture_needs_the_difference_to_the_credit() -> None:
    play("""
        2024-01-31 | start ai-starter-16500-monthly | available 16,500
                   | hold 1,000 as one              | available 15,500
                   | charge 15,000                  | available 500
                   | capture one 1,501              | refused insufficient_credits held 1,000 available 500
                   | capture one 1,500              | balance 0 available 0
    """)


def test_h3_a_capture_is_priced_by_the_card_of_its_hold() -> None:
    history = play("""
        2025-01-15 11:50           | start ai-suite-40000-monthly | balance 40,000
        2025-01-15 11:59:59.999999 | hold 10 as words             | held 10
        2025-01-15 12:00           | capture words 20             | balance 39,980
    """)
    assert history.charges["words"].price.rate_card == "first"


def test_h5_a_hold_expires_at_its_instant() -> None:
    play("""
        2024-01-31 10:00           | start ai-starter-16500-monthly | available 16,500
                                   | hold 1,000 60s as one          | available 15,500
        2024-01-31 10:00:59.999999 |                                | available 15,500 open one@1
                                   | charge 15,501                  | refused insufficient_credits
        2024-01-31 10:01           |                                | available 16,500 open none
                                   | charge 16,500                  | recorded HoldReleased GenerationCharged  balance 0
    """)


def test_h5_expiries_of_one_instant_come_in_the_order_of_the_holds_and_after_the_reset() -> None:
    history = play("""
        2024-01-31 10:00 | start ai-starter-16500-monthly | available 16,500
        2024-02-29 09:59 | hold 1 60s as b                | held 1
                         | hold 2 60s as a                | held 3
        2024-02-29 10:00 | record                         | recorded CycleReset TermRenewed HoldReleased HoldReleased
    """)
    released = [event for _, event in history.recorded if isinstance(event, HoldReleased)]
    assert [(each.generation_id, each.cause, each.cycle_number, each.lapsed_credits) for each in released] == [
        ("b", "expired", 1, 1),
        ("a", "expired", 1, 2),
    ]
    reset = history.last(CycleReset)
    assert (reset.lapsed_credits, reset.held_credits) == (16_497, 3)


def test_h5_a_microsecond_before_the_reset_it_is_free_and_lapses_with_the_rest() -> None:
    history = play("""
        2024-01-31 10:00           | start ai-starter-16500-monthly | available 16,500
        2024-02-29 09:58:59.999999 | hold 500 60s as one            | held 500
        2024-02-29 10:00           | record                         | recorded HoldReleased CycleReset TermRenewed
    """)
    reset = history.last(CycleReset)
    assert (reset.lapsed_credits, reset.held_credits) == (16_500, 0)


def test_h6_over_a_reset_the_new_allowance_is_untouched() -> None:
    play("""
        2024-01-31 10:00 | start ai-starter-16500-monthly | available 16,500
        2024-02-29 09:59 | hold 1,000 as one              | available 15,500
                         | hold 1,000 as two              | available 14,500
        2024-02-29 10:00 |                                | balance 16,500 held 0 available 16,500 open one@1 two@1
                         | capture one 1,001              | refused cycle_closed
                         | capture one 900                | balance 16,500 used 0 available 16,500
                         | charge 16,500                  | balance 0
                         | capture two                    | balance 0 open none
    """)


def test_h6_two_resets_later_is_no_other() -> None:
    play("""
        2024-01-31 10:00 | start max-pro-240000-yearly  | available 240,000
        2024-02-29 09:59 | hold 1,000 604800s as one    | available 239,000
        2024-03-07 09:58 | capture one                  | balance 240,000 cycle 2
    """)


@pytest.mark.parametrize(
    ("plan_id", "after"),
    [
        ("max-pro-240000-monthly", "balance 239,000 held 4,000 available 235,000 carried 0"),  # deduct_used
        ("odd-leftover-monthly", "balance 339,000 held 4,000 available 335,000 carried 39,000"),  # add_leftover
        ("odd-fresh-yearly", "balance 5,000 held 4,000 available 1,000 carried 0"),  # fresh
    ],
)
def test_h7_open_holds_count_against_what_each_policy_leaves(plan_id: str, after: str) -> None:
    play(f"""
        2024-01-31 | start ai-suite-40000-monthly | balance 40,000
                   | charge 1,000                 | balance 39,000
                   | hold 4,000 as film           | available 35,000
                   | upgrade {plan_id}            | {after} cycle 2 open film@2
                   | capture film                 | held 0 open none
    """)


@pytest.mark.parametrize(
    ("plan_id", "balance_after"),
    [("odd-smaller-monthly", 9_000), ("odd-fresh-yearly", 5_000)],
)
def test_h7_an_upgrade_that_leaves_less_than_is_held_is_refused(plan_id: str, balance_after: int) -> None:
    history = play("""
        2024-01-31 | start ai-suite-40000-monthly | balance 40,000
                   | charge 1,000                 | balance 39,000
                   | hold 9,001 as film           | held 9,001
    """)
    answer = go_on(history, f"2024-01-31 | upgrade {plan_id} | refused holds_outstanding held 9,001 cycle 1")
    assert answer is not None
    assert answer.refusal == HoldsOutstanding(held_credits=9_001, balance_after=balance_after)


def test_h7_an_upgrade_that_leaves_exactly_what_is_held_is_none_too_small() -> None:
    play("""
        2024-01-31 | start ai-suite-40000-monthly  | balance 40,000
                   | charge 1,000                  | balance 39,000
                   | hold 9,000 as film            | held 9,000
                   | upgrade odd-smaller-monthly   | balance 9,000 held 9,000 available 0
                   | capture film                  | balance 0
    """)


def test_h7_an_upgrade_at_exactly_the_reset_leaves_the_hold_in_the_cycle_before() -> None:
    play("""
        2024-01-31 10:00 | start ai-suite-40000-monthly   | balance 40,000
        2024-02-29 09:59 | hold 4,000 as film             | held 4,000
        2024-02-29 10:00 | upgrade max-pro-240000-monthly | balance 240,000 held 0 cycle 3 open film@1
                         | capture film                   | balance 240,000
    """)


def test_h7_two_upgrades_take_a_hold_along_twice_and_an_expiry_frees_it_there() -> None:
    history = play("""
        2024-01-31 10:00 | start ai-starter-16500-monthly | balance 16,500
                         | hold 1,000 as film             | available 15,500
                         | upgrade ai-suite-40000-monthly | available 39,000 open film@2
                         | upgrade max-pro-240000-monthly | available 239,000 open film@3
        2024-01-31 10:15 | record                         | available 240,000 open none
    """)
    released = history.last(HoldReleased)
    assert (released.cycle_number, released.lapsed_credits) == (3, 0)


def test_h6_over_a_downgrade_a_hold_is_captured_though_the_plan_no_longer_includes_it() -> None:
    play("""
        2024-01-31 10:00 | start ai-suite-40000-monthly      | balance 40,000
                         | downgrade ai-starter-7500-monthly | balance 40,000
        2024-02-29 09:59 | hold 4,000 video as film          | held 4,000
        2024-02-29 10:00 |                                   | plan ai-starter-7500-monthly balance 7,500 held 0
                         | charge 1 video                    | refused not_in_plan
                         | capture film                      | balance 7,500
    """)


def test_h8_holds_outlive_the_end() -> None:
    play("""
        2024-01-31 10:00 | start ai-suite-40000-monthly | balance 40,000
                         | hold 4,000 as film           | held 4,000
                         | hold 5,000 as series         | held 9,000
                         | hold 6,000 as trailer        | held 15,000
                         | cancel now                   | status ended balance 0 held 0 available 0
                         | capture film 4,001           | refused cycle_closed
                         | capture film 3,000           | balance 0
                         | release series               | balance 0 open trailer@1
        2024-01-31 10:15 | record                       | open none status ended
    """)


def test_h9_a_thousand_open_holds_are_enough_whatever_their_cycle() -> None:
    history = play("""
        2024-01-31 10:00 | start max-pro-240000-monthly | balance 240,000
        2024-02-29 09:59 |                              | balance 240,000
    """)
    for number in range(1_000):
        history.apply(_hold(1, f"h-{number}"), instant("2024-02-29 09:59"))
    go_on(history, "2024-02-29 09:59 | hold 1 as more | refused too_many_holds held 1,000")
    go_on(history, "2024-02-29 10:00 | hold 1 as more | refused too_many_holds held 0")
    go_on(history, "2024-02-29 10:00 | hold 240,001 as more | refused too_many_holds")
    go_on(history, "2024-02-29 10:00 | release h-500 | held 0")
    go_on(history, "2024-02-29 10:00 | hold 1 as more | held 1")


def _hold(characters: int, generation_id: str) -> HoldCredits:
    return HoldCredits(generation_id, "music", Settings(characters=characters))
