"""Prices settings by the four rules, in exact decimals, rounded up to a whole credit once."""

import math
from decimal import Context, Decimal, Inexact, InvalidOperation, Overflow
from typing import NamedTuple, assert_never

from services.catalogue.model import InvalidSettings, Price, Quote, Settings
from services.catalogue.rate_card import PerImage, PerSecond, PerThousandCharacters, PerTrack, PricedModel

COUNT_MAX = 1_000
DURATION_SECONDS_MAX = 86_400
CHARACTERS_MAX = 10_000_000
DECIMAL_PLACES_MAX = 18

# Rounds nothing: a result that needs more digits raises. The widest product has 55: a day to 18 decimal
# places, times 1,000, at a thousand million credits to 18 decimal places.
_EXACT = Context(prec=80, Emin=-80, Emax=80, traps=[Inexact, InvalidOperation, Overflow])
_FINEST_SECONDS = Decimal(1).scaleb(-DECIMAL_PLACES_MAX)


class _Measured(NamedTuple):
    quantity: Decimal
    credits_per_unit: Decimal


def price(model: PricedModel, settings: Settings, rate_card: str) -> Quote | InvalidSettings:
    """Price one generation by the model's rule, under the card of that version."""
    normalised = _normalised(model, settings)
    if isinstance(normalised, InvalidSettings):
        return normalised
    measured = _measured(model, normalised)
    if isinstance(measured, InvalidSettings):
        return measured
    recorded_price = Price(
        rate_card=rate_card,
        rule=str(model.__struct_config__.tag),
        unit=model.unit,
        quantity=plain(measured.quantity),
        credits_per_unit=plain(measured.credits_per_unit),
    )
    return Quote(
        model=model.model,
        asset_type=model.asset_type,
        settings=normalised,
        credits=recompute(recorded_price),
        price=recorded_price,
    )


def recompute(price: Price) -> int:
    """Compute the credits of a recorded price: its product rounded up to a whole credit, at least 1.

    Raises ArithmeticError where no catalogue can have given the price: not a number, or more digits than fit.
    """
    total = _EXACT.multiply(price.quantity, price.credits_per_unit)
    if not total.is_finite():
        raise InvalidOperation("a price that is not a number")
    return max(1, math.ceil(total))


def quantity_of(rule: str, settings: Settings) -> Decimal:
    """Compute the quantity that a rule makes of normalised settings. Raises ArithmeticError, as `recompute` does."""
    count = Decimal(settings.count or 1)
    match rule:
        case "per_second":
            return _EXACT.multiply(settings.duration_seconds or Decimal(0), count)
        case "per_1000_characters":
            return _EXACT.scaleb(Decimal(settings.characters or 0), -3)
        case _:
            return count


def plain(value: Decimal) -> Decimal:
    """Return the number without trailing zeros and without an exponent above zero: 150, not 150.0 or 1.5E+2.

    For numbers within the bounds of settings and prices: they have few digits before the point.
    """
    whole = int(value)
    return Decimal(whole) if whole == value else _EXACT.normalize(value)


def _normalised(model: PricedModel, settings: Settings) -> Settings | InvalidSettings:
    """Check the settings and fill in the defaults, or name the one that does not fit the model."""
    for key in Settings.__struct_fields__:
        if key not in model.takes and getattr(settings, key) is not None:
            return InvalidSettings(key, f"is not a setting of {model.model}")
    seconds, count, characters = settings.duration_seconds, settings.count, settings.characters
    if seconds is not None:
        if not (seconds.is_finite() and 0 < seconds <= DURATION_SECONDS_MAX):
            return InvalidSettings("duration_seconds", f"must be above 0 and at most {DURATION_SECONDS_MAX:,}")
        if not _within_decimal_places(seconds):
            places = f"must have at most {DECIMAL_PLACES_MAX} decimal places"
            return InvalidSettings("duration_seconds", places)
        seconds = plain(seconds)
    if count is None:
        count = 1 if "count" in model.takes else None
    elif not 1 <= count <= COUNT_MAX:
        return InvalidSettings("count", f"must be from 1 to {COUNT_MAX:,}")
    if characters is not None and not 1 <= characters <= CHARACTERS_MAX:
        return InvalidSettings("characters", f"must be from 1 to {CHARACTERS_MAX:,}")
    return Settings(duration_seconds=seconds, count=count, resolution=settings.resolution, characters=characters)


def _within_decimal_places(seconds: Decimal) -> bool:
    try:
        _EXACT.quantize(seconds, _FINEST_SECONDS)
    except Inexact:
        return False
    return True


def _measured(model: PricedModel, settings: Settings) -> _Measured | InvalidSettings:
    quantity = quantity_of(str(model.__struct_config__.tag), settings)
    match model:
        case PerTrack():
            credits_per_track = _credits_per_track(model, settings)
            if isinstance(credits_per_track, InvalidSettings):
                return credits_per_track
            return _Measured(quantity, credits_per_track)
        case PerSecond():
            if settings.duration_seconds is None:
                return _missing("duration_seconds", model)
            return _Measured(quantity, model.credits)
        case PerImage():
            credits_per_image = _credits_per_image(model, settings)
            if isinstance(credits_per_image, InvalidSettings):
                return credits_per_image
            return _Measured(quantity, credits_per_image)
        case PerThousandCharacters():
            if settings.characters is None:
                return _missing("characters", model)
            return _Measured(quantity, model.credits)
        case _:
            assert_never(model)


def _credits_per_track(model: PerTrack, settings: Settings) -> Decimal | InvalidSettings:
    if model.credits is not None and not model.bands:
        return model.credits
    if settings.duration_seconds is None:
        return _missing("duration_seconds", model)
    for band in model.bands:
        if band.up_to_seconds is None or settings.duration_seconds <= band.up_to_seconds:
            return band.credits
    longest = model.bands[-1].up_to_seconds
    return InvalidSettings("duration_seconds", f"must be at most {longest} for {model.model}")


def _credits_per_image(model: PerImage, settings: Settings) -> Decimal | InvalidSettings:
    if settings.resolution is None:
        return model.credits
    listed = model.resolutions.get(settings.resolution)
    if listed is not None:
        return listed
    names = ", ".join(model.resolutions)
    return InvalidSettings("resolution", f"must be one of {names}, or absent" if names else "must be absent")


def _missing(key: str, model: PricedModel) -> InvalidSettings:
    return InvalidSettings(key, f"is required for {model.model}")
