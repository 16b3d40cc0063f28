"""Idempotency records in the database: stored with what they answer, and found by every process.

`tests/unit/ledger/test_idempotency.py` has what is decided on them.
"""

from services.idempotency import IdempotencyKeyReused
from services.ledger.ledger import Ledger
from services.ledger.submission import Answer, Charged, Done, IdempotencyKey, Refused, Repeated
from services.subscription.commands import UpgradePlan
from tests.conftest import SettableClock
from tests.integration.ledger.books import Books, tally
from tests.integration.ledger.lanes import BY, in_one_batch, start, track

LARGE = UpgradePlan("max-pro-240000-yearly")
SMALL = "ai-starter-7500-monthly"


def render(answer: Answer) -> bytes:
    """Write an answer down as a caller would."""
    return repr(answer).encode()


def key(name: str = "key", request: bytes = b"request") -> IdempotencyKey:
    """Make an idempotency key that came with a request."""
    return IdempotencyKey(name, request, render)


def test_the_first_answer_is_stored_and_repeated_by_every_process(
    ledger: Ledger, other: Ledger, books: Books, clock: SettableClock
) -> None:
    id = start(ledger)

    done = ledger.execute(id, LARGE, BY, idempotency=key())
    repeated = [each.execute(id, LARGE, BY, idempotency=key()) for each in (ledger, other)]
    reused = [each.execute(id, track("track-1"), BY, idempotency=key(request=b"another")) for each in (ledger, other)]

    assert isinstance(done, Done)
    assert repeated == [Repeated(render(done))] * 2
    assert reused == [Refused(IdempotencyKeyReused())] * 2
    assert books.types(id)[2:] == ["PlanUpgraded"]
    assert books.query("SELECT * FROM {}.idempotent_answers") == [("key-1", "key", b"request", render(done), clock.now)]


def test_a_record_is_stored_in_the_transaction_of_what_it_answers(ledger: Ledger, books: Books) -> None:
    id = start(ledger, SMALL)

    answers = in_one_batch(ledger, (id, track("track-1"), key("refused")), (id, LARGE, key("done")))

    assert tally(answers) == {"not_in_plan": 1, "Done": 1}
    rows = books.query(
        "SELECT DISTINCT xmin::text FROM {}.idempotent_answers"
        " UNION SELECT xmin::text FROM {}.ledger_events WHERE topic = 'PlanUpgraded'"
        " UNION SELECT xmin::text FROM {}.refusals"
    )
    assert len(rows) == 1


def test_the_record_of_a_charge_has_no_answer(ledger: Ledger, other: Ledger, books: Books) -> None:
    id = start(ledger)

    charged = ledger.execute(id, track("track-1"), BY, idempotency=key())
    again = [each.execute(id, track("track-1"), BY, idempotency=key()) for each in (ledger, other)]

    assert isinstance(charged, Charged)
    assert again == [Charged(charged.charge, is_replay=True)] * 2
    assert books.query("SELECT answer FROM {}.idempotent_answers") == [(b"",)]
