"""Defines plans, settings, prices and quotes."""

from decimal import Decimal
from typing import Literal

from msgspec import Struct

from services.catalogue.policies import UpgradePolicy

AssetType = Literal["voiceover", "image", "video", "music"]
BillingPeriod = Literal["monthly", "yearly"]


class Money(Struct, frozen=True):
    """An amount of a currency: a decimal, kept as the string that it was written as, so that `1.00` stays `1.00`."""

    amount: str
    currency: str


class Plan(Struct, frozen=True, kw_only=True, omit_defaults=True):
    """A plan: an allowance of credits a month, and the asset types that they pay for.

    The monthly and the yearly form of a package are two plans of one tier. `upgrade_policy` and `alerts` are None
    where those of the catalogue hold.
    """

    plan_id: str
    name: str
    tier: int
    monthly_credits: int
    billing_period: BillingPeriod
    asset_types: tuple[AssetType, ...]
    price: Money | None = None
    upgrade_policy: UpgradePolicy | None = None
    alerts: tuple[str, ...] | None = None


class Settings(Struct, frozen=True, gc=False, kw_only=True, omit_defaults=True, forbid_unknown_fields=True):
    """The settings of a generation that bear on its cost, as requested; None where none was given.

    Checked for form only. The rule of the model decides which of them it needs, and their bounds.
    """

    duration_seconds: Decimal | None = None
    count: int | None = None
    resolution: str | None = None
    characters: int | None = None


class Price(Struct, frozen=True, gc=False, kw_only=True):
    """How the credits of a charge come about: `quantity` of a `unit` at `credits_per_unit`, rounded up once.

    Complete, so that an audit recomputes the charge without the catalogue. `rate_card` is the version
    of the card that was in force. Meant for encoders with `decimal_format="number"`.
    """

    rate_card: str
    rule: str
    unit: str
    quantity: Decimal
    credits_per_unit: Decimal


class Quote(Struct, frozen=True, gc=False, kw_only=True):
    """What a generation costs, in whole credits, and why.

    `settings` are normalised: defaults filled in, decimals without trailing zeros. Quoted again,
    they give the same.
    """

    model: str
    asset_type: AssetType
    settings: Settings
    credits: int
    price: Price


class UnknownModel(Struct, frozen=True):
    """The rate card in force does not price this model, or no card is in force."""

    model: str


class InvalidSettings(Struct, frozen=True):
    """The model's rule cannot price these settings: `key` is the one at fault, `reason` what is wrong.

    `f"{key} {reason}"` reads as a sentence: "count must be from 1 to 1,000".
    """

    key: str
    reason: str
