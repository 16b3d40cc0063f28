"""Plans, policies, upgrade options, and which rate card is in force when."""

from datetime import UTC, datetime, timedelta
from decimal import Decimal

import pytest

from services.catalogue import (
    AssetType,
    Catalogue,
    PerTrack,
    Plan,
    Quote,
    RateCard,
    Settings,
    UnknownModel,
    UpgradePolicy,
)

EVERY_TYPE: tuple[AssetType, ...] = ("voiceover", "image", "video", "music")


def plan(plan_id: str, tier: int, *asset_types: AssetType, upgrade_policy: UpgradePolicy | None = None) -> Plan:
    return Plan(
        plan_id=plan_id,
        name=plan_id.title(),
        tier=tier,
        monthly_credits=tier * 1000,
        billing_period="monthly",
        asset_types=asset_types or EVERY_TYPE,
        upgrade_policy=upgrade_policy,
    )


def card(version: str, effective_from: datetime, **credits_by_model: int) -> RateCard:
    return RateCard(
        version=version,
        effective_from=effective_from,
        models=tuple(
            PerTrack(model=model, asset_type="music", credits=Decimal(price))
            for model, price in credits_by_model.items()
        ),
    )


MICROSECOND = timedelta(microseconds=1)
FIRST = datetime(2020, 1, 1, tzinfo=UTC)
SECOND = datetime(2021, 6, 15, 12, tzinfo=UTC)

CATALOGUE = Catalogue(
    plans=[
        plan("large", 3),
        plan("voice-only", 1, "voiceover"),
        plan("medium-yearly", 2, upgrade_policy="fresh"),
        plan("medium-monthly", 2, "voiceover", "music"),
    ],
    rate_cards=[card("dearer", SECOND, old=200, new=10), card("first", FIRST, old=150)],
    upgrade_policy="add_leftover",
)


def test_plans_keep_the_order_of_the_catalogue() -> None:
    assert [plan.plan_id for plan in CATALOGUE.plans] == ["large", "voice-only", "medium-yearly", "medium-monthly"]


def test_a_plan_is_found_by_its_id() -> None:
    assert CATALOGUE.plan("large") == plan("large", 3)
    assert CATALOGUE.plan("Large") is None


def test_the_policy_is_the_plans_own_or_else_the_catalogues() -> None:
    assert CATALOGUE.policy_for(plan("own", 1, upgrade_policy="fresh")) == "fresh"
    assert CATALOGUE.policy_for(plan("none", 1)) == "add_leftover"
    assert CATALOGUE.upgrade_policy == "add_leftover"


def test_the_policy_is_deduct_used_where_nothing_is_said() -> None:
    assert Catalogue(plans=[], rate_cards=[]).policy_for(plan("none", 1)) == "deduct_used"


@pytest.mark.parametrize(
    ("tier", "asset_type", "plan_ids"),
    [
        (0, "voiceover", ["voice-only", "medium-yearly", "medium-monthly", "large"]),
        (1, "voiceover", ["medium-yearly", "medium-monthly", "large"]),
        (3, "voiceover", []),
        (0, "music", ["medium-yearly", "medium-monthly", "large"]),
        (0, "video", ["medium-yearly", "large"]),
        (2, "video", ["large"]),
    ],
)
def test_higher_plans_that_include_an_asset_type_come_lowest_first(
    tier: int, asset_type: AssetType, plan_ids: list[str]
) -> None:
    assert [plan.plan_id for plan in CATALOGUE.plans_above(tier, asset_type)] == plan_ids


def test_the_tier_of_a_plan_is_the_catalogues_or_else_the_recorded_one() -> None:
    assert CATALOGUE.tier_of("large", 1) == 3
    assert CATALOGUE.tier_of("withdrawn", 7) == 7


def test_rate_cards_are_in_order_of_time() -> None:
    assert [card.version for card in CATALOGUE.rate_cards] == ["first", "dearer"]


@pytest.mark.parametrize(
    ("instant", "version"),
    [
        (FIRST - MICROSECOND, None),
        (FIRST, "first"),
        (SECOND - MICROSECOND, "first"),
        (SECOND, "dearer"),
        (datetime.max.replace(tzinfo=UTC), "dearer"),
    ],
)
def test_a_card_is_in_force_from_its_instant_to_the_next_cards(instant: datetime, version: str | None) -> None:
    in_force = CATALOGUE.card_at(instant)

    assert (in_force.version if in_force else None) == version


@pytest.mark.parametrize(
    ("model", "at", "outcome"),
    [
        ("old", SECOND - MICROSECOND, ("first", 150)),
        ("old", SECOND, ("dearer", 200)),
        ("new", SECOND, ("dearer", 10)),
        ("new", SECOND - MICROSECOND, UnknownModel("new")),
        ("old", FIRST - MICROSECOND, UnknownModel("old")),
        ("none", SECOND, UnknownModel("none")),
    ],
)
def test_the_card_in_force_at_the_instant_prices_a_generation(
    model: str, at: datetime, outcome: UnknownModel | tuple[str, int]
) -> None:
    quoted = CATALOGUE.quote(model, Settings(), at)

    assert (quoted.price.rate_card, quoted.credits) == outcome if isinstance(quoted, Quote) else quoted == outcome
