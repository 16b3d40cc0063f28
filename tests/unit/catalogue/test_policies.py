"""What an upgrade leaves and what of the balance before it lapses, policy by policy."""

from pathlib import Path
from typing import get_args

import pytest
from msgspec import Struct

from services.catalogue import UpgradePolicy
from services.catalogue.policies import CreditsAfter, credits_after_upgrade


class Before(Struct, frozen=True):
    balance_credits: int
    used_since_reset: int
    reversed_since_reset: int = 0
    undeducted_credits: int = 0


R6 = Before(balance_credits=39_000, used_since_reset=1_000)
REVERSED = Before(balance_credits=39_500, used_since_reset=1_000, reversed_since_reset=500)
OVERDRAWN_BY_A_SMALLER_PLAN = Before(balance_credits=60_000, used_since_reset=200_000)
STILL_TO_DEDUCT = Before(balance_credits=0, used_since_reset=200_000, undeducted_credits=160_000)


@pytest.mark.parametrize(
    ("policy", "before", "monthly_credits", "after", "balance_credits"),
    [
        ("deduct_used", R6, 240_000, CreditsAfter(240_000, used_credits=1_000), 239_000),
        ("deduct_used", R6, 40_000, CreditsAfter(40_000, used_credits=1_000), 39_000),
        ("deduct_used", REVERSED, 40_000, CreditsAfter(40_000, 1_000, 500), 39_500),
        ("deduct_used", R6, 20_000, CreditsAfter(20_000, used_credits=1_000, lapsed_credits=20_000), 19_000),
        (
            "deduct_used",
            OVERDRAWN_BY_A_SMALLER_PLAN,
            40_000,
            CreditsAfter(40_000, used_credits=40_000, lapsed_credits=60_000, undeducted_credits=160_000),
            0,
        ),
        (
            "deduct_used",
            STILL_TO_DEDUCT,
            100_000,
            CreditsAfter(100_000, used_credits=100_000, undeducted_credits=100_000),
            0,
        ),
        ("deduct_used", STILL_TO_DEDUCT, 240_000, CreditsAfter(240_000, used_credits=200_000), 40_000),
        ("add_leftover", STILL_TO_DEDUCT, 40_000, CreditsAfter(40_000, undeducted_credits=160_000), 40_000),
        ("fresh", STILL_TO_DEDUCT, 40_000, CreditsAfter(40_000), 40_000),
        ("add_leftover", R6, 240_000, CreditsAfter(279_000, carried_credits=39_000), 279_000),
        ("fresh", R6, 240_000, CreditsAfter(240_000, lapsed_credits=39_000), 240_000),
    ],
)
def test_a_policy_leaves_credits_and_lets_the_rest_lapse(
    policy: UpgradePolicy, before: Before, monthly_credits: int, after: CreditsAfter, balance_credits: int
) -> None:
    assert credits_after_upgrade(policy, before, monthly_credits) == after
    assert after.balance_credits == balance_credits


@pytest.mark.parametrize("policy", get_args(UpgradePolicy))
def test_every_policy_decides_and_never_leaves_less_than_nothing(policy: UpgradePolicy) -> None:
    after = credits_after_upgrade(policy, OVERDRAWN_BY_A_SMALLER_PLAN, 1)

    assert after.balance_credits >= 0
    assert 0 <= after.lapsed_credits <= OVERDRAWN_BY_A_SMALLER_PLAN.balance_credits


@pytest.mark.parametrize("policy", get_args(UpgradePolicy))
def test_every_policy_is_explained_with_the_credit_rules(policy: UpgradePolicy) -> None:
    page = Path(__file__).resolve().parents[3] / "docs" / "reference" / "credit-rules.md"

    assert f"\n| `{policy}` | " in page.read_text(encoding="utf-8")
