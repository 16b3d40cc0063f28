"""The log of refusals beside the streams: one row per subscription, generation and version."""

from functools import partial

import psycopg
import pytest

from services.ledger.ledger import Ledger
from services.subscription.commands import CancelSubscription, ChargeGeneration, UpgradePlan
from tests.conftest import SettableClock
from tests.integration.ledger.books import Books, tally
from tests.integration.ledger.lanes import BY, at_once, charge, start, together, track

SMALL = "ai-starter-7500-monthly"


def test_a_client_that_retries_in_a_loop_does_not_grow_it(ledger: Ledger, other: Ledger, books: Books) -> None:
    id = start(ledger, SMALL)

    refused = together(ledger, *[(id, track("track-1"))] * 20)
    refused += at_once([partial(each.execute, id, track("track-1"), BY) for each in (ledger, other) * 10])

    assert tally(refused) == {"not_in_plan": 40}
    assert books.count("refusals") == 1


def test_a_refusal_on_another_version_is_another_one(ledger: Ledger, books: Books, clock: SettableClock) -> None:
    id = start(ledger, SMALL)
    for _ in range(3):
        together(ledger, *[(id, track("track-1"))] * 2)
        clock.advance(days=31)

    assert books.ask("SELECT version FROM {}.refusals ORDER BY version") == [(2,), (4,), (6,)]


def test_it_says_what_was_asked_and_what_was_there(ledger: Ledger, books: Books, clock: SettableClock) -> None:
    id = start(ledger)
    together(ledger, *[(id, track(f"track-{number}")) for number in range(110)])

    ledger.execute(id, ChargeGeneration("track-110", "lyria-3-pro"), BY)

    assert books.ask("SELECT * FROM {}.refusals") == [
        (id, "track-110", 112, "lyria-3-pro", {}, "insufficient_credits", 300, 0, clock.now)
    ]


def test_want_of_credits_of_plan_and_of_subscription_are_kept_and_nothing_else_is(ledger: Ledger, books: Books) -> None:
    poor, ended = start(ledger, SMALL), start(ledger)
    ledger.execute(ended, CancelSubscription("now"), BY)

    refused = together(
        ledger,
        (poor, track("of another plan")),
        (ended, track("too late")),
        (poor, ChargeGeneration("malformed", "no-such-model")),
        (poor, UpgradePlan(SMALL)),
        (ended, UpgradePlan("max-pro-240000-yearly")),
    )

    assert tally(refused) == {"not_in_plan": 1, "subscription_ended": 2, "unknown_model": 1, "not_an_upgrade": 1}
    assert books.ask("SELECT code FROM {}.refusals ORDER BY code") == [("not_in_plan",), ("subscription_ended",)]


def test_an_earlier_charge_that_is_asked_for_again_is_no_refusal(ledger: Ledger, books: Books) -> None:
    id = start(ledger)
    charge(ledger, id, "track-1")
    ledger.execute(id, CancelSubscription("now"), BY)

    assert charge(ledger, id, "track-1").is_replay
    assert tally([ledger.execute(id, ChargeGeneration("track-1", "lyria-3-pro"), BY)]) == {"generation_id_conflict": 1}
    assert books.count("refusals") == 0


def test_it_only_grows(ledger: Ledger, database_url: str, subtests: pytest.Subtests) -> None:
    ledger.execute(start(ledger, SMALL), track("track-1"), BY)

    for change in ("UPDATE {} SET code = ''", "DELETE FROM {}", "TRUNCATE {}"):
        refused = pytest.raises(psycopg.errors.IntegrityConstraintViolation)
        with subtests.test(change), psycopg.connect(database_url) as connection, refused:
            connection.execute(change.format("tallystick.refusals").encode())
