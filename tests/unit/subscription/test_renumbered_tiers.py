"""Tiers are those of today's catalogue, whatever tier a plan had when it was agreed."""

import pytest

from services.subscription.commands import ChargeGeneration
from services.subscription.refusals import InsufficientCredits
from tests.unit.subscription.history import Answer
from tests.unit.subscription.scenario import instant, play


@pytest.mark.parametrize("form", ["monthly", "yearly"])
@pytest.mark.parametrize("edition", ["inserted", "reversed"])
def test_neither_the_plan_that_one_has_nor_its_other_form_is_an_upgrade(edition: str, form: str) -> None:
    play(f"""
        2024-01-31 | start ai-suite-40000-yearly    | balance 40,000
                   | charge 39,000                  | balance 1,000
                   | catalogue {edition}            | answered unchanged
                   | upgrade ai-suite-40000-{form}  | refused not_an_upgrade  balance 1,000  term_ends 2025-01-31
    """)


@pytest.mark.parametrize("edition", ["inserted", "reversed"])
def test_from_monthly_to_yearly_stays_a_scheduled_change(edition: str) -> None:
    play(f"""
        2024-01-31 | start ai-suite-40000-monthly     | balance 40,000
                   | catalogue {edition}              | answered unchanged
                   | downgrade ai-suite-40000-monthly | refused not_a_downgrade
                   | downgrade ai-suite-40000-yearly  | scheduled downgrade ai-suite-40000-yearly at 2024-02-29
        2024-02-29 |                                  | plan ai-suite-40000-yearly  term_ends 2025-02-28
    """)


@pytest.mark.parametrize(
    ("edition", "plan_id", "is_higher"),
    [
        ("first", "ai-starter-16500-monthly", False),
        ("first", "max-pro-40000-monthly", True),
        ("inserted", "ai-starter-16500-monthly", False),
        ("inserted", "max-pro-40000-monthly", True),
        ("reversed", "ai-starter-16500-monthly", True),
        ("reversed", "max-pro-40000-monthly", False),
    ],
)
def test_what_is_higher_is_an_upgrade_and_no_downgrade_and_what_is_lower_the_other_way_round(
    edition: str, plan_id: str, *, is_higher: bool
) -> None:
    upgraded, downgraded = ("done", "not_a_downgrade") if is_higher else ("not_an_upgrade", "done")
    for verb, code in (("upgrade", upgraded), ("downgrade", downgraded)):
        outcome = f"answered {code}" if code == "done" else f"refused {code}"
        play(f"""
            2024-01-31 | start ai-suite-40000-monthly | balance 40,000
                       | catalogue {edition}          | answered unchanged
                       | {verb} {plan_id}             | {outcome}
        """)


def test_where_the_catalogue_no_longer_has_the_plan_its_recorded_tier_counts() -> None:
    """Of the edition `fewer`: AI Suite, recorded in tier 3, is gone; what was in tier 1 is in 2, and 2 in 4."""
    play("""
        2024-01-31 | start ai-suite-40000-monthly       | balance 40,000
                   | catalogue fewer                    | answered unchanged
                   | upgrade ai-suite-40000-monthly     | refused unknown_plan
                   | upgrade ai-starter-7500-monthly    | refused not_an_upgrade
                   | downgrade ai-starter-16500-monthly | refused not_a_downgrade
                   | downgrade ai-starter-7500-monthly  | scheduled downgrade ai-starter-7500-monthly at 2024-02-29
                   | upgrade ai-starter-16500-monthly   | plan ai-starter-16500-monthly
    """)


def test_upgrade_options_go_by_the_same_tiers() -> None:
    history = play("""
        2024-01-31 | start max-pro-240000-monthly | balance 240,000
                   | charge 239,999               | balance 1
                   | catalogue reversed           | answered unchanged
    """)

    answer: Answer = history.apply(ChargeGeneration("song", "lyria-3"), instant("2024-02-01"))
    assert isinstance(answer.refusal, InsufficientCredits)
    assert answer.refusal.upgrade_options == ()
