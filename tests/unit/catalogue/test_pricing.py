"""What a generation costs, and how the price explains it."""

from decimal import Decimal

import pytest

from services.catalogue import InvalidSettings, Price, Quote, Settings, recompute
from tests.unit.catalogue.samples import quote

TRACK, SECOND, IMAGE, CHARACTERS = "per_track", "per_second", "per_image", "per_1000_characters"


def settings(
    duration_seconds: str | None = None,
    count: int | None = None,
    resolution: str | None = None,
    characters: int | None = None,
) -> Settings:
    return Settings(
        duration_seconds=None if duration_seconds is None else Decimal(duration_seconds),
        count=count,
        resolution=resolution,
        characters=characters,
    )


@pytest.mark.parametrize(
    ("model", "requested", "total_credits", "price"),
    [
        # A track has one price, whatever its duration.
        ("flat", settings(), 150, f"{TRACK}: 1 track x 150"),
        ("flat", settings(count=3), 450, f"{TRACK}: 3 track x 150"),
        ("flat", settings(duration_seconds="200.5"), 150, f"{TRACK}: 1 track x 150"),
        ("flat", settings(count=1000), 150_000, f"{TRACK}: 1000 track x 150"),
        # The total is rounded up, not each track.
        ("fractional", settings(), 34, f"{TRACK}: 1 track x 33.4"),
        ("fractional", settings(count=3), 101, f"{TRACK}: 3 track x 33.4"),
        ("fractional", settings(count=5), 167, f"{TRACK}: 5 track x 33.4"),
        # A band includes its upper edge.
        ("open-bands", settings(duration_seconds="0.000000000000000001"), 150, f"{TRACK}: 1 track x 150"),
        ("open-bands", settings(duration_seconds="180"), 150, f"{TRACK}: 1 track x 150"),
        ("open-bands", settings(duration_seconds="180.000000000000000001"), 300, f"{TRACK}: 1 track x 300"),
        ("open-bands", settings(duration_seconds="86400"), 300, f"{TRACK}: 1 track x 300"),
        ("open-bands", settings(duration_seconds="181", count=2), 600, f"{TRACK}: 2 track x 300"),
        ("closed-bands", settings(duration_seconds="30.5"), 11, f"{TRACK}: 1 track x 10.5"),
        ("closed-bands", settings(duration_seconds="30.5", count=2), 21, f"{TRACK}: 2 track x 10.5"),
        ("closed-bands", settings(duration_seconds="30.51"), 150, f"{TRACK}: 1 track x 150"),
        ("closed-bands", settings(duration_seconds="180"), 150, f"{TRACK}: 1 track x 150"),
        # Seconds of all generations together, exact, rounded up once.
        ("seconds", settings(duration_seconds="10"), 5, f"{SECOND}: 10 second x 0.5"),
        ("seconds", settings(duration_seconds="10.01"), 6, f"{SECOND}: 10.01 second x 0.5"),
        ("seconds", settings(duration_seconds="1.5", count=3), 3, f"{SECOND}: 4.5 second x 0.5"),
        ("seconds", settings(duration_seconds="86400", count=1000), 43_200_000, f"{SECOND}: 86400000 second x 0.5"),
        ("tenths", settings(duration_seconds="0.3", count=100), 3, f"{SECOND}: 30 second x 0.1"),
        (
            "tenths",
            settings(duration_seconds="30.000000000000000001"),
            4,
            f"{SECOND}: 30.000000000000000001 second x 0.1",
        ),
        (
            "finest",
            settings(duration_seconds="86399.000000000000000001", count=1000),
            86_398_999_913_601_001,
            f"{SECOND}: 86399000.000000000000001 second x 999999999.000000000000000001",
        ),
        # Images, by resolution where one is requested for.
        ("images", settings(), 20, f"{IMAGE}: 1 image x 20"),
        ("images", settings(resolution="2048x2048"), 60, f"{IMAGE}: 1 image x 60"),
        ("images", settings(resolution="512x512"), 8, f"{IMAGE}: 1 image x 7.25"),
        ("images", settings(resolution="512x512", count=4), 29, f"{IMAGE}: 4 image x 7.25"),
        ("images-of-one-size", settings(count=2), 40, f"{IMAGE}: 2 image x 20"),
        # Characters, in thousands and parts of a thousand; never less than a credit.
        ("characters", settings(characters=1000), 30, f"{CHARACTERS}: 1 1000_characters x 30"),
        ("characters", settings(characters=1001), 31, f"{CHARACTERS}: 1.001 1000_characters x 30"),
        ("characters", settings(characters=1500), 45, f"{CHARACTERS}: 1.5 1000_characters x 30"),
        ("characters", settings(characters=1), 1, f"{CHARACTERS}: 0.001 1000_characters x 30"),
        ("characters", settings(characters=10_000_000), 300_000, f"{CHARACTERS}: 10000 1000_characters x 30"),
        ("tenths", settings(duration_seconds="0.000000000000000001"), 1, f"{SECOND}: 1E-18 second x 0.1"),
    ],
)
def test_a_generation_costs(model: str, requested: Settings, total_credits: int, price: str) -> None:
    quoted = quote(model, requested)

    assert isinstance(quoted, Quote)
    assert (quoted.model, quoted.credits, shown(quoted.price)) == (model, total_credits, price)


def shown(price: Price) -> str:
    assert price.rate_card == "2020-01"
    return f"{price.rule}: {price.quantity} {price.unit} x {price.credits_per_unit}"


@pytest.mark.parametrize(
    ("model", "requested", "recorded"),
    [
        ("flat", settings(), settings(count=1)),
        ("flat", settings(duration_seconds="1.8E+2", count=2), settings(duration_seconds="180", count=2)),
        ("flat", settings(duration_seconds="0.500"), settings(duration_seconds="0.5", count=1)),
        ("seconds", settings(duration_seconds="8.0"), settings(duration_seconds="8", count=1)),
        ("images", settings(resolution="512x512"), settings(resolution="512x512", count=1)),
        ("characters", settings(characters=7), settings(characters=7)),
    ],
)
def test_a_quote_records_the_settings_with_defaults_filled_in(
    model: str, requested: Settings, recorded: Settings
) -> None:
    quoted = quote(model, requested)

    assert isinstance(quoted, Quote)
    assert repr(quoted.settings) == repr(recorded)  # 180 and not 1.8E+2, which compare equal


def test_a_quote_names_the_asset_type_of_the_model() -> None:
    quoted = quote("characters", settings(characters=1))

    assert isinstance(quoted, Quote)
    assert quoted.asset_type == "voiceover"


OUT_OF_DURATION = "duration_seconds must be above 0 and at most 86,400"
TOO_FINE = "duration_seconds must have at most 18 decimal places"


@pytest.mark.parametrize(
    ("model", "requested", "problem"),
    [
        # What the rule needs.
        ("seconds", settings(), "duration_seconds is required for seconds"),
        ("seconds", settings(count=2), "duration_seconds is required for seconds"),
        ("open-bands", settings(), "duration_seconds is required for open-bands"),
        ("characters", settings(), "characters is required for characters"),
        # What the rule does not know.
        ("flat", settings(resolution="512x512"), "resolution is not a setting of flat"),
        ("flat", settings(characters=1), "characters is not a setting of flat"),
        ("seconds", settings(duration_seconds="1", characters=1), "characters is not a setting of seconds"),
        ("seconds", settings(duration_seconds="1", resolution="a"), "resolution is not a setting of seconds"),
        ("images", settings(duration_seconds="1"), "duration_seconds is not a setting of images"),
        ("images", settings(characters=1), "characters is not a setting of images"),
        ("characters", settings(characters=1, count=1), "count is not a setting of characters"),
        ("characters", settings(count=1), "count is not a setting of characters"),
        # Bounds.
        ("flat", settings(count=0), "count must be from 1 to 1,000"),
        ("flat", settings(count=-1), "count must be from 1 to 1,000"),
        ("flat", settings(count=1001), "count must be from 1 to 1,000"),
        ("images", settings(count=1001), "count must be from 1 to 1,000"),
        ("characters", settings(characters=0), "characters must be from 1 to 10,000,000"),
        ("characters", settings(characters=10_000_001), "characters must be from 1 to 10,000,000"),
        ("seconds", settings(duration_seconds="0"), OUT_OF_DURATION),
        ("seconds", settings(duration_seconds="-0.0"), OUT_OF_DURATION),
        ("seconds", settings(duration_seconds="-1"), OUT_OF_DURATION),
        ("seconds", settings(duration_seconds="86400.000000000000000001"), OUT_OF_DURATION),
        ("seconds", settings(duration_seconds="1E+999999999"), OUT_OF_DURATION),
        ("seconds", settings(duration_seconds="NaN"), OUT_OF_DURATION),
        ("seconds", settings(duration_seconds="sNaN"), OUT_OF_DURATION),
        ("seconds", settings(duration_seconds="Infinity"), OUT_OF_DURATION),
        ("flat", settings(duration_seconds="86401"), OUT_OF_DURATION),
        ("seconds", settings(duration_seconds="1.0000000000000000001"), TOO_FINE),
        ("seconds", settings(duration_seconds="1E-19"), TOO_FINE),
        ("seconds", settings(duration_seconds="1E-999999999"), TOO_FINE),
        ("seconds", settings(duration_seconds="1." + "3" * 100), TOO_FINE),
        # What the model does not offer.
        (
            "closed-bands",
            settings(duration_seconds="180.1"),
            "duration_seconds must be at most 180 for closed-bands",
        ),
        ("images", settings(resolution="1x1"), "resolution must be one of 2048x2048, 512x512, or absent"),
        ("images", settings(resolution=""), "resolution must be one of 2048x2048, 512x512, or absent"),
        ("images-of-one-size", settings(resolution="1x1"), "resolution must be absent"),
    ],
)
def test_settings_that_cannot_be_priced_name_the_key(model: str, requested: Settings, problem: str) -> None:
    quoted = quote(model, requested)

    assert isinstance(quoted, InvalidSettings)
    assert f"{quoted.key} {quoted.reason}" == problem


def test_zeros_after_the_point_are_not_decimal_places() -> None:
    quoted = quote("seconds", settings(duration_seconds="10." + "0" * 100))

    assert isinstance(quoted, Quote)
    assert str(quoted.settings.duration_seconds) == "10"


@pytest.mark.parametrize(
    ("quantity", "credits_per_unit", "total_credits"),
    [
        ("3", "33.4", 101),
        ("0.001", "30", 1),
        ("2", "75", 150),
        ("1.50E+2", "1.0", 150),
        ("0", "30", 1),
    ],
)
def test_a_recorded_price_recomputes_without_the_catalogue(
    quantity: str, credits_per_unit: str, total_credits: int
) -> None:
    assert recompute(recorded(quantity, credits_per_unit)) == total_credits


@pytest.mark.parametrize("quantity", ["NaN", "sNaN", "Infinity", "1E+999999999", "0." + "1" * 200])
def test_a_price_that_no_catalogue_gives_does_not_recompute(quantity: str) -> None:
    with pytest.raises(ArithmeticError):
        recompute(recorded(quantity, "1.5"))


def recorded(quantity: str, credits_per_unit: str) -> Price:
    return Price(
        rate_card="gone",
        rule="per_track",
        unit="track",
        quantity=Decimal(quantity),
        credits_per_unit=Decimal(credits_per_unit),
    )
