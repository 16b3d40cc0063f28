"""The packaged catalogue: the plans and prices that the credit rules name."""

from datetime import UTC, datetime

import pytest

from services.catalogue import Catalogue, Quote, Settings, load_catalogue
from services.catalogue.packaged import PACKAGED_SOURCE, packaged

EVERY_TYPE = ("voiceover", "image", "video", "music")


@pytest.fixture(scope="module")
def catalogue() -> Catalogue:
    return load_catalogue(packaged(), PACKAGED_SOURCE)


@pytest.mark.parametrize("billing_period", ["monthly", "yearly"])
@pytest.mark.parametrize(
    ("package", "name", "tier", "monthly_credits", "asset_types"),
    [
        ("ai-starter-7500", "AI Starter 7,500", 1, 7_500, ("voiceover",)),
        ("ai-starter-16500", "AI Starter 16,500", 2, 16_500, EVERY_TYPE),
        ("ai-suite-40000", "AI Suite Starter 40,000", 3, 40_000, EVERY_TYPE),
        ("max-pro-40000", "Max Pro 40,000", 4, 40_000, EVERY_TYPE),
        ("max-pro-240000", "Max Pro 240,000", 5, 240_000, EVERY_TYPE),
    ],
)
def test_r1_r10_each_package_is_sold_by_the_month_and_by_the_year(
    catalogue: Catalogue,
    package: str,
    billing_period: str,
    name: str,
    tier: int,
    monthly_credits: int,
    asset_types: tuple[str, ...],
) -> None:
    plan = catalogue.plan(f"{package}-{billing_period}")

    assert plan is not None
    assert (plan.name, plan.tier, plan.monthly_credits) == (name, tier, monthly_credits)
    assert (plan.billing_period, plan.asset_types) == (billing_period, asset_types)
    assert (plan.price, catalogue.policy_for(plan)) == (None, "deduct_used")


def test_there_are_no_other_plans(catalogue: Catalogue) -> None:
    assert len(catalogue.plans) == 10


def test_one_card_is_in_force_from_2020(catalogue: Catalogue) -> None:
    assert [(card.version, card.effective_from) for card in catalogue.rate_cards] == [
        ("2020-01", datetime(2020, 1, 1, tzinfo=UTC))
    ]


@pytest.mark.parametrize(("model", "track_credits"), [("lyria-3", 150), ("lyria-3-pro", 300)])
def test_r2_a_track_needs_no_settings(catalogue: Catalogue, model: str, track_credits: int) -> None:
    quoted = catalogue.quote(model, Settings(), datetime(2026, 1, 1, tzinfo=UTC))

    assert isinstance(quoted, Quote)
    assert (quoted.credits, quoted.asset_type) == (track_credits, "music")


def test_models_that_stand_for_no_product_say_so(catalogue: Catalogue) -> None:
    [card] = catalogue.rate_cards
    illustrative = {model.model: model.asset_type for model in card.models if not model.model.startswith("lyria-")}

    assert illustrative == {"example-image-1": "image", "example-video-1": "video", "example-voice-1": "voiceover"}
