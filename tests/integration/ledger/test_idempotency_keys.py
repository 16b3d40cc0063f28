"""Answers under idempotency keys, kept in the transaction of what they answer."""

from uuid import UUID, uuid4

import pytest

from services.idempotency import IdempotencyKeyReused
from services.ledger.ledger import Ledger
from services.ledger.records import Metadata
from services.ledger.submission import (
    Answer,
    Charged,
    Done,
    Failed,
    IdempotencyKey,
    Refused,
    Repeated,
)
from services.subscription.commands import ChargeGeneration, Command, StartSubscription, UpgradePlan
from tests.integration.ledger.books import Books, tally
from tests.integration.ledger.lanes import BY, STARTER, Asked, charge, start, together, track

LARGE = UpgradePlan("max-pro-240000-yearly")
SMALL = "ai-starter-7500-monthly"


def render(answer: Answer) -> bytes:
    """The answer as a caller would write it down."""
    return repr(answer).encode()


def key(name: str = "key", request: bytes = b"request") -> IdempotencyKey:
    """A key that came with a request."""
    return IdempotencyKey(name, request, render)


@pytest.mark.parametrize("is_in_one_batch", [True, False])
def test_the_same_again_gets_the_first_answer(ledger: Ledger, books: Books, is_in_one_batch: bool) -> None:
    id = start(ledger)
    asked = (id, LARGE, key())

    answers = together(ledger, asked, asked) if is_in_one_batch else _apart(ledger, asked, asked)

    done, repeated = answers
    assert isinstance(done, Done)
    assert repeated == Repeated(render(done))
    assert books.types(id)[2:] == ["PlanUpgraded"]


# Whatever the first answer is: done, refused, charged, charged before, in conflict with an earlier charge.
FIRST_ASKED: list[Command] = [
    LARGE,
    UpgradePlan(SMALL),
    track("track-1"),
    track("track-0"),
    ChargeGeneration("track-0", "lyria-3-pro"),
]


@pytest.mark.parametrize("is_in_one_batch", [True, False])
def test_another_request_under_the_same_key_is_refused(
    ledger: Ledger, books: Books, is_in_one_batch: bool, subtests: pytest.Subtests
) -> None:
    for number, command in enumerate(FIRST_ASKED):
        id = start(ledger)
        charge(ledger, id, "track-0")
        first = (id, command, key(f"key-{number}", b"one"))
        second = (id, LARGE, key(f"key-{number}", b"another"))
        with subtests.test(command=command):
            answers = together(ledger, first, second) if is_in_one_batch else _apart(ledger, first, second)

            assert not isinstance(answers[0], Failed)
            assert answers[1] == Refused(IdempotencyKeyReused())
    books.check()


def _apart(ledger: Ledger, *asked: Asked) -> list[Answer]:
    return [answer for each in asked for answer in together(ledger, each)]


def test_a_refusal_is_the_first_answer_too(ledger: Ledger, books: Books) -> None:
    id = start(ledger, SMALL)
    asked = (id, track("track-1"), key())
    (refused,) = together(ledger, asked)
    assert tally([refused]) == {"not_in_plan": 1}

    ledger.execute(id, LARGE, BY)

    assert together(ledger, asked) == [Repeated(render(refused))]
    assert not charge(ledger, id, "track-1").is_replay, "the key is burnt, the generation id is not"


def test_a_charge_needs_no_kept_answer_and_its_key_still_guards_the_request(ledger: Ledger, books: Books) -> None:
    id = start(ledger)
    asked = (id, track("track-1"), key())
    (charged,) = together(ledger, asked)
    assert isinstance(charged, Charged)

    assert together(ledger, asked, asked) == [Charged(charged.charge, is_replay=True)] * 2
    assert books.ask("SELECT answer FROM {}.idempotent_answers") == [(b"",)]


def test_a_new_subscription_under_a_key_is_the_first_one_whatever_id_is_made_up_for_it(
    ledger: Ledger, books: Books
) -> None:
    asked = [(uuid4(), StartSubscription("account-1", STARTER), key()) for _ in range(3)]

    done, *repeated = together(ledger, *asked)

    assert isinstance(done, Done)
    assert repeated == [Repeated(render(done))] * 2
    assert books.ask("SELECT subscription_id FROM {}.balance") == [(done.subscription_id,)]


def test_the_key_of_another_caller_is_another_key(ledger: Ledger) -> None:
    id = start(ledger)
    ledger.execute(id, UpgradePlan("max-pro-40000-monthly"), BY, idempotency=key())

    answer = ledger.execute(id, LARGE, Metadata("key-2", "request-2"), idempotency=key(request=b"another"))

    assert isinstance(answer, Done)


def test_the_key_of_what_was_refused_before_there_was_a_stream_is_kept(ledger: Ledger, books: Books) -> None:
    asked = (UUID(int=1), LARGE, key())

    (refused,) = together(ledger, asked)

    assert tally([refused]) == {"unknown_subscription": 1}
    assert together(ledger, asked) == [Repeated(render(refused))]
