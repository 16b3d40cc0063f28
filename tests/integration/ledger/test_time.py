"""Instants on the write path: they come from one clock, never run back within a stream, and what is due comes first."""

from datetime import UTC, datetime, timedelta
from uuid import UUID

import psycopg
import pytest

from services.ledger.ledger import Ledger
from services.ledger.submission import Done, Refused, UnknownTestClock
from services.subscription.commands import RecordDue, ScheduleDowngrade, StartSubscription, UpgradePlan
from services.subscription.refusals import VersionMismatch
from tests.conftest import SettableClock
from tests.integration.ledger.books import Books, tally
from tests.integration.ledger.lanes import BY, STARTER, charge, start, together, track

SMALL = "ai-starter-7500-monthly"
A_MONTH = ["CycleReset", "TermRenewed"]


def test_a_clock_that_runs_back_does_not_take_a_stream_with_it(
    ledger: Ledger, clock: SettableClock, books: Books
) -> None:
    id = start(ledger)
    first = charge(ledger, id, "track-1").charge.charged_at
    clock.advance(hours=-1)
    assert charge(ledger, id, "track-2").charge.charged_at == first
    clock.advance(minutes=30)
    assert charge(ledger, id, "track-3").charge.charged_at == first
    clock.advance(hours=1)
    assert charge(ledger, id, "track-4").charge.charged_at == first + timedelta(minutes=30)
    books.check()


def test_a_clock_that_runs_back_over_a_boundary_does_not_undo_it(
    ledger: Ledger, clock: SettableClock, books: Books
) -> None:
    id = start(ledger)
    clock.advance(days=31)
    assert charge(ledger, id, "track-1").charge.cycle_number == 2
    clock.advance(days=-1)
    assert charge(ledger, id, "track-2").charge.cycle_number == 2
    books.check()


def test_another_process_whose_clock_is_behind_does_not_take_a_stream_back(
    ledger: Ledger, other: Ledger, clock: SettableClock, books: Books
) -> None:
    id = start(ledger)
    clock.advance(seconds=5)
    charged_at = charge(ledger, id, "track-1").charge.charged_at
    clock.advance(seconds=-5)

    assert charge(other, id, "track-2").charge.charged_at == charged_at
    books.check()


def test_what_is_due_is_recorded_before_a_charge(ledger: Ledger, clock: SettableClock, books: Books) -> None:
    id = start(ledger)
    charge(ledger, id, "track-1")
    clock.advance(days=31)

    charged = charge(ledger, id, "track-2").charge

    assert books.types(id)[3:] == [*A_MONTH, "GenerationCharged"]
    assert (charged.cycle_number, charged.balance_before) == (2, 16_500)


def test_what_is_due_is_recorded_before_a_refusal(ledger: Ledger, clock: SettableClock, books: Books) -> None:
    id = start(ledger, SMALL)
    clock.advance(days=62)

    assert tally([ledger.execute(id, track("track-1"), BY)]) == {"not_in_plan": 1}

    assert books.types(id)[2:] == A_MONTH * 2
    assert books.ask("SELECT version, balance_credits FROM {}.refusals") == [(6, 7_500)]
    books.check()


def test_what_is_due_is_recorded_even_where_the_expected_version_is_missed(
    ledger: Ledger, clock: SettableClock, books: Books
) -> None:
    id = start(ledger)
    clock.advance(days=31)

    refused = ledger.execute(id, UpgradePlan("max-pro-240000-yearly"), BY, expected_version=1)

    assert refused == Refused(VersionMismatch(4))
    assert books.types(id)[2:] == A_MONTH


def test_the_expected_version_is_the_one_that_a_read_shows_with_what_is_due_applied(
    ledger: Ledger, clock: SettableClock
) -> None:
    id = start(ledger)
    clock.advance(days=31)

    assert tally([ledger.execute(id, ScheduleDowngrade(SMALL), BY, expected_version=4)]) == {"Done": 1}


def test_an_earlier_charge_is_answered_without_recording_what_is_due(
    ledger: Ledger, clock: SettableClock, books: Books
) -> None:
    id = start(ledger)
    charge(ledger, id, "track-1")
    clock.advance(days=31)

    assert charge(ledger, id, "track-1").is_replay
    assert books.types(id)[3:] == []


def test_recording_what_is_due_says_how_many_events_it_took(ledger: Ledger, clock: SettableClock) -> None:
    id = start(ledger)
    clock.advance(days=62)

    counts = [answer.event_count for answer in together(ledger, *[(id, RecordDue())] * 2) if isinstance(answer, Done)]

    assert counts == [4, 0]


@pytest.fixture
def test_clock(database_url: str) -> psycopg.Connection[tuple[object, ...]]:
    """A connection to a database with the test clock `slow`, in the year 2020."""
    with psycopg.connect(database_url, autocommit=True) as connection:
        connection.execute("INSERT INTO tallystick.test_clocks VALUES ('slow', '2020-03-01T00:00Z', now())")
    return connection


@pytest.mark.usefixtures("test_clock")
def test_a_subscription_on_a_test_clock_lives_in_its_time(ledger: Ledger, books: Books, database_url: str) -> None:
    id = start(ledger, test_clock_id="slow")
    assert charge(ledger, id, "track-1").charge.charged_at == datetime(2020, 3, 1, tzinfo=UTC)

    with psycopg.connect(database_url, autocommit=True) as connection:
        connection.execute("UPDATE tallystick.test_clocks SET now = '2020-04-01T00:00Z'")

    assert charge(ledger, id, "track-2").charge.charged_at == datetime(2020, 4, 1, tzinfo=UTC)
    assert books.types(id)[3:] == [*A_MONTH, "GenerationCharged"]
    assert all(each.recorded_at.year == 2020 for each in books.events())
    books.check()


def test_there_is_no_time_on_a_test_clock_that_nobody_made(ledger: Ledger, books: Books) -> None:
    refused = ledger.execute(UUID(int=1), StartSubscription("account-1", STARTER, "fast"), BY)

    assert refused == Refused(UnknownTestClock("fast"))
    assert not books.events()
