"""Instants in the database: processes whose clocks differ, and test clocks.

`tests/unit/ledger/test_time.py` has what is decided without a database.
"""

from datetime import UTC, datetime

import psycopg
import pytest

from services.ledger.ledger import Ledger
from tests.conftest import SettableClock
from tests.integration.ledger.books import Books
from tests.integration.ledger.lanes import charge, start

SMALL = "ai-starter-7500-monthly"
A_MONTH = ["CycleReset", "TermRenewed"]


def test_another_process_whose_clock_is_behind_does_not_take_a_stream_back(
    ledger: Ledger, other: Ledger, clock: SettableClock, books: Books
) -> None:
    id = start(ledger)
    clock.advance(seconds=5)
    charged_at = charge(ledger, id, "track-1").charge.charged_at
    clock.advance(seconds=-5)

    assert charge(other, id, "track-2").charge.charged_at == charged_at
    books.check()


@pytest.fixture
def test_clock(database_url: str) -> None:
    """Create the test clock `slow`, in the year 2020."""
    with psycopg.connect(database_url, autocommit=True) as connection:
        connection.execute("INSERT INTO tallystick.test_clocks VALUES ('slow', '2020-03-01T00:00Z', now())")


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
