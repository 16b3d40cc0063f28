"""Counts months in whole numbers, to compare the calendar with, and for the model.

Nothing but `calendar.monthrange`, which gives the days of a month; the core computes with another library.
"""

from calendar import monthrange
from datetime import UTC, datetime
from functools import lru_cache

LAST_YEAR = 9999
NEVER = datetime(LAST_YEAR, 12, 31, tzinfo=UTC)
"""Stands for an instant that does not come: the service's calendar ends here."""


@lru_cache(maxsize=10_000)
def months_later(anchor_at: datetime, months: int) -> datetime:
    """Return the anchor's day and time so many months later, clipped to the month's last day; at most `NEVER`."""
    ordinal = 12 * anchor_at.year + (anchor_at.month - 1) + months
    year, month = ordinal // 12, ordinal % 12 + 1
    if year > LAST_YEAR:
        return NEVER
    days_in_month = monthrange(year, month)[1]
    later = anchor_at.replace(year=year, month=month, day=min(anchor_at.day, days_in_month))
    return min(later, NEVER)


def months_passed(anchor_at: datetime, at: datetime) -> int:
    """Count the whole months from the anchor to an instant not before it.

    One that ends exactly then has passed; one that ends at `NEVER` never does.
    """
    months = 12 * (at.year - anchor_at.year) + at.month - anchor_at.month
    while months > 0 and (months_later(anchor_at, months) > at or months_later(anchor_at, months) == NEVER):
        months -= 1
    return months
