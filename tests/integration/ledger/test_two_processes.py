"""Two processes on one ledger: two ledger objects, since all that processes share is the database."""

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
from tests.integration.ledger.lanes import BY, STARTER, charge, concurrently, in_one_batch, start, track


@pytest.fixture
def both(ledger: Ledger, other: Ledger) -> tuple[Ledger, Ledger]:
    """Both ledgers, to be used in turns."""
    return ledger, other


def test_both_processes_together_spend_exactly_the_balance(both: tuple[Ledger, Ledger], books: Books) -> None:
    id = start(both[0])
    calls = [partial(both[number % 2].execute, id, track(f"track-{number}"), BY) for number in range(140)]

    assert tally(concurrently(calls)) == {"Charged": 110, "insufficient_credits": 30}
    books.check()


def test_the_same_charge_at_both_processes_is_made_once(both: tuple[Ledger, Ledger], books: Books) -> None:
    id = start(both[0])
    calls = [partial(both[number % 2].execute, id, track(f"track-{number // 10}"), BY) for number in range(100)]

    charged = [answer for answer in concurrently(calls) if isinstance(answer, Charged)]

    assert len(charged) == 100
    assert sum(not answer.is_replay for answer in charged) == 10
    assert {each.charge.position for each in charged} == {each.position for each in books.charged().values()}
    books.check()


def test_a_cached_head_is_caught_up_with_the_events_of_the_other_process(
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


def test_a_subscription_that_both_processes_start_is_started_once(both: tuple[Ledger, Ledger], books: Books) -> None:
    for _ in range(10):
        id = uuid4()
        command = StartSubscription("account-1", STARTER)
        started = concurrently([partial(each.execute, id, command, BY) for each in both * 4])

        counts = sorted(answer.event_count for answer in started if isinstance(answer, Done))
        assert counts == [0] * 7 + [2]
    books.check()


def test_a_key_that_both_processes_receive_is_recorded_once(both: tuple[Ledger, Ledger], books: Books) -> None:
    """As when a client starts a subscription, gets no answer, and retries at the other process."""

    def render(answer: Answer) -> bytes:
        assert isinstance(answer, Done)
        return str(answer.subscription_id).encode()

    for number in range(10):
        key = IdempotencyKey(f"key-{number}", b"the same request", render)
        command = StartSubscription(f"account-{number}", STARTER)
        calls = [partial(each.execute, uuid4(), command, BY, idempotency=key) for each in both * 3]

        answers = concurrently(calls)

        (done,) = [answer for answer in answers if isinstance(answer, Done)]
        assert answers.count(Repeated(render(done))) == 5
    assert len(books.query("SELECT FROM {}.balance")) == 10
    books.check()


SLOW_KEYS = """
CREATE FUNCTION tallystick.delay() RETURNS trigger LANGUAGE plpgsql AS
    'BEGIN PERFORM pg_sleep(0.0001); RETURN NEW; END';
CREATE TRIGGER delay BEFORE INSERT ON tallystick.idempotent_answers
    FOR EACH ROW EXECUTE FUNCTION tallystick.delay();
"""


def _lock_failures(postgres: EmbeddedPostgres) -> int:
    """Count the deadlocks and lock timeouts in the server's log."""
    return len(re.findall("deadlock detected|due to lock timeout", postgres.log_file.read_text()))


def test_batches_with_the_same_keys_in_another_order_never_deadlock(
    both: tuple[Ledger, Ledger], books: Books, postgres: EmbeddedPostgres, database_url: str
) -> None:
    with psycopg.connect(database_url) as connection:
        connection.execute(SLOW_KEYS)
    failures_before = _lock_failures(postgres)
    random = Random(7)
    ids = [start(each, "max-pro-240000-yearly") for each in both]

    def batch(place: int, number: int) -> list[Answer]:
        keys = [IdempotencyKey(f"{number}-{key}", b"request", lambda _: b"answered") for key in range(50)]
        random.shuffle(keys)
        return in_one_batch(both[place], *[(ids[place], RecordDue(), key) for key in keys])

    answers = concurrently([partial(batch, place, number) for number in range(5) for place in (0, 1)], clients=2)

    assert tally([answer for of_batch in answers for answer in of_batch]) == {"Done": 250, "Repeated": 250}
    assert _lock_failures(postgres) == failures_before
    books.check()
