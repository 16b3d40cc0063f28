"""The made-up ledger is sound: chained, gapless, with read models that follow from its events."""

from collections import Counter
from datetime import UTC, datetime
from typing import Any
from uuid import UUID

import psycopg
import pytest

from projections.balance.project import project as balance_row
from projections.renewal.project import project as renewal_row
from services.catalogue import Catalogue, Settings
from services.demo import TIMESPAN, Demo, DemoSize
from services.ledger.hashing import NO_HASH
from services.ledger.ledger import Ledger
from services.ledger.records import Metadata
from services.ledger.submission import Charged
from services.postgres.database import connect
from services.subscription.commands import ChargeGeneration
from tests.conftest import SCHEMA
from tests.integration.ledger.books import Books

NOW = datetime(2026, 1, 15, 12, tzinfo=UTC)
WANTED = DemoSize(subscriptions=40, events=12_000, until=NOW)


@pytest.fixture
def filled(ledger: Ledger, catalogue: Catalogue, database_url: str) -> int:
    with connect(database_url) as connection:
        return Demo(SCHEMA, catalogue, seed=1).fill(connection, WANTED, lambda _done: None)


def rows(database_url: str, query: str) -> list[Any]:
    with psycopg.connect(database_url) as connection:
        return connection.execute(query.encode()).fetchall()


def test_it_is_as_large_as_was_asked_for(filled: int, database_url: str) -> None:
    (counted,) = rows(
        database_url, "SELECT count(*), max(notification_id), min(recorded_at) FROM tallystick.ledger_events"
    )
    topics = Counter(topic for (topic,) in rows(database_url, "SELECT topic FROM tallystick.ledger_events"))

    assert WANTED.events <= filled < WANTED.events + 100
    assert counted[:2] == (filled, filled)
    assert counted[2] < NOW
    assert topics["SubscriptionStarted"] == WANTED.subscriptions
    assert {"GenerationCharged", "CycleReset", "PlanUpgraded"} <= set(topics)


def test_the_largest_ledger_is_spread_over_its_time_like_the_smallest() -> None:
    for events in (2, 10_000_000_000):
        size = DemoSize(subscriptions=1, events=events, until=NOW)
        assert size.instant(0) == NOW - TIMESPAN
        assert size.instant(events // 2) == NOW - TIMESPAN / 2
        assert size.instant(events - 1) < NOW


def test_its_read_models_say_what_its_events_say(filled: int, database_url: str) -> None:
    assert filled
    books = Books(database_url)
    balances = rows(
        database_url,
        "SELECT subscription_id, version, used_credits, reversed_credits, granted_credits, cycle_number, status,"
        " plan_id FROM tallystick.balance",
    )
    renewals = dict(rows(database_url, "SELECT subscription_id, next_due_at FROM tallystick.renewal"))
    for id, *row in balances:
        head = books.head(id)
        assert head is not None
        state = head.state
        expected = balance_row(state, 0)
        assert row == [
            expected.version,
            expected.used_credits,
            expected.reversed_credits,
            expected.granted_credits,
            expected.cycle_number,
            expected.status,
            expected.plan_id,
        ]
        assert renewals[id] == renewal_row(state).next_due_at
    charged = rows(database_url, "SELECT count(*) FROM tallystick.ledger_events WHERE topic = 'GenerationCharged'")
    assert charged == rows(database_url, "SELECT count(*) FROM tallystick.charges")


def test_every_stream_is_chained_and_can_be_charged_on(filled: int, ledger: Ledger, database_url: str) -> None:
    assert filled
    books = Books(database_url)
    streams = rows(database_url, "SELECT subscription_id FROM tallystick.balance WHERE status = 'active'")
    for (id,) in streams:
        expected, version = NO_HASH, 0
        for each in books.stream(id):
            assert (each.stored.previous_hash, each.originator_version) == (expected, version + 1)
            expected, version = each.stored.hash, each.originator_version

    accepted = [_charge(ledger, id) for (id,) in streams]
    assert any(isinstance(answer, Charged) for answer in accepted)


def _charge(ledger: Ledger, id: UUID) -> object:
    charge = ChargeGeneration("after", "example-voice-1", Settings(characters=100))
    return ledger.execute(id, charge, Metadata("test", "request-1"))


def test_it_goes_on_where_nobody_can_pay_any_more(ledger: Ledger, catalogue: Catalogue, database_url: str) -> None:
    few = DemoSize(subscriptions=1, events=9_000, until=NOW)
    with connect(database_url) as connection:
        assert Demo(SCHEMA, catalogue, seed=2).fill(connection, few, lambda _done: None) >= 9_000
