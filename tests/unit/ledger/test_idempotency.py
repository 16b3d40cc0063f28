"""Idempotency keys: the first answer is repeated, and the key guards the request that it came with."""

from uuid import UUID, uuid4

import pytest

from services.idempotency import IdempotencyKeyReused
from services.ledger.records import Metadata
from services.ledger.submission import Answer, Charged, Done, Failed, IdempotencyKey, Refused, Repeated, Submission
from services.subscription.commands import (
    CancelSubscription,
    ChargeGeneration,
    Command,
    ResumeSubscription,
    StartSubscription,
    UpgradePlan,
)
from services.subscription.refusals import NotAnUpgrade, NothingScheduled, UnknownSubscription
from tests.conftest import SettableClock
from tests.unit.ledger.in_memory import BY, LARGEST, SMALL, STARTER, InMemoryLedger, key, render, submit, track


def put(ledger: InMemoryLedger, *submissions: Submission, is_in_one_batch: bool) -> list[Answer]:
    return ledger.put(*submissions) if is_in_one_batch else ledger.put_each(submissions)


@pytest.mark.parametrize("is_in_one_batch", [True, False])
def test_the_same_request_gets_the_first_answer(ledger: InMemoryLedger, is_in_one_batch: bool) -> None:
    id = ledger.start()
    request = submit(id, UpgradePlan(LARGEST), idempotency=key())

    done, repeated = put(ledger, request, request, is_in_one_batch=is_in_one_batch)

    assert isinstance(done, Done)
    assert repeated == Repeated(render(done))
    assert ledger.types(id)[2:] == ["PlanUpgraded"]


FIRST_COMMANDS: dict[str, Command] = {
    "done": UpgradePlan(LARGEST),
    "refused": UpgradePlan(SMALL),
    "charged": track("track-1"),
    "charged before": track("track-0"),
    "in conflict": ChargeGeneration("track-0", "lyria-3-pro"),
}


@pytest.mark.parametrize("is_in_one_batch", [True, False])
@pytest.mark.parametrize("command", FIRST_COMMANDS.values(), ids=FIRST_COMMANDS)
def test_another_request_under_the_same_key_is_refused(
    ledger: InMemoryLedger, command: Command, is_in_one_batch: bool
) -> None:
    id = ledger.start()
    ledger.put(submit(id, track("track-0")))
    first = submit(id, command, idempotency=key(request=b"one"))
    second = submit(id, UpgradePlan(LARGEST), idempotency=key(request=b"another"))

    answers = put(ledger, first, second, is_in_one_batch=is_in_one_batch)

    assert not isinstance(answers[0], Failed)
    assert answers[1] == Refused(IdempotencyKeyReused())


@pytest.mark.parametrize("is_in_one_batch", [True, False])
def test_a_refused_request_succeeds_once_it_can(ledger: InMemoryLedger, is_in_one_batch: bool) -> None:
    id = ledger.start(SMALL)
    request = submit(id, UpgradePlan(STARTER), idempotency=key())
    ledger.put(submit(id, UpgradePlan(LARGEST)))
    refused, again = put(ledger, request, request, is_in_one_batch=is_in_one_batch)
    assert (refused, again) == (Refused(NotAnUpgrade(STARTER)), Refused(NotAnUpgrade(STARTER)))

    charge = submit(id, track("track-1"), idempotency=key("other"))
    cancelled = submit(id, ResumeSubscription(), idempotency=key("resume"))
    nothing, _, resumed, repeated = put(
        ledger,
        cancelled,
        submit(id, CancelSubscription("term_end")),
        cancelled,
        cancelled,
        is_in_one_batch=is_in_one_batch,
    )

    assert nothing == Refused(NothingScheduled())
    assert isinstance(resumed, Done)
    assert repeated == Repeated(render(resumed))
    assert isinstance(put(ledger, charge, is_in_one_batch=True)[0], Charged)


def test_a_refusal_without_a_subscription_binds_its_key(ledger: InMemoryLedger) -> None:
    request = submit(UUID(int=7), UpgradePlan(LARGEST), idempotency=key())

    answers = ledger.put(request, request, submit(UUID(int=7), UpgradePlan(STARTER), idempotency=key(request=b"other")))

    assert answers == [Refused(UnknownSubscription()), Refused(UnknownSubscription()), Refused(IdempotencyKeyReused())]


@pytest.mark.parametrize("is_in_one_batch", [True, False])
def test_a_charge_is_repeated_by_its_generation_id_and_stores_no_answer(
    ledger: InMemoryLedger, clock: SettableClock, is_in_one_batch: bool
) -> None:
    id = ledger.start()
    request = submit(id, track("track-1"), idempotency=key())

    charged, again = put(ledger, request, request, is_in_one_batch=is_in_one_batch)

    assert isinstance(charged, Charged)
    assert again == Charged(charged.charge, is_replay=True)
    (record,) = ledger.records.values()
    assert (record.place, record.request_hash, record.answer) == (("key-1", "key"), b"request", b"")
    assert record.answered_at == clock.now


def test_a_new_subscription_under_a_key_is_the_first_one_whatever_id_is_made_up_for_it(ledger: InMemoryLedger) -> None:
    requests = [submit(uuid4(), StartSubscription("account-1", STARTER), idempotency=key()) for _ in range(3)]

    done, *repeated = ledger.put(*requests)

    assert isinstance(done, Done)
    assert repeated == [Repeated(render(done))] * 2
    assert [*ledger.heads] == [done.subscription_id]


def test_the_key_of_another_caller_is_another_key(ledger: InMemoryLedger) -> None:
    id = ledger.start()

    answers = ledger.put(
        submit(id, UpgradePlan("max-pro-40000-monthly"), idempotency=key()),
        submit(id, UpgradePlan(LARGEST), by=Metadata("key-2", "request-2"), idempotency=key(request=b"another")),
    )

    assert [type(answer) for answer in answers] == [Done, Done]
    assert {*ledger.records} == {(BY.key_id, "key"), ("key-2", "key")}


def test_a_key_that_was_refused_as_reused_stays_with_its_first_request(ledger: InMemoryLedger) -> None:
    id = ledger.start()
    request = submit(id, UpgradePlan(LARGEST), idempotency=key())

    first, _, again = ledger.put(request, submit(id, track("track-1"), idempotency=key(request=b"another")), request)

    assert again == Repeated(render(first))


def test_a_command_whose_answer_cannot_be_rendered_did_not_happen(ledger: InMemoryLedger) -> None:
    def fail(_answer: Answer) -> bytes:
        raise ZeroDivisionError

    id = ledger.start(SMALL)
    unrenderable = IdempotencyKey("key", b"hash", fail)

    answers = ledger.put(submit(id, UpgradePlan(LARGEST), idempotency=unrenderable), submit(id, UpgradePlan(STARTER)))

    assert [type(answer) for answer in answers] == [Failed, Done]
    assert (ledger.refusals, ledger.records) == ([], {})
    assert ledger.types(id)[2:] == ["PlanUpgraded"]
