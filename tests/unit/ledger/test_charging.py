"""Charges: made once, repeated for ever, refused on what was there."""

from uuid import UUID

from services.ledger.submission import Answer, Charged, Done, GenerationIdConflict, Refused
from services.subscription.commands import CancelSubscription, ChargeGeneration, UpgradePlan
from services.subscription.refusals import InsufficientCredits, NotInPlan, Refusal, UnknownSubscription
from tests.conftest import SettableClock
from tests.unit.ledger.in_memory import LARGEST, SMALL, STARTER, InMemoryLedger, submit, track

AFFORDABLE = 110


def charged(answer: Answer) -> Charged:
    assert isinstance(answer, Charged), answer
    return answer


def refusal(answer: Answer) -> Refusal:
    assert isinstance(answer, Refused), answer
    return answer.refusal


def test_a_charge_has_its_place_in_the_stream_and_in_the_ledger(ledger: InMemoryLedger) -> None:
    id, other = ledger.start(), ledger.start()

    answers = ledger.put(*[submit(each, track("track-1")) for each in (other, id)])

    charges = [charged(answer).charge for answer in answers]
    assert [(each.version, each.position, each.balance_after) for each in charges] == [(3, 5, 16_350), (3, 6, 16_350)]
    assert not any(charged(answer).is_replay for answer in answers)


def test_each_charge_is_decided_on_what_the_one_before_it_leaves(ledger: InMemoryLedger) -> None:
    id = ledger.start()

    answers = ledger.put(*[submit(id, track(f"track-{number}")) for number in range(AFFORDABLE + 1)])

    assert [charged(answer).charge.balance_after for answer in answers[:AFFORDABLE]] == [
        16_500 - 150 * number for number in range(1, AFFORDABLE + 1)
    ]
    assert isinstance(refusal(answers[AFFORDABLE]), InsufficientCredits)


def test_a_generation_that_was_charged_is_answered_with_its_charge(ledger: InMemoryLedger) -> None:
    id = ledger.start()

    first, in_the_same_batch = ledger.put(submit(id, track("track-1")), submit(id, track("track-1")))
    (later,) = ledger.put(submit(id, track("track-1")))

    assert in_the_same_batch == later == Charged(charged(first).charge, is_replay=True)
    assert ledger.types(id)[2:] == ["GenerationCharged"]


def test_a_generation_that_was_charged_otherwise_is_a_conflict(ledger: InMemoryLedger) -> None:
    id = ledger.start()
    otherwise = submit(id, ChargeGeneration("track-1", "lyria-3-pro"))

    first, in_the_same_batch = ledger.put(submit(id, track("track-1")), otherwise)
    (later,) = ledger.put(otherwise)

    assert in_the_same_batch == later == Refused(GenerationIdConflict(charged(first).charge))
    assert ledger.refusals == []


def test_a_charge_is_repeated_for_ever_and_whatever_has_become_of_the_subscription(
    ledger: InMemoryLedger, clock: SettableClock
) -> None:
    id = ledger.start()
    (first,) = ledger.put(submit(id, track("track-1")))
    ledger.put(submit(id, UpgradePlan(LARGEST)))
    clock.advance(days=800)
    ledger.put(submit(id, CancelSubscription("now")))

    assert ledger.put(submit(id, track("track-1"))) == [Charged(charged(first).charge, is_replay=True)]


def test_a_repeated_charge_records_no_boundary(ledger: InMemoryLedger, clock: SettableClock) -> None:
    id = ledger.start()
    ledger.put(submit(id, track("track-1")))
    clock.advance(days=31)

    ledger.put(submit(id, track("track-1")))

    assert ledger.types(id)[2:] == ["GenerationCharged"]


def test_a_refused_generation_can_be_charged_later(ledger: InMemoryLedger) -> None:
    id = ledger.start(SMALL)

    refused, upgraded, first, again, conflict = ledger.put(
        submit(id, track("track-1")),
        submit(id, UpgradePlan(STARTER)),
        submit(id, track("track-1")),
        submit(id, track("track-1")),
        submit(id, ChargeGeneration("track-1", "lyria-3-pro")),
    )

    assert isinstance(refusal(refused), NotInPlan)
    assert isinstance(upgraded, Done)
    assert not charged(first).is_replay
    assert again == Charged(charged(first).charge, is_replay=True)
    assert conflict == Refused(GenerationIdConflict(charged(first).charge))


def test_a_refused_charge_is_a_row_with_what_it_was_refused_on(ledger: InMemoryLedger, clock: SettableClock) -> None:
    id = ledger.start()
    ledger.put(*[submit(id, track(f"track-{number}")) for number in range(AFFORDABLE)])
    command = ChargeGeneration("one too many", "lyria-3-pro")

    (answer,) = ledger.put(submit(id, command))

    (row,) = ledger.refusals
    assert (row.subscription_id, row.op, row.generation_id, row.model) == (id, "charge", "one too many", "lyria-3-pro")
    assert row.refusal == refusal(answer)
    assert (row.version, row.balance_credits, row.refused_at) == (2 + AFFORDABLE, 0, clock.now)


def test_only_refused_charges_of_subscriptions_that_exist_are_rows(ledger: InMemoryLedger) -> None:
    id = ledger.start()

    upgrade, nobody = ledger.put(submit(id, UpgradePlan(SMALL)), submit(UUID(int=7), track("track-1")))

    assert refusal(upgrade).code == "not_an_upgrade"
    assert refusal(nobody) == UnknownSubscription()
    assert ledger.refusals == []


def test_a_batch_leaves_the_heads_of_its_streams(ledger: InMemoryLedger) -> None:
    id = ledger.start()

    batch = ledger.decide(submit(id, track("track-1")), submit(id, track("track-2")))

    assert batch.heads[id].version == 4
    assert batch.heads[id].hash == batch.recorded[-1].stored.hash
    assert ledger.heads[id].version == 2, "deciding changes nothing that it was given"
