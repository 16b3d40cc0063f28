"""The log of refusals beside the streams: one row per subscription, generation and version."""

from functools import partial

import psycopg
import pytest

from services.ledger.ledger import Ledger
from services.subscription.commands import CancelSubscription, ChargeGeneration, UpgradePlan
from tests.conftest import SettableClock
from tests.integration.ledger.books import Books, tally
from tests.integration.ledger.lanes import BY, concurrently, in_one_batch, start, track

SMALL = "ai-starter-7500-monthly"


def test_a_client_that_retries_in_a_loop_adds_one_row(ledger: Ledger, other: Ledger, books: Books) -> None:
    id = start(ledger, SMALL)

    refused = in_one_batch(ledger, *[(id, track("track-1"))] * 20)
    refused += concurrently([partial(each.execute, id, track("track-1"), BY) for each in (ledger, other) * 10])

    assert tally(refused) == {"not_in_plan": 40}
    assert books.count("refusals") == 1


def test_a_refusal_on_another_version_is_another_row(ledger: Ledger, books: Books, clock: SettableClock) -> None:
    id = start(ledger, SMALL)
    for _ in range(3):
        in_one_batch(ledger, *[(id, track("track-1"))] * 2)
        clock.advance(days=31)

    assert books.query("SELECT version FROM {}.refusals ORDER BY version") == [(2,), (4,), (6,)]


def test_a_row_has_the_request_and_the_balance(ledger: Ledger, books: Books, clock: SettableClock) -> None:
    id = start(ledger)
    in_one_batch(ledger, *[(id, track(f"track-{number}")) for number in range(110)])

    ledger.execute(id, ChargeGeneration("track-110", "lyria-3-pro"), BY)

    assert books.query(
        "SELECT op, generation_id, version, model, settings, code, required_credits, balance_credits,"
        " available_credits, refused_at FROM {}.refusals"
    ) == [("charge", "track-110", 112, "lyria-3-pro", {}, "insufficient_credits", 300, 0, 0, clock.now)]


def test_only_refusals_for_want_of_credits_plan_or_subscription_are_stored(ledger: Ledger, books: Books) -> None:
    poor, ended = start(ledger, SMALL), start(ledger)
    ledger.execute(ended, CancelSubscription("now"), BY)

    refused = in_one_batch(
        ledger,
        (poor, track("of another plan")),
        (ended, track("too late")),
        (poor, ChargeGeneration("malformed", "no-such-model")),
        (poor, UpgradePlan(SMALL)),
        (ended, UpgradePlan("max-pro-240000-yearly")),
    )

    assert tally(refused) == {"not_in_plan": 1, "subscription_ended": 2, "unknown_model": 1, "not_an_upgrade": 1}
    assert books.query("SELECT code FROM {}.refusals ORDER BY code") == [("not_in_plan",), ("subscription_ended",)]


def test_rows_are_never_changed_or_deleted(ledger: Ledger, database_url: str, subtests: pytest.Subtests) -> None:
    ledger.execute(start(ledger, SMALL), track("track-1"), BY)

    for change in ("UPDATE {} SET code = ''", "DELETE FROM {}", "TRUNCATE {}"):
        refused = pytest.raises(psycopg.errors.IntegrityConstraintViolation)
        with subtests.test(change), psycopg.connect(database_url) as connection, refused:
            connection.execute(change.format("tallystick.refusals").encode())
