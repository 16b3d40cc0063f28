"""Moving to a higher plan: at once, from a new anchor, with what the upgrade policy leaves."""

from typing import get_args

import pytest
from msgspec.structs import replace

from services.catalogue import Catalogue, Money, UpgradePolicy
from services.subscription.commands import Command, UpgradePlan
from services.subscription.events import PlanUpgraded
from tests.unit.subscription.catalogues import odd_catalogue, packaged_catalogue
from tests.unit.subscription.scenario import instant, play


def with_policies(**policies: UpgradePolicy) -> Catalogue:
    """Set the policies of some plans of the odd catalogue; `max_pro` stands for `max-pro`."""
    odd = odd_catalogue()
    plans = [
        replace(plan, upgrade_policy=policies.get(plan.plan_id.replace("-", "_"), plan.upgrade_policy))
        for plan in odd.plans
    ]
    return Catalogue(plans, odd.rate_cards, odd.upgrade_policy)


def test_r4_credits_come_only_from_plans_and_from_charges_given_back() -> None:
    assert {kind.__name__ for kind in get_args(Command)} == {
        "StartSubscription",
        "ChargeGeneration",
        "HoldCredits",
        "CaptureHold",
        "ReleaseHold",
        "UpgradePlan",
        "ScheduleDowngrade",
        "CancelSubscription",
        "ResumeSubscription",
        "ChangeAlerts",
        "SuspendSubscription",
        "ReinstateSubscription",
        "ReverseCharge",
        "AdjustCredits",
        "AdoptTerms",
        "RecordDue",
    }


def test_r5_the_credits_of_the_plan_are_the_total_a_month() -> None:
    play(
        """
        2024-01-31 | start ai-suite-40000-monthly   | balance 40,000
        2024-02-10 | upgrade max-pro-240000-monthly | balance 240,000 of 240,000
        2024-03-10 |                                | balance 240,000 of 240,000
        """,
        packaged_catalogue(),
    )


def test_r6_credits_used_in_the_current_cycle_are_deducted_from_the_new_total() -> None:
    play(
        """
        2024-01-31 | start ai-suite-40000-monthly     | balance 40,000
        2024-02-05 | generate lyria-3 count=6         | balance 39,100
                   | generate example-image-1 count=5 | balance 39,000 of 40,000
        2024-02-10 | upgrade max-pro-240000-monthly   | balance 239,000 of 240,000  used 1,000  carried 0
        """,
        packaged_catalogue(),
    )


def test_r6_credits_used_in_earlier_cycles_are_not_deducted() -> None:
    play("""
        2024-01-31 | start ai-suite-40000-monthly   | balance 40,000
                   | charge 30,000                  | balance 10,000
        2024-03-05 | charge 1,000                   | balance 39,000
        2024-03-10 | upgrade max-pro-240000-monthly | balance 239,000 of 240,000
    """)


def test_r7_from_one_plan_of_40000_to_another() -> None:
    play("""
        2024-01-31 | start ai-suite-40000-monthly  | balance 40,000
                   | charge 1,000                  | balance 39,000
                   | upgrade max-pro-40000-monthly | balance 39,000 of 40,000
    """)


@pytest.mark.parametrize("billing_period", ["monthly", "yearly"])
@pytest.mark.parametrize(
    ("policy", "after"),
    [
        ("deduct_used", "balance 239,000 of 240,000  used 1,000  carried 0"),
        ("add_leftover", "balance 279,000 of 279,000  used 0  carried 39,000"),
        ("fresh", "balance 240,000 of 240,000  used 0  carried 0"),
    ],
)
def test_r8_what_is_left_lives_on_in_the_first_cycle_only(
    policy: UpgradePolicy, after: str, billing_period: str
) -> None:
    history = play(
        f"""
        2024-01-31 10:00 | start ai-suite-40000-monthly            | balance 40,000
                         | charge 1,000                            | balance 39,000
        2024-02-10 12:00 | upgrade max-pro-240000-{billing_period} | {after}
        2024-03-10 12:00 |                                         | balance 240,000 of 240,000  used 0  carried 0
        2024-04-10 12:00 |                                         | balance 240,000 of 240,000  used 0  carried 0
        """,
        odd_catalogue(policy),
    )

    upgraded = history.last(PlanUpgraded)
    assert (upgraded.policy, upgraded.balance_before) == (policy, 39_000)


def test_r8_a_plan_may_have_a_policy_of_its_own() -> None:
    history = play(
        """
        2024-01-31 | start ai-suite-40000-monthly  | balance 40,000
                   | charge 1,000                  | balance 39,000
                   | upgrade odd-leftover-monthly  | balance 339,000 of 339,000  carried 39,000
                   | charge 100,000                | balance 239,000
                   | upgrade odd-fresh-yearly      | balance 5,000 of 5,000      carried 0
                   | charge 5,000                  | balance 0
                   | upgrade odd-top-monthly       | balance 394,000 of 500,000  used 106,000
        """,
        odd_catalogue("add_leftover"),
    )

    policies = [event.policy for _, event in history.recorded if isinstance(event, PlanUpgraded)]
    assert policies == ["add_leftover", "fresh", "deduct_used"]


@pytest.mark.parametrize(
    ("first", "second", "after"),
    [
        ("deduct_used", "deduct_used", "balance 497,000 of 500,000  used 3,000  carried 0"),
        ("deduct_used", "add_leftover", "balance 737,000 of 737,000  used 0  carried 237,000"),
        ("deduct_used", "fresh", "balance 500,000 of 500,000  used 0  carried 0"),
        ("add_leftover", "deduct_used", "balance 497,000 of 500,000  used 3,000  carried 0"),
        ("add_leftover", "add_leftover", "balance 777,000 of 777,000  used 0  carried 277,000"),
        ("add_leftover", "fresh", "balance 500,000 of 500,000  used 0  carried 0"),
        ("fresh", "deduct_used", "balance 497,000 of 500,000  used 3,000  carried 0"),
        ("fresh", "add_leftover", "balance 738,000 of 738,000  used 0  carried 238,000"),
        ("fresh", "fresh", "balance 500,000 of 500,000  used 0  carried 0"),
    ],
)
def test_two_upgrades_in_one_cycle_count_everything_used_since_the_last_reset_once(
    first: UpgradePolicy, second: UpgradePolicy, after: str
) -> None:
    play(
        f"""
        2024-01-31 | start ai-suite-40000-monthly   | balance 40,000
        2024-02-05 | charge 1,000                   | balance 39,000
        2024-02-10 | upgrade max-pro-240000-monthly | cycle 2  term 2
        2024-02-15 | charge 2,000                   | used {"3,000" if first == "deduct_used" else "2,000"}
        2024-03-05 | upgrade odd-top-monthly        | {after}  cycle 3  term 3
        """,
        with_policies(max_pro_240000_monthly=first, odd_top_monthly=second),
    )


def test_after_a_reset_what_was_used_before_no_longer_counts() -> None:
    play("""
        2024-01-31 | start ai-suite-40000-monthly   | balance 40,000
        2024-02-05 | charge 1,000                   | balance 39,000
        2024-02-10 | upgrade max-pro-240000-monthly | balance 239,000
        2024-03-10 | charge 2,000                   | balance 238,000
        2024-03-11 | upgrade odd-top-monthly        | balance 498,000 of 500,000
    """)


def test_the_total_never_falls_below_zero() -> None:
    play("""
        2024-01-31 | start max-pro-240000-monthly | balance 240,000
                   | charge 10,001                | balance 229,999
        2024-02-10 | upgrade odd-smaller-monthly  | balance 0  of 10,000  used 10,000
                   | charge 1                     | refused insufficient_credits
        2024-02-11 | upgrade odd-top-monthly      | balance 489,999 of 500,000  used 10,001
    """)


def test_a_higher_plan_with_fewer_credits_deducts_what_was_used() -> None:
    play("""
        2024-01-31 | start max-pro-240000-monthly | balance 240,000
                   | charge 9,999                 | balance 230,001
        2024-02-10 | upgrade odd-smaller-monthly  | balance 1  of 10,000
        2024-03-10 |                              | balance 10,000
    """)


def test_credits_given_back_since_the_last_reset_are_not_deducted() -> None:
    play("""
        2024-01-31 | start ai-suite-40000-monthly   | balance 40,000
                   | charge 1,000 as bad            | balance 39,000
                   | charge 500                     | balance 38,500
                   | reverse bad                    | balance 39,500  used 1,500  reversed 1,000
        2024-02-10 | upgrade max-pro-240000-monthly | balance 239,500 of 240,000  used 1,500  reversed 1,000
        2024-02-11 | upgrade odd-top-monthly        | balance 499,500 of 500,000  used 1,500  reversed 1,000
    """)


def test_credits_given_back_count_once_too_whatever_an_upgrade_between_left_of_them() -> None:
    play(
        """
        2024-01-31 | start ai-suite-40000-monthly   | balance 40,000
                   | charge 1,000 as bad            | balance 39,000
                   | reverse bad                    | balance 40,000  used 1,000  reversed 1,000
                   | charge 300                     | balance 39,700
        2024-02-10 | upgrade max-pro-240000-monthly | balance 240,000 of 240,000  used 0  reversed 0
        2024-02-11 | upgrade odd-top-monthly        | balance 499,700 of 500,000  used 1,300  reversed 1,000
        """,
        with_policies(max_pro_240000_monthly="fresh"),
    )


def test_credits_given_back_before_the_last_reset_no_longer_count() -> None:
    play("""
        2024-01-31 | start ai-suite-40000-monthly   | balance 40,000
                   | charge 1,000 as bad            | balance 39,000
                   | reverse bad                    | balance 40,000
        2024-02-29 | charge 1,000                   | balance 39,000
        2024-03-01 | upgrade max-pro-240000-monthly | balance 239,000 of 240,000  used 1,000  reversed 0
    """)


def test_r12_an_upgrade_restarts_the_subscription_at_its_instant() -> None:
    play("""
        2024-01-31 10:00           | start ai-suite-40000-monthly   | cycle 1  term 1
        2024-03-01 00:00           |                                | cycle 2  term 2
        2024-03-29 12:34:56.789012 | upgrade max-pro-240000-monthly | cycle 3  term 3  plan max-pro-240000-monthly
                                   |                                | anchor 2024-03-29 12:34:56.789012
                                   |                                | cycle_ends 2024-04-29 12:34:56.789012
                                   |                                | term_ends 2024-04-29 12:34:56.789012
        2024-04-29 12:34:56.789011 |                                | cycle 3
        2024-04-29 12:34:56.789012 |                                | cycle 4  term 4
    """)


def test_r12_to_a_yearly_plan_the_term_is_a_year() -> None:
    play("""
        2024-01-31 10:00 | start ai-suite-40000-monthly  | term_ends 2024-02-29 10:00
        2024-02-29       | upgrade max-pro-240000-yearly | term 2  term_ends 2025-02-28  cycle_ends 2024-03-29
        2025-02-27       |                               | term 2  cycle 13
        2025-02-28       |                               | term 3  cycle 14  term_ends 2026-02-28
        2028-02-28       |                               | term 5  term_ends 2028-02-29
        2028-02-29       |                               | term 6  term_ends 2029-02-28
    """)


def test_r12_from_a_yearly_plan_in_the_middle_of_its_term() -> None:
    play("""
        2024-01-31 | start ai-suite-40000-yearly    | term_ends 2025-01-31
        2024-06-15 | upgrade max-pro-240000-monthly | term 2  term_ends 2024-07-15  renews 2024-07-15  cycle 6
    """)


def test_r12_the_new_price_is_recorded_with_the_upgrade() -> None:
    history = play("2024-01-31 | start ai-suite-40000-monthly | balance 40,000")

    history.apply(UpgradePlan("odd-leftover-monthly", billing_reference="invoice 7"), instant("2024-02-01"))
    upgraded = history.last(PlanUpgraded)
    assert upgraded.plan.price == Money("49.00", "EUR")
    assert (upgraded.from_plan_id, upgraded.billing_reference) == ("ai-suite-40000-monthly", "invoice 7")


def test_an_upgrade_at_exactly_the_boundary_comes_after_the_reset() -> None:
    play("""
        2024-01-31 10:00 | start ai-suite-40000-monthly   | balance 40,000
                         | charge 1,000                   | balance 39,000
        2024-02-29 10:00 | upgrade max-pro-240000-monthly | recorded CycleReset TermRenewed PlanUpgraded
                         |                                | balance 240,000 of 240,000  cycle 3  term 3  version 6
    """)


def test_an_upgrade_a_microsecond_before_the_boundary_takes_its_place() -> None:
    play("""
        2024-01-31 10:00           | start ai-suite-40000-monthly   | balance 40,000
                                   | charge 1,000                   | balance 39,000
        2024-02-29 09:59:59.999999 | upgrade max-pro-240000-monthly | recorded PlanUpgraded  balance 239,000
        2024-02-29 10:00           |                                | balance 239,000  cycle 2
        2024-03-29 09:59:59.999999 |                                | balance 240,000  cycle 3
    """)


def test_several_upgrades_at_one_instant() -> None:
    play("""
        2024-01-31 10:00 | start ai-starter-7500-monthly  | balance 7,500
                         | charge 500 voiceover           | balance 7,000
                         | upgrade ai-suite-40000-monthly | balance 39,500  cycle 2
                         | upgrade max-pro-240000-yearly  | balance 239,500  cycle 3  term 3  anchor 2024-01-31 10:00
    """)


@pytest.mark.parametrize("scheduled", ["cancel", "downgrade ai-starter-7500-yearly"])
def test_an_upgrade_clears_the_scheduled_change(scheduled: str) -> None:
    play(f"""
        2024-01-31 | start ai-suite-40000-monthly   | balance 40,000
                   | {scheduled}                    | answered done
                   | upgrade max-pro-240000-monthly | status active  scheduled nothing  renews 2024-02-29
        2024-02-29 |                                | plan max-pro-240000-monthly  status active
                   | resume                         | refused nothing_scheduled
    """)


@pytest.mark.parametrize(
    ("plan_id", "code"),
    [
        ("ai-suite-40000-monthly", "not_an_upgrade"),
        ("ai-suite-40000-yearly", "not_an_upgrade"),
        ("ai-starter-16500-yearly", "not_an_upgrade"),
        ("odd-single-monthly", "not_an_upgrade"),
        ("no-such-plan", "unknown_plan"),
    ],
    ids=["the same", "the yearly form", "a lower tier", "another of a lower tier", "unknown"],
)
def test_anything_but_a_higher_tier_is_refused(plan_id: str, code: str) -> None:
    play(f"""
        2024-01-31 | start ai-suite-40000-monthly | balance 40,000
        2024-02-05 | upgrade {plan_id}            | refused {code}  version 2
    """)


def test_a_higher_tier_may_include_less() -> None:
    play("""
        2024-01-31 | start odd-leftover-monthly | balance 300,000
                   | charge 5 image             | balance 299,995
                   | upgrade odd-fresh-yearly   | balance 5,000
                   | charge 5 image             | refused not_in_plan
                   | charge 5 music             | balance 4,995
    """)
