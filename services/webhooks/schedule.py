"""Decides when a message that failed is tried again, and when an endpoint has failed for too long."""

from datetime import datetime, timedelta

PAUSES = (
    timedelta(seconds=1),
    timedelta(seconds=5),
    timedelta(seconds=30),
    timedelta(minutes=5),
    timedelta(minutes=30),
    timedelta(hours=2),
    timedelta(hours=6),
    timedelta(hours=12),
    timedelta(hours=24),
    timedelta(hours=24),
)
SPREAD = 0.2
"""A pause is longer or shorter by up to this part, so that what failed together does not come back together."""
FAILING_MAX = timedelta(days=1)


def next_attempt_at(now: datetime, attempts: int, chance: float) -> datetime | None:
    """Return when a message that failed so many times is tried again; None where it is not. `chance` is from 0 to 1."""
    if attempts > len(PAUSES):
        return None
    return now + PAUSES[attempts - 1] * (1 + SPREAD * (2 * chance - 1))


def has_failed_for_too_long(failing_since: datetime | None, now: datetime) -> bool:
    """Whether an endpoint that took nothing since then is switched off."""
    return failing_since is not None and now - failing_since >= FAILING_MAX
