"""From an event to what it adds to a row of usage."""

from datetime import UTC, date, datetime

from msgspec import Struct

from services.catalogue.model import AssetType
from services.subscription.events import ChargeReversed, GenerationCharged


class UsageKey(Struct, frozen=True):
    """What a row counts for one subscription; `day` is a day of UTC."""

    day: date
    model: str
    asset_type: AssetType


class UsageCounts(Struct, frozen=True):
    """What a row has counted, or what an event adds to it."""

    charges: int = 0
    credits: int = 0
    reversed_credits: int = 0


def charged(event: GenerationCharged, recorded_at: datetime) -> tuple[UsageKey, UsageCounts]:
    """What a charge adds."""
    return _key(event, recorded_at), UsageCounts(charges=1, credits=event.credits)


def reversed_charge(
    event: ChargeReversed, recorded_at: datetime, original: GenerationCharged
) -> tuple[UsageKey, UsageCounts]:
    """What giving a charge back adds: to the model of the charge, on the day of the giving back."""
    return _key(original, recorded_at), UsageCounts(reversed_credits=event.credits)


def add(one: UsageCounts, other: UsageCounts) -> UsageCounts:
    """Both together."""
    return UsageCounts(
        one.charges + other.charges,
        one.credits + other.credits,
        one.reversed_credits + other.reversed_credits,
    )


def _key(event: GenerationCharged, recorded_at: datetime) -> UsageKey:
    return UsageKey(recorded_at.astimezone(UTC).date(), event.model, event.asset_type)
