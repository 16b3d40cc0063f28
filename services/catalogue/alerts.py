"""Thresholds of alerts: parts of the granted credits, at or below which what is available is low."""

from decimal import Decimal
from functools import lru_cache

from msgspec import Struct

DEFAULT_ALERTS = ("0.20", "0.00")
THRESHOLDS_MAX = 10
_PARTS = 10_000


class Threshold(Struct, frozen=True):
    """A threshold as it is written, and exactly: in ten-thousandths of the granted credits."""

    text: str
    ten_thousandths: int

    def is_reached(self, available_credits: int, granted_credits: int) -> bool:
        """Whether what is available is at the threshold or below it."""
        return available_credits * _PARTS <= self.ten_thousandths * granted_credits


@lru_cache(1_024)
def ten_thousandths(text: str) -> int:
    """Return a threshold, a decimal of at most four digits behind the point, as a whole number."""
    return int(Decimal(text) * _PARTS)


@lru_cache(1_024)
def thresholds_of(texts: tuple[str, ...]) -> tuple[Threshold, ...]:
    """Return thresholds, the highest first."""
    thresholds = (Threshold(text, ten_thousandths(text)) for text in texts)
    return tuple(sorted(thresholds, key=lambda each: -each.ten_thousandths))
