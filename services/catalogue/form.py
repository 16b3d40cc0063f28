"""Declares the public form of a catalogue's TOML: a struct for each table, and the bounds of each key.

Each description completes the sentence "KEY must be …" of an error message.
"""

import re
from datetime import datetime
from decimal import Decimal
from typing import Annotated, Any, get_args

from msgspec import Meta, Struct, field

from services.catalogue.alerts import DEFAULT_ALERTS, THRESHOLDS_MAX
from services.catalogue.model import AssetType, BillingPeriod
from services.catalogue.policies import DEFAULT_POLICY, UpgradePolicy
from services.catalogue.pricing import DECIMAL_PLACES_MAX, plain

_DECIMAL = re.compile(rf"[0-9]{{1,18}}(?:\.[0-9]{{1,{DECIMAL_PLACES_MAX}}})?")
# The bounds are far above any real plan or price, and low enough that sums of credits fit in 64 bits.
CREDITS_PER_UNIT_MAX = 1_000_000_000


class Exact(Decimal):
    """A number that is written exactly: TOML's own decimals are binary fractions, so these are strings."""


def exact(kind: type, value: object) -> Exact:
    """Read an `Exact`, as a `dec_hook` of msgspec. Raises ValueError where the value is not exact, or out of bounds."""
    assert kind is Exact, "every other type of the form is one that msgspec knows"
    is_exact = type(value) is int or (isinstance(value, str) and _DECIMAL.fullmatch(value) is not None)
    number = Decimal(str(value)) if is_exact else Decimal(0)
    if not 0 < number <= CREDITS_PER_UNIT_MAX:
        raise ValueError("not an exact number within the bounds")
    return Exact(plain(number))


def _text(pattern: str, description: str) -> Meta:
    return Meta(pattern=rf"\A(?:{pattern})\Z", description=description)


def _whole(most: int) -> Meta:
    return Meta(ge=1, le=most, description=f"a whole number from 1 to {most:,}")


def _choice(literal: Any, description: str = "one of") -> Meta:
    return Meta(description=f"{description} {', '.join(get_args(literal))}")


_LABEL = "1 to 64 {}, '.', '_' and '-', beginning with a letter or digit"
Identifier = Annotated[str, _text(r"[a-z0-9][a-z0-9._-]{0,63}", _LABEL.format("of a-z, 0-9"))]
Version = Annotated[str, _text(r"[A-Za-z0-9][A-Za-z0-9._-]{0,63}", "a string of " + _LABEL.format("letters, digits"))]
Name = Annotated[str, _text(r"\S(?:.{0,198}\S)?", "a line of 1 to 200 characters with no space at either end")]
Amount = Annotated[str, _text(r"(?:0|[1-9][0-9]{0,14})(?:\.[0-9]{1,6})?", 'a decimal string such as "1.00"')]
Currency = Annotated[str, _text(r"[A-Z]{3}", "three capital letters")]
Resolution = Annotated[str, _text(r"\S{1,64}", "1 to 64 characters without spaces")]
Instant = Annotated[datetime, Meta(tz=True, description="a date and time with an offset, such as 2020-01-01T00:00:00Z")]
Number = Annotated[
    Exact, Meta(description=f'a whole number or a string such as "0.5", above 0 and at most {CREDITS_PER_UNIT_MAX:,}')
]
Asset = Annotated[AssetType, _choice(AssetType)]
Policy = Annotated[UpgradePolicy, _choice(UpgradePolicy)]
Threshold = Annotated[
    str,
    _text(r"0(?:\.[0-9]{1,4})?|1(?:\.0{1,4})?", 'a decimal string from "0" to "1" with at most four decimals'),
]
Alerts = Annotated[
    tuple[Threshold, ...],
    Meta(max_length=THRESHOLDS_MAX, description=f"an array of at most {THRESHOLDS_MAX} thresholds"),
]
_TABLES = Meta(min_length=1, description="an array of at least one table")


class MoneyTable(Struct, forbid_unknown_fields=True):
    """The price of a plan."""

    amount: Amount
    currency: Currency


class PlanTable(Struct, forbid_unknown_fields=True):
    """A plan, one of `[[plans]]`."""

    plan_id: Identifier = field(name="id")
    name: Name
    tier: Annotated[int, _whole(1_000_000)]
    monthly_credits: Annotated[int, _whole(1_000_000_000_000)]
    billing_period: Annotated[BillingPeriod, _choice(BillingPeriod)]
    asset_types: Annotated[tuple[Asset, ...], Meta(min_length=1), _choice(AssetType, "an array of at least one of")]
    price: MoneyTable | None = None
    upgrade_policy: Policy | None = None
    alerts: Alerts | None = None


class BandTable(Struct, forbid_unknown_fields=True, kw_only=True):
    """A band, one of the `bands` of a model that is priced by the track."""

    up_to_seconds: Number | None = None
    credits: Number


class ModelTable(Struct, forbid_unknown_fields=True, tag_field="rule"):
    """A model, one of `[[rate_cards.models]]`; each subclass has the keys of one rule."""

    model: Identifier
    asset_type: Asset


class PerTrackTable(ModelTable, tag="per_track"):
    credits: Number | None = None
    bands: Annotated[tuple[BandTable, ...], _TABLES] = ()

    def __post_init__(self) -> None:
        if self.credits is None and not self.bands:
            raise ValueError("Object missing required field `credits`")


class PerSecondTable(ModelTable, tag="per_second"):
    credits: Number


class PerImageTable(ModelTable, tag="per_image"):
    credits: Number
    resolutions: dict[Resolution, Number] = {}


class PerThousandCharactersTable(ModelTable, tag="per_1000_characters"):
    credits: Number


class RateCardTable(Struct, forbid_unknown_fields=True):
    """A rate card, one of `[[rate_cards]]`."""

    version: Version
    effective_from: Instant
    models: Annotated[tuple[PerTrackTable | PerSecondTable | PerImageTable | PerThousandCharactersTable, ...], _TABLES]


class CatalogueTable(Struct, forbid_unknown_fields=True, kw_only=True):
    """A catalogue, the whole document."""

    upgrade_policy: Policy = DEFAULT_POLICY
    alerts: Alerts = DEFAULT_ALERTS
    plans: Annotated[tuple[PlanTable, ...], _TABLES]
    rate_cards: Annotated[tuple[RateCardTable, ...], _TABLES]
