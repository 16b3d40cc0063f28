"""Months from an anchor: compared with whole-number arithmetic, for every anchor day, over a hundred years."""

from calendar import isleap, monthrange
from datetime import UTC, datetime, timedelta
from itertools import islice, pairwise

import pytest

from services.subscription.boundaries import boundaries
from services.subscription.calendar import END_OF_CALENDAR, months_after
from services.subscription.commands import StartSubscription
from services.subscription.events import CycleReset, TermRenewed
from services.subscription.state import Subscription
from tests.unit.subscription.catalogues import odd_catalogue
from tests.unit.subscription.history import History
from tests.unit.subscription.plain_months import NEVER, months_later, months_passed
from tests.unit.subscription.scenario import instant

CENTURY_MONTHS = 1200
LEAP_YEAR = 2024
ANCHOR_DAYS = [(month, day) for month in range(1, 13) for day in range(1, monthrange(LEAP_YEAR, month)[1] + 1)]
# Days that some month lacks, the days beside them, and the first.
TELLING_DAYS = [(month, day) for month, day in ANCHOR_DAYS if day in (1, 27, 28, 29, 30, 31)]


@pytest.mark.parametrize("month", range(1, 13))
def test_every_anchor_day_over_a_hundred_years(month: int) -> None:
    for _, day in (each for each in ANCHOR_DAYS if each[0] == month):
        anchor_at = datetime(LEAP_YEAR, month, day, 10, 30, 0, 1, tzinfo=UTC)
        for months in range(1, CENTURY_MONTHS + 1):
            assert months_after(anchor_at, months) == months_later(anchor_at, months), (anchor_at, months)


@pytest.mark.parametrize(
    ("anchor", "months", "expected"),
    [
        ("2024-01-31 10:00", 1, "2024-02-29 10:00"),
        ("2023-01-31 10:00", 1, "2023-02-28 10:00"),
        ("2023-01-31 10:00", 2, "2023-03-31 10:00"),
        ("2023-01-31 10:00", 13, "2024-02-29 10:00"),
        ("2023-01-28", 13, "2024-02-28"),
        ("2024-02-29", 12, "2025-02-28"),
        ("2024-02-29", 48, "2028-02-29"),
        ("2096-02-29", 48, "2100-02-28"),
        ("2096-02-29", 96, "2104-02-29"),
        ("1999-12-31 23:59:59.999999", 2, "2000-02-29 23:59:59.999999"),
        ("2024-10-30", 4, "2025-02-28"),
        ("2024-10-30", 5, "2025-03-30"),
        ("2024-12-01", 1, "2025-01-01"),
        ("2024-05-31", 1, "2024-06-30"),
        ("2024-05-15", 0, "2024-05-15"),
    ],
)
def test_the_last_day_stands_in_for_a_day_that_a_month_lacks(anchor: str, months: int, expected: str) -> None:
    assert months_after(instant(anchor), months) == instant(expected)
    assert months_later(instant(anchor), months) == instant(expected)


def test_clipping_never_drifts() -> None:
    anchor_at = instant("2024-01-31")
    days = [months_after(anchor_at, months).day for months in range(1, 25)]

    assert days == [29, 31, 30, 31, 30, 31, 31, 30, 31, 30, 31, 31, 28, 31, 30, 31, 30, 31, 31, 30, 31, 30, 31, 31]


def test_a_leap_day_comes_back_in_leap_years_only() -> None:
    anchor_at = instant("2024-02-29")
    yearly = [months_after(anchor_at, 12 * years) for years in range(1, 101)]

    assert all(at.day == (29 if isleap(at.year) else 28) and at.month == 2 for at in yearly)


@pytest.mark.parametrize(
    ("anchor", "months"),
    [
        ("9999-12-01", 1),
        ("9999-11-30 10:00", 2),
        ("9999-12-31", 1),
        ("9998-12-31", 12),
        ("9998-12-31 00:00:00.000001", 12),
        ("9999-01-01", 12),
        ("2024-01-01", 1_000_000),
    ],
)
def test_beyond_the_last_day_there_is_nothing(anchor: str, months: int) -> None:
    assert months_after(instant(anchor), months) == END_OF_CALENDAR == NEVER


@pytest.mark.parametrize("plan_id", ["ai-suite-40000-monthly", "ai-suite-40000-yearly"])
@pytest.mark.parametrize("year", [LEAP_YEAR, 1999, 2100])
def test_no_reset_is_lost_and_none_comes_twice(plan_id: str, year: int) -> None:
    for month, day in TELLING_DAYS:
        if day <= monthrange(year, month)[1]:
            _check_future(plan_id, datetime(year, month, day, 10, 30, 0, 1, tzinfo=UTC), months=60)


@pytest.mark.long
@pytest.mark.parametrize("plan_id", ["ai-suite-40000-monthly", "ai-suite-40000-yearly"])
def test_no_reset_is_lost_and_none_comes_twice_over_a_hundred_years(plan_id: str) -> None:
    for month, day in ANCHOR_DAYS:
        _check_future(plan_id, datetime(LEAP_YEAR, month, day, 10, 30, 0, 1, tzinfo=UTC), months=CENTURY_MONTHS)


def _check_future(plan_id: str, anchor_at: datetime, months: int) -> None:
    """Check cycles and terms of a subscription without commands: at the oracle's instants, end to end, numbered."""
    state = _started(plan_id, anchor_at)
    future = list(islice(boundaries(state), months))
    cycles = [state.cycle, *(event.cycle for each in future for event in each.events if isinstance(event, CycleReset))]
    terms = [state.term, *(event.term for each in future for event in each.events if isinstance(event, TermRenewed))]
    months_a_term = 12 if plan_id.endswith("yearly") else 1

    assert [each.at for each in future] == [months_later(anchor_at, number) for number in range(1, months + 1)]
    assert [cycle.number for cycle in cycles] == list(range(1, months + 2))
    assert [term.number for term in terms] == list(range(1, months // months_a_term + 2))
    for periods in (cycles, terms):
        assert all(before.ends_at == after.starts_at for before, after in pairwise(periods))
    assert cycles[-1].ends_at == months_later(anchor_at, months + 1)
    assert terms[-1].ends_at == months_later(anchor_at, months + months_a_term)


def _started(plan_id: str, at: datetime) -> Subscription:
    history = History(odd_catalogue())
    history.apply(StartSubscription("account", plan_id), at)
    assert history.state is not None
    return history.state


def test_the_oracle_counts_the_months_that_have_passed() -> None:
    anchor_at = instant("2024-01-31 10:00")
    for months in range(1, 61):
        at = months_later(anchor_at, months)
        assert months_passed(anchor_at, at) == months
        assert months_passed(anchor_at, at - timedelta(microseconds=1)) == months - 1
