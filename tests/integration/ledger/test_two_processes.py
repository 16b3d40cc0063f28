"""Two processes on one ledger. All they share is the database, so two ledger objects stand for them."""

import re
from functools import partial
from random import Random
from uuid import uuid4

import psycopg
import pytest

from services.ledger.ledger import Ledger
from services.ledger.submission import Answer, Charged, Done, IdempotencyKey, Repeated
from services.postgres.embedded import EmbeddedPostgres
from services.subscription.commands import RecordDue, StartSubscription, UpgradePlan
from tests.integration.ledger.books import Books, tally
from tests.integration.ledger.lanes import BY, STARTER, at_once, charge, start, together, track


@pytest.fixture
def both(ledger: Ledger, other: Ledger) -> tuple[Ledger, Ledger]:
    """The two, in turns."""
    return ledger, other


def test_together_they_spend_exactly_what_is_there(both: tuple[Ledger, Ledger], books: Books) -> None:
    id = start(both[0])
    asked = [partial(both[number % 2].execute, id, track(f"track-{number}"), BY) for number in range(140)]

    assert tally(at_once(asked)) == {"Charged": 110, "insufficient_credits": 30}
    books.check()


def test_the_same_charge_at_both_happens_once(both: tuple[Ledger, Ledger], books: Books) -> None:
    id = start(both[0])
    asked = [partial(both[number % 2].execute, id, track(f"track-{number // 10}"), BY) for number in range(100)]

    charged = [answer for answer in at_once(asked) if isinstance(answer, Charged)]

    assert len(charged) == 100
    assert sum(not answer.is_replay for answer in charged) == 10
    assert {each.charge.position for each in charged} == {each.position for each in books.charged().values()}
    books.check()


def test_what_one_keeps_of_a_stream_is_caught_up_with_what_the_other_did(
    both: tuple[Ledger, Ledger], books: Books
) -> None:
    id = start(both[0])
    balances = []
    for number in range(6):
        for turn, ledger in enumerate(both):
            balances.append(charge(ledger, id, f"track-{number}-{turn}").charge.balance_after)
    assert balances == [16_500 - 150 * count for count in range(1, 13)]

    both[1].execute(id, UpgradePlan("max-pro-240000-yearly"), BY)

    assert charge(both[0], id, "track-last").charge.balance_after == 240_000 - 13 * 150
    books.check()


def test_a_subscription_that_both_start_at_once_starts_once(both: tuple[Ledger, Ledger], books: Books) -> None:
    for _ in range(10):
        id = uuid4()
        started = at_once([partial(each.execute, id, StartSubscription("account-1", STARTER), BY) for each in both * 4])

        counts = sorted(answer.event_count for answer in started if isinstance(answer, Done))
        assert counts == [0] * 7 + [2]
    books.check()


def test_a_key_that_both_get_at_once_is_answered_once(both: tuple[Ledger, Ledger], books: Books) -> None:
    """As a client does that asks for a new subscription, gets no answer, and asks again, elsewhere."""

    def render(answer: Answer) -> bytes:
        assert isinstance(answer, Done)
        return str(answer.subscription_id).encode()

    for number in range(10):
        key = IdempotencyKey(f"key-{number}", b"the same request", render)
        command = StartSubscription(f"account-{number}", STARTER)
        asked = [partial(each.execute, uuid4(), command, BY, idempotency=key) for each in both * 3]

        answers = at_once(asked)

        (done,) = [answer for answer in answers if isinstance(answer, Done)]
        assert answers.count(Repeated(render(done))) == 5
    assert len(books.ask("SELECT FROM {}.balance")) == 10
    books.check()


SLOW_KEYS = """
CREATE FUNCTION tallystick.dawdle() RETURNS trigger LANGUAGE plpgsql AS
    'BEGIN PERFORM pg_sleep(0.0001); RETURN NEW; END';
CREATE TRIGGER dawdle BEFORE INSERT ON tallystick.idempotent_answers
    FOR EACH ROW EXECUTE FUNCTION tallystick.dawdle();
"""


def _stuck(postgres: EmbeddedPostgres) -> int:
    """How many transactions waited in vain, by the server's log."""
    return len(re.findall("deadlock detected|due to lock timeout", postgres.log_file.read_text()))


def test_batches_with_the_same_keys_in_another_order_never_deadlock(
    both: tuple[Ledger, Ledger], books: Books, postgres: EmbeddedPostgres, database_url: str
) -> None:
    with psycopg.connect(database_url) as connection:
        connection.execute(SLOW_KEYS)
    stuck_before = _stuck(postgres)
    random = Random(7)
    ids = [start(each, "max-pro-240000-yearly") for each in both]

    def batch(place: int, number: int) -> list[Answer]:
        keys = [IdempotencyKey(f"{number}-{key}", b"of either", lambda _: b"kept") for key in range(50)]
        random.shuffle(keys)
        return together(both[place], *[(ids[place], RecordDue(), key) for key in keys])

    answers = at_once([partial(batch, place, number) for number in range(5) for place in (0, 1)], clients=2)

    assert tally([each for some in answers for each in some]) == {"Done": 250, "Repeated": 250}
    assert _stuck(postgres) == stuck_before
    books.check()
