"""Builds the catalogue of these tests: the packaged plans and odd ones, and models of any number of credits."""

from collections.abc import Callable, Mapping
from functools import cache

from msgspec.structs import replace

from services.catalogue import Catalogue, UpgradePolicy, load_catalogue
from services.catalogue.packaged import PACKAGED_SOURCE, packaged

# Tiers and credits need not rise together, a plan may bring its own policy, and two plans of a tier may differ.
# `music`, `image`, `video` and `voiceover` cost one credit a character. The second card prices some models anew.
ODD = """
[[plans]]
id = "odd-single-monthly"
name = "Odd single"
tier = 1
monthly_credits = 1
billing_period = "monthly"
asset_types = ["image"]

[[plans]]
id = "odd-smaller-monthly"
name = "Odd smaller"
tier = 6
monthly_credits = 10000
billing_period = "monthly"
asset_types = ["voiceover", "image", "video", "music"]
price = { amount = "9.00", currency = "EUR" }

[[plans]]
id = "odd-smaller-yearly"
name = "Odd smaller"
tier = 6
monthly_credits = 10000
billing_period = "yearly"
asset_types = ["voiceover", "image", "video", "music"]
price = { amount = "90.50", currency = "EUR" }

[[plans]]
id = "odd-leftover-monthly"
name = "Odd leftover"
tier = 7
monthly_credits = 300000
billing_period = "monthly"
asset_types = ["voiceover", "image", "video", "music"]
price = { amount = "49.00", currency = "EUR" }
upgrade_policy = "add_leftover"

[[plans]]
id = "odd-fresh-yearly"
name = "Odd fresh"
tier = 8
monthly_credits = 5000
billing_period = "yearly"
asset_types = ["music"]
upgrade_policy = "fresh"

[[plans]]
id = "odd-top-monthly"
name = "Odd top"
tier = 9
monthly_credits = 500000
billing_period = "monthly"
asset_types = ["voiceover", "image", "video", "music"]
price = { amount = "1000000.999999", currency = "USD" }
upgrade_policy = "deduct_used"

[[rate_cards]]
version = "first"
effective_from = 1990-01-01T00:00:00Z
models = [
  { model = "music", asset_type = "music", rule = "per_1000_characters", credits = 1000 },
  { model = "image", asset_type = "image", rule = "per_1000_characters", credits = 1000 },
  { model = "video", asset_type = "video", rule = "per_1000_characters", credits = 1000 },
  { model = "voiceover", asset_type = "voiceover", rule = "per_1000_characters", credits = 1000 },
  { model = "lyria-3", asset_type = "music", rule = "per_track", credits = 150 },
  { model = "lyria-3-pro", asset_type = "music", rule = "per_track", credits = 300 },
  { model = "banded", asset_type = "music", rule = "per_track", bands = [{ up_to_seconds = 60, credits = 50 },
    { up_to_seconds = 180, credits = 120 }] },
  { model = "withdrawn", asset_type = "image", rule = "per_image", credits = 20, resolutions = { "2048x2048" = 60 } },
]

[[rate_cards]]
version = "dearer"
effective_from = 2025-01-15T12:00:00Z
models = [
  { model = "music", asset_type = "music", rule = "per_1000_characters", credits = 1000 },
  { model = "image", asset_type = "image", rule = "per_1000_characters", credits = 1000 },
  { model = "video", asset_type = "video", rule = "per_1000_characters", credits = 1000 },
  { model = "voiceover", asset_type = "voiceover", rule = "per_1000_characters", credits = 1000 },
  { model = "lyria-3", asset_type = "music", rule = "per_track", credits = 175 },
  { model = "lyria-3-pro", asset_type = "music", rule = "per_track", credits = 350 },
  { model = "banded", asset_type = "music", rule = "per_track", credits = 120 },
]
"""


EDITIONS: Mapping[str, Callable[[int], int]] = {
    "first": lambda tier: tier,
    "inserted": lambda tier: tier if tier < 3 else tier + 1,
    "reversed": lambda tier: 10 - tier,
    "fewer": lambda tier: 2 * tier,
}
"""The tier that each edition gives a plan which the first one has in that tier."""


@cache
def packaged_catalogue() -> Catalogue:
    """Load the catalogue that comes with Tallystick."""
    return load_catalogue(packaged(), PACKAGED_SOURCE)


@cache
def odd_catalogue(upgrade_policy: UpgradePolicy = "deduct_used", edition: str = "first") -> Catalogue:
    """Load the packaged and the odd plans under the odd rate cards; `upgrade_policy` is the default policy.

    Later editions number the tiers otherwise, and the last has fewer plans: see `EDITIONS`.
    """
    odd = load_catalogue(ODD, "odd")
    plans = [
        replace(plan, tier=EDITIONS[edition](plan.tier))
        for plan in packaged_catalogue().plans + odd.plans
        if edition != "fewer" or plan.tier % 3
    ]
    return Catalogue(plans, odd.rate_cards, upgrade_policy)
