"""Moving to another plan of the same or a lower tier: scheduled, at the term's end, from the same anchor."""

import pytest

from services.catalogue import Money
from services.subscription.events import PlanChangeScheduled, PlanChangeUnscheduled, TermRenewed
from tests.unit.subscription.scenario import instant, play


def test_it_takes_effect_at_the_end_of_the_term() -> None:
    play("""
        2024-01-31 10:00           | start ai-suite-40000-monthly     | balance 40,000
        2024-02-05                 | downgrade ai-starter-7500-monthly| recorded PlanChangeScheduled  balance 40,000
                                   |                                  | plan ai-suite-40000-monthly  status active
        2024-02-29 09:59:59.999999 | charge 40,000 music              | balance 0
        2024-02-29 10:00           | charge 1 music                   | refused not_in_plan
                                   | charge 1 voiceover               | balance 7,499 of 7,500
                                   |                                  | plan ai-starter-7500-monthly
                                   |                                  | scheduled nothing  cycle 2  term 2
    """)


def test_on_a_yearly_plan_the_credits_stay_until_the_year_is_over() -> None:
    play("""
        2024-01-31 | start max-pro-240000-yearly     | balance 240,000
        2024-02-05 | downgrade ai-suite-40000-yearly | scheduled downgrade ai-suite-40000-yearly at 2025-01-31
        2025-01-30 |                                 | balance 240,000  cycle 12  renews 2025-01-31
        2025-01-31 |                                 | balance 40,000  cycle 13  term 2  term_ends 2026-01-31
    """)


def test_from_yearly_to_monthly_the_anchor_stays() -> None:
    play("""
        2023-01-31 10:00 | start ai-suite-40000-yearly      | term_ends 2024-01-31 10:00
        2023-06-05       | downgrade ai-suite-40000-monthly | plan ai-suite-40000-yearly
        2024-01-31 10:00 |                                  | term 2  anchor 2023-01-31 10:00
                         |                                  | renews 2024-02-29 10:00  term_ends 2024-02-29 10:00
        2024-02-29 10:00 |                                  | term 3  renews 2024-03-31 10:00
        2025-02-01       |                                  | term 14  renews 2025-02-28 10:00
        2025-03-01       |                                  | term 15  renews 2025-03-31 10:00
    """)


def test_from_monthly_to_yearly_the_anchor_stays() -> None:
    play("""
        2024-01-31 | start ai-suite-40000-monthly    | cycle 1
        2024-02-05 | downgrade ai-suite-40000-yearly | scheduled downgrade ai-suite-40000-yearly at 2024-02-29
        2024-02-29 |                                 | term 2  term_ends 2025-02-28  cycle 2  cycle_ends 2024-03-31
        2025-02-27 |                                 | term 2  cycle 13
        2025-02-28 |                                 | term 3  term_ends 2026-02-28  cycle 14  cycle_ends 2025-03-31
        2028-02-28 |                                 | term 5
        2028-02-29 |                                 | term 6  term_ends 2029-02-28
    """)


def test_there_and_back_again_keeps_the_anchor() -> None:
    play("""
        2024-01-31 | start ai-suite-40000-monthly     | term_ends 2024-02-29
        2024-02-05 | downgrade ai-suite-40000-yearly  | answered done
        2024-03-05 | downgrade ai-suite-40000-monthly | scheduled downgrade ai-suite-40000-monthly at 2025-02-28
        2025-03-01 |                                  | plan ai-suite-40000-monthly  term 3  term_ends 2025-03-31
        2025-04-01 |                                  | term 4  term_ends 2025-04-30  anchor 2024-01-31
    """)


def test_the_plan_and_its_price_are_recorded_as_they_were_agreed() -> None:
    history = play("""
        2024-01-31 | start odd-leftover-monthly    | balance 300,000
                   | downgrade odd-smaller-monthly | answered done
        2024-03-01 | record                        | answered unchanged  recorded CycleReset TermRenewed
    """)

    scheduled = history.last(PlanChangeScheduled)
    assert (scheduled.plan.plan_id, scheduled.effective_at) == ("odd-smaller-monthly", instant("2024-02-29"))
    assert history.last(TermRenewed).plan == scheduled.plan
    assert scheduled.plan.price == Money("9.00", "EUR")


@pytest.mark.parametrize(
    ("plan_id", "code"),
    [
        ("ai-suite-40000-monthly", "not_a_downgrade"),
        ("max-pro-40000-monthly", "not_a_downgrade"),
        ("odd-top-monthly", "not_a_downgrade"),
        ("no-such-plan", "unknown_plan"),
    ],
    ids=["the plan it has", "a higher tier", "the highest tier", "unknown"],
)
def test_anything_but_another_plan_of_the_same_or_a_lower_tier_is_refused(plan_id: str, code: str) -> None:
    play(f"""
        2024-01-31 | start ai-suite-40000-monthly | balance 40,000
                   | downgrade {plan_id}          | refused {code}  version 2  scheduled nothing
    """)


@pytest.mark.parametrize("plan_id", ["ai-suite-40000-yearly", "ai-starter-16500-monthly", "odd-single-monthly"])
def test_another_plan_of_the_same_or_a_lower_tier_is_scheduled(plan_id: str) -> None:
    play(f"""
        2024-01-31 | start ai-suite-40000-monthly | balance 40,000
                   | downgrade {plan_id}          | scheduled downgrade {plan_id} at 2024-02-29
    """)


def test_the_latest_change_replaces_the_one_before() -> None:
    play("""
        2024-01-31 | start ai-suite-40000-monthly       | balance 40,000
                   | downgrade ai-starter-7500-monthly  | scheduled downgrade ai-starter-7500-monthly at 2024-02-29
                   | downgrade ai-starter-16500-monthly | scheduled downgrade ai-starter-16500-monthly at 2024-02-29
                   | cancel                             | scheduled cancel at 2024-02-29  status cancelling
                   | downgrade ai-suite-40000-yearly    | scheduled downgrade ai-suite-40000-yearly at 2024-02-29
                   |                                    | status active  renews 2024-02-29
        2024-02-29 |                                    | plan ai-suite-40000-yearly  term_ends 2025-02-28
    """)


def test_the_same_change_again_changes_nothing() -> None:
    play("""
        2024-01-31 | start ai-suite-40000-monthly      | balance 40,000
                   | downgrade ai-starter-7500-monthly | version 3
        2024-02-05 | downgrade ai-starter-7500-monthly | answered unchanged  version 3
    """)


def test_it_can_be_undone_until_the_term_ends() -> None:
    history = play("""
        2024-01-31 10:00           | start ai-suite-40000-monthly      | balance 40,000
                                   | downgrade ai-starter-7500-monthly | version 3
        2024-02-29 09:59:59.999999 | resume                            | scheduled nothing  version 4
        2024-02-29 10:00           |                                   | plan ai-suite-40000-monthly  balance 40,000
    """)

    assert history.last(PlanChangeUnscheduled) == PlanChangeUnscheduled("downgrade")


def test_at_the_end_of_the_term_there_is_nothing_left_to_undo() -> None:
    play("""
        2024-01-31 10:00 | start ai-suite-40000-monthly      | balance 40,000
                         | downgrade ai-starter-7500-monthly | answered done
        2024-02-29 10:00 | resume                            | refused nothing_scheduled  plan ai-starter-7500-monthly
    """)


def test_a_downgrade_that_a_cancellation_replaced_does_not_come_back() -> None:
    play("""
        2024-01-31 | start ai-suite-40000-monthly      | balance 40,000
        2024-02-01 | charge 1,000                      | balance 39,000
                   | downgrade ai-starter-7500-monthly | scheduled downgrade ai-starter-7500-monthly at 2024-02-29
                   | cancel                            | scheduled cancel at 2024-02-29
                   | resume                            | scheduled nothing  status active  renews 2024-02-29
        2024-02-10 | upgrade max-pro-240000-monthly    | balance 239,000 of 240,000  scheduled nothing
        2024-03-10 |                                   | plan max-pro-240000-monthly  balance 240,000  cycle 3  term 3
    """)


def test_after_it_took_effect_the_higher_plan_is_an_upgrade_again() -> None:
    play("""
        2024-01-31 | start ai-suite-40000-monthly        | balance 40,000
                   | downgrade ai-starter-16500-monthly  | answered done
        2024-02-28 | charge 39,999                       | balance 1
        2024-02-29 | charge 500                          | balance 16,000
        2024-03-05 | upgrade ai-suite-40000-monthly      | balance 39,500 of 40,000  anchor 2024-03-05
    """)
