"""Counts months from an anchor, clipped to the month's last day, so that they never drift."""

from datetime import UTC, datetime

from dateutil.relativedelta import relativedelta
from msgspec import Struct

MONTHS_PER_TERM = {"monthly": 1, "yearly": 12}

# No instant is later, so that no calculation leaves the years that a datetime has. A day before its maximum, since an
# instant is also written in zones ahead of UTC. A period that would end later ends here, and here nothing is due.
END_OF_CALENDAR = datetime(9999, 12, 31, tzinfo=UTC)


class Period(Struct, frozen=True, gc=False):
    """A half-open interval `[starts_at, ends_at)`; `number` counts from 1 over the subscription's life."""

    number: int
    starts_at: datetime
    ends_at: datetime


def month_of(anchor_at: datetime, at: datetime) -> int:
    """Return the number of the month after the anchor in which an instant is: the last whose start is not after it."""
    months = (at.year - anchor_at.year) * 12 + at.month - anchor_at.month
    return months if months_after(anchor_at, months) <= at else months - 1


def months_after(anchor_at: datetime, months: int) -> datetime:
    """Return the instant `months` after the anchor: same day and time, or the month's last day where it is shorter.

    Always counted from the anchor itself, so that 31 January gives 28 February and then 31 March. At most
    `END_OF_CALENDAR`.
    """
    try:
        return min(anchor_at + relativedelta(months=months), END_OF_CALENDAR)
    except ValueError:  # year 10000 or later
        return END_OF_CALENDAR
