"""Compares this machine's clock with the database's: where they differ, nothing is decided.

Time makes boundaries due, and what has become due is recorded for ever. A process that is days ahead would reset every
subscription that it meets.
"""

import time
from datetime import UTC, datetime, timedelta

import psycopg

from services.postgres.session import Session

MAX_DIFFERENCE = timedelta(seconds=2)
CHECK_SECONDS = 1.0
_STEP_SECONDS = 0.5
"""A clock that moved by so much against the time since the start was set."""
_DATABASE_CLOCK = b"SELECT clock_timestamp()"


class ClockDiffers(psycopg.OperationalError):
    """This machine's clock and the database's differ by more than `MAX_DIFFERENCE`."""


def difference(database: datetime, before: datetime, after: datetime) -> timedelta:
    """By how much the database's clock differs at least, read between two readings of this machine's; 0 within them."""
    return max(before - database, database - after, timedelta())


def refuse_difference(database: datetime, before: datetime, after: datetime) -> None:
    """Raise ClockDiffers where the clocks differ too much."""
    if (differs := difference(database, before, after)) > MAX_DIFFERENCE:
        raise ClockDiffers(
            f"this machine's clock differs from the database's by {differs.total_seconds():,.0f} s: set both, as by NTP"
        )


def machine_clock() -> datetime:
    """This machine's time."""
    return datetime.now(UTC)


class ClockGuard:
    """Compares the clocks on a session: once a second, and at once where this machine's was set meanwhile."""

    def __init__(self) -> None:
        self._compared_at = float("-inf")
        self._began_at = 0.0
        """This machine's clock, less its time since the start, when it was found right."""

    def compare(self, session: Session) -> None:
        """Compare where it is time. Raises ClockDiffers, after which it compares at once again; psycopg.Error."""
        now, before = time.monotonic(), machine_clock()
        began_at = before.timestamp() - now
        if now < self._compared_at + CHECK_SECONDS and abs(began_at - self._began_at) < _STEP_SECONDS:
            return
        with session.pipeline():
            ((database,),) = session.execute(_DATABASE_CLOCK).rows()
        refuse_difference(database, before, machine_clock())
        self._compared_at, self._began_at = now, began_at
