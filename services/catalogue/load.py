"""The catalogue's TOML, checked in full: a catalogue, or the line and the reason why there is none."""

import re
from decimal import Decimal
from typing import assert_never, get_args

from services.catalogue.catalogue import Catalogue
from services.catalogue.document import Table, parse
from services.catalogue.model import AssetType, BillingPeriod, Money, Plan, UpgradePolicy
from services.catalogue.rate_card import (
    Band,
    PerImage,
    PerSecond,
    PerThousandCharacters,
    PerTrack,
    PricedModel,
    RateCard,
    Rule,
)

ASSET_TYPES: tuple[AssetType, ...] = get_args(AssetType)
BILLING_PERIODS: tuple[BillingPeriod, ...] = get_args(BillingPeriod)
UPGRADE_POLICIES: tuple[UpgradePolicy, ...] = get_args(UpgradePolicy)
RULES: tuple[Rule, ...] = get_args(Rule)

# Far above any real plan or price, and low enough that sums of credits fit in 64 bits.
MONTHLY_CREDITS_MAX = 1_000_000_000_000
TIER_MAX = 1_000_000
CREDITS_PER_UNIT_MAX = 1_000_000_000
BAND_SECONDS_MAX = 1_000_000_000

_IDENTIFIER = re.compile(r"[a-z0-9][a-z0-9._-]{0,63}")
_IDENTIFIER_FORM = "1 to 64 of a-z, 0-9, '.', '_' and '-', beginning with a letter or digit"
_VERSION = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]{0,63}")
_VERSION_FORM = "a string of 1 to 64 letters, digits, '.', '_' and '-', beginning with a letter or digit"
_NAME = re.compile(r"\S(?:.{0,198}\S)?")
_NAME_FORM = "a line of 1 to 200 characters with no space at either end"
_AMOUNT = re.compile(r"(?:0|[1-9][0-9]{0,14})(?:\.[0-9]{1,6})?")
_AMOUNT_FORM = 'a decimal string such as "1.00"'
_CURRENCY = re.compile(r"[A-Z]{3}")
_CURRENCY_FORM = "three capital letters"
_RESOLUTION = re.compile(r"\S{1,64}")


def load_catalogue(text: str, source: str) -> Catalogue:
    """The catalogue that a TOML text describes; `source` names the text in errors.

    Raises `CatalogueError`, whose text is `SOURCE:LINE: reason`, for the first thing found wrong.
    """
    root = parse(text, source)
    root.only("upgrade_policy", "plans", "rate_cards")
    return Catalogue(
        plans=_plans(root.tables("plans")),
        rate_cards=_rate_cards(root.tables("rate_cards")),
        upgrade_policy=_upgrade_policy(root) or "deduct_used",
    )


def _upgrade_policy(table: Table) -> UpgradePolicy | None:
    return table.choice("upgrade_policy", UPGRADE_POLICIES) if "upgrade_policy" in table else None


def _plans(tables: list[Table]) -> list[Plan]:
    plans: dict[str, Plan] = {}
    for table in tables:
        plan = _plan(table)
        if plan.plan_id in plans:
            table.refuse("id", f'id "{plan.plan_id}" is that of an earlier plan')
        plans[plan.plan_id] = plan
    return list(plans.values())


def _plan(table: Table) -> Plan:
    table.only("id", "name", "tier", "monthly_credits", "billing_period", "asset_types", "price", "upgrade_policy")
    return Plan(
        plan_id=table.text("id", _IDENTIFIER, _IDENTIFIER_FORM),
        name=table.text("name", _NAME, _NAME_FORM),
        tier=table.whole("tier", TIER_MAX),
        monthly_credits=table.whole("monthly_credits", MONTHLY_CREDITS_MAX),
        billing_period=table.choice("billing_period", BILLING_PERIODS),
        asset_types=table.choices("asset_types", ASSET_TYPES),
        price=_money(table.table("price")) if "price" in table else None,
        upgrade_policy=_upgrade_policy(table),
    )


def _money(table: Table) -> Money:
    table.only("amount", "currency")
    return Money(
        amount=table.text("amount", _AMOUNT, _AMOUNT_FORM),
        currency=table.text("currency", _CURRENCY, _CURRENCY_FORM),
    )


def _rate_cards(tables: list[Table]) -> list[RateCard]:
    cards: list[RateCard] = []
    for table in tables:
        card = _rate_card(table)
        for earlier in cards:
            if card.version == earlier.version:
                table.refuse("version", f'version "{card.version}" is that of an earlier rate card')
            if card.effective_from == earlier.effective_from:
                table.refuse("effective_from", f'effective_from is that of rate card "{earlier.version}"')
        cards.append(card)
    return cards


def _rate_card(table: Table) -> RateCard:
    table.only("version", "effective_from", "models")
    return RateCard(
        version=table.text("version", _VERSION, _VERSION_FORM),
        effective_from=table.instant("effective_from"),
        models=_models(table.tables("models")),
    )


def _models(tables: list[Table]) -> tuple[PricedModel, ...]:
    models: dict[str, PricedModel] = {}
    for table in tables:
        model = _model(table)
        if model.model in models:
            table.refuse("model", f'model "{model.model}" is priced twice on this rate card')
        models[model.model] = model
    return tuple(models.values())


def _model(table: Table) -> PricedModel:
    rule = table.choice("rule", RULES)
    match rule:
        case "per_track":
            return _per_track(table)
        case "per_second":
            model, asset_type = _named(table, "credits")
            return PerSecond(model=model, asset_type=asset_type, credits=_credits(table))
        case "per_image":
            model, asset_type = _named(table, "credits", "resolutions")
            resolutions = _resolutions(table.table("resolutions")) if "resolutions" in table else {}
            return PerImage(model=model, asset_type=asset_type, credits=_credits(table), resolutions=resolutions)
        case "per_1000_characters":
            model, asset_type = _named(table, "credits")
            return PerThousandCharacters(model=model, asset_type=asset_type, credits=_credits(table))
        case _:
            assert_never(rule)


def _named(table: Table, *keys_of_rule: str) -> tuple[str, AssetType]:
    table.only("model", "asset_type", "rule", *keys_of_rule)
    return (
        table.text("model", _IDENTIFIER, _IDENTIFIER_FORM),
        table.choice("asset_type", ASSET_TYPES),
    )


def _credits(table: Table, key: str = "credits") -> Decimal:
    return table.decimal(key, CREDITS_PER_UNIT_MAX)


def _per_track(table: Table) -> PerTrack:
    model, asset_type = _named(table, "credits", "bands")
    bands = _bands(table.tables("bands")) if "bands" in table else ()
    return PerTrack(
        model=model,
        asset_type=asset_type,
        credits=None if bands and "credits" not in table else _credits(table),
        bands=bands,
    )


def _bands(tables: list[Table]) -> tuple[Band, ...]:
    bands: list[Band] = []
    for table in tables:
        table.only("up_to_seconds", "credits")
        is_closed = "up_to_seconds" in table
        up_to_seconds = table.decimal("up_to_seconds", BAND_SECONDS_MAX) if is_closed else None
        before = bands[-1].up_to_seconds if bands else Decimal(0)
        if before is None:
            table.refuse_whole("no band may follow one without up_to_seconds")
        if up_to_seconds is not None and up_to_seconds <= before:
            table.refuse("up_to_seconds", f"up_to_seconds must be above that of the band before, {before}")
        bands.append(Band(up_to_seconds=up_to_seconds, credits=_credits(table)))
    return tuple(bands)


def _resolutions(table: Table) -> dict[str, Decimal]:
    for name in table.keys:
        if _RESOLUTION.fullmatch(name) is None:
            table.refuse(name, "the name of a resolution must be 1 to 64 characters without spaces")
    return {name: _credits(table, name) for name in table.keys}
