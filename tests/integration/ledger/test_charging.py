"""Charges on a real PostgreSQL: an answer is what is stored, once.

`tests/unit/ledger/test_charging.py` has what is decided without a database.
"""

from functools import partial

from services.catalogue import Catalogue
from services.ledger.ledger import Ledger
from services.ledger.submission import Charged
from tests.conftest import SCHEMA, SettableClock
from tests.integration.ledger.books import Books, tally
from tests.integration.ledger.lanes import BY, charge, concurrently, in_one_batch, start, track


def test_many_clients_spend_exactly_the_balance(ledger: Ledger, books: Books) -> None:
    id = start(ledger)
    affordable = 16_500 // 150
    calls = [partial(ledger.execute, id, track(f"track-{number}"), BY) for number in range(affordable + 50)]

    assert tally(concurrently(calls, clients=64)) == {"Charged": affordable, "insufficient_credits": 50}

    row = books.query("SELECT granted_credits, used_credits, version, position FROM {}.balance")
    assert row == [(16_500, 16_500, 2 + affordable, 2 + affordable)]
    books.check()


def test_concurrent_requests_for_one_generation_charge_it_once(ledger: Ledger, books: Books) -> None:
    id = start(ledger)

    answers = concurrently([partial(ledger.execute, id, track("track-1"), BY)] * 50, clients=50)

    charged = [answer for answer in answers if isinstance(answer, Charged)]
    assert len(charged) == 50
    assert sum(not answer.is_replay for answer in charged) == 1
    assert {answer.charge.position for answer in charged} == {books.charged()[id, "track-1"].position}


def test_an_answer_is_what_is_stored(ledger: Ledger, books: Books) -> None:
    ids = [start(ledger) for _ in range(5)]

    answers = in_one_batch(ledger, *[(id, track(f"track-{number}")) for id in ids for number in range(3)])

    charges = [answer.charge for answer in answers if isinstance(answer, Charged)]
    assert len(charges) == 15
    assert {(each.subscription_id, each.generation_id): each for each in charges} == books.charged()
    assert [each.position for each in charges] == list(range(11, 26)), "positions in the order of the batch"


def test_a_new_ledger_finds_everything_as_the_old_one_left_it(
    ledger: Ledger, books: Books, database_url: str, catalogue: Catalogue, clock: SettableClock
) -> None:
    ids = [start(ledger) for _ in range(3)]
    for id in ids:
        for number in range(4):
            charge(ledger, id, f"track-{number}")
    ledger.lane.stop()

    with Ledger(database_url, SCHEMA, catalogue, clock=clock) as other:
        answers = in_one_batch(other, *[(id, track(f"track-{number}")) for id in ids for number in range(3, 6)])

    assert [answer.is_replay for answer in answers if isinstance(answer, Charged)] == [True, False, False] * 3
    books.check()
