"""The sample of the catalogue's public form, and what it means."""

from datetime import UTC, datetime
from decimal import Decimal

from services.catalogue import (
    Band,
    Money,
    PerImage,
    PerSecond,
    PerThousandCharacters,
    PerTrack,
    Plan,
    RateCard,
    load_catalogue,
)
from tests.unit.catalogue.samples import FORM


def test_the_public_form_loads() -> None:
    catalogue = load_catalogue(FORM, "sample.toml")

    assert catalogue.upgrade_policy == "deduct_used"
    assert catalogue.plans == (
        Plan(
            plan_id="max-pro-240000-yearly",
            name="Max Pro 240,000",
            tier=5,
            monthly_credits=240_000,
            billing_period="yearly",
            asset_types=("voiceover", "image", "video", "music"),
            price=Money("1.00", "USD"),
            upgrade_policy="add_leftover",
        ),
    )
    assert catalogue.rate_cards == (
        RateCard(
            version="2020-01",
            effective_from=datetime(2020, 1, 1, tzinfo=UTC),
            models=(
                PerTrack(
                    model="lyria-3",
                    asset_type="music",
                    credits=Decimal(150),
                    bands=(Band(up_to_seconds=Decimal(180), credits=Decimal(150)), Band(credits=Decimal(300))),
                ),
                PerSecond(model="video", asset_type="video", credits=Decimal("0.5")),
                PerImage(
                    model="image",
                    asset_type="image",
                    credits=Decimal(20),
                    resolutions={"2048x2048": Decimal(60)},
                ),
                PerThousandCharacters(model="voice", asset_type="voiceover", credits=Decimal(30)),
            ),
        ),
    )


def test_money_keeps_the_decimals_that_it_was_written_with() -> None:
    [plan] = load_catalogue(FORM, "sample.toml").plans

    assert plan.price is not None
    assert plan.price.amount == "1.00"
