"""Holds the catalogues of these tests: the public form's sample, and one model for each way of pricing."""

from datetime import UTC, datetime
from decimal import Decimal

from services.catalogue import (
    Band,
    Catalogue,
    InvalidSettings,
    PerImage,
    PerSecond,
    PerThousandCharacters,
    PerTrack,
    Plan,
    PricedModel,
    Quote,
    RateCard,
    Settings,
    UnknownModel,
)

# As the public form gives it, with the other rules written out.
FORM = """\
upgrade_policy = "deduct_used"            # the default for every plan

[[plans]]
id = "max-pro-240000-yearly"
name = "Max Pro 240,000"
tier = 5
monthly_credits = 240000
billing_period = "yearly"
asset_types = ["voiceover", "image", "video", "music"]
price = { amount = "1.00", currency = "USD" }   # optional; recorded in the events that it is due with
upgrade_policy = "add_leftover"           # optional; holds for upgrades to this plan

[[rate_cards]]
version = "2020-01"
effective_from = 2020-01-01T00:00:00Z

[[rate_cards.models]]
model = "lyria-3"
asset_type = "music"
rule = "per_track"                        # settings: count = 1, duration_seconds? (recorded)
credits = 150
bands = [{ up_to_seconds = 180, credits = 150 }, { credits = 300 }]   # optional

[[rate_cards.models]]
model = "video"
asset_type = "video"
rule = "per_second"
credits = "0.5"

[[rate_cards.models]]
model = "image"
asset_type = "image"
rule = "per_image"
credits = 20
resolutions = { "2048x2048" = 60 }

[[rate_cards.models]]
model = "voice"
asset_type = "voiceover"
rule = "per_1000_characters"
credits = 30
"""

FLAT = PerTrack(model="flat", asset_type="music", credits=Decimal(150))
FRACTIONAL = PerTrack(model="fractional", asset_type="music", credits=Decimal("33.4"))
OPEN_BANDS = PerTrack(
    model="open-bands",
    asset_type="music",
    bands=(Band(up_to_seconds=Decimal(180), credits=Decimal(150)), Band(credits=Decimal(300))),
)
CLOSED_BANDS = PerTrack(
    model="closed-bands",
    asset_type="music",
    credits=Decimal(999),
    bands=(
        Band(up_to_seconds=Decimal("30.5"), credits=Decimal("10.5")),
        Band(up_to_seconds=Decimal(180), credits=Decimal(150)),
    ),
)
SECONDS = PerSecond(model="seconds", asset_type="video", credits=Decimal("0.5"))
TENTHS = PerSecond(model="tenths", asset_type="video", credits=Decimal("0.1"))
FINEST = PerSecond(model="finest", asset_type="video", credits=Decimal("999999999.000000000000000001"))
IMAGES = PerImage(
    model="images",
    asset_type="image",
    credits=Decimal(20),
    resolutions={"2048x2048": Decimal(60), "512x512": Decimal("7.25")},
)
IMAGES_OF_ONE_SIZE = PerImage(model="images-of-one-size", asset_type="image", credits=Decimal(20))
CHARACTERS = PerThousandCharacters(model="characters", asset_type="voiceover", credits=Decimal(30))

MODELS: tuple[PricedModel, ...] = (
    FLAT,
    FRACTIONAL,
    OPEN_BANDS,
    CLOSED_BANDS,
    SECONDS,
    TENTHS,
    FINEST,
    IMAGES,
    IMAGES_OF_ONE_SIZE,
    CHARACTERS,
)
IN_FORCE_FROM = datetime(2020, 1, 1, tzinfo=UTC)
CATALOGUE = Catalogue(
    plans=[
        Plan(
            plan_id="only",
            name="Only",
            tier=1,
            monthly_credits=1,
            billing_period="monthly",
            asset_types=("music",),
        )
    ],
    rate_cards=[RateCard(version="2020-01", effective_from=IN_FORCE_FROM, models=MODELS)],
)


def quote(model: str, settings: Settings) -> Quote | UnknownModel | InvalidSettings:
    return CATALOGUE.quote(model, settings, IN_FORCE_FROM)
