"""Disputes: two streams in one batch, and each charge given back once at most."""

from uuid import UUID

import pytest

from projections.disputes.view import Resolution
from services.dispute.commands import OpenDispute, ResolveDispute
from services.dispute.decide import R14
from services.dispute.events import Outcome, Reason
from services.dispute.refusals import (
    ChargeAlreadyReversed,
    ChargeHasOpenDispute,
    DisputeClosed,
    UnknownCharge,
    UnknownDispute,
)
from services.ledger.hashing import NO_HASH
from services.ledger.submission import Answer, Charged, Disputed, Refused, Repeated, Submission
from services.subscription.commands import CancelSubscription
from services.subscription.events import CreditTo
from services.subscription.refusals import CycleClosed, SubscriptionHasEnded, UnknownSubscription
from tests.conftest import SettableClock
from tests.unit.ledger.in_memory import InMemoryLedger, key, render, submit, track

DISPUTE, ANOTHER, THIRD = UUID(int=101), UUID(int=102), UUID(int=103)


@pytest.fixture
def id(ledger: InMemoryLedger) -> UUID:
    """A subscription with one charge of 150 credits, `track`."""
    started = ledger.start()
    ledger.put(submit(started, track("track")))
    return started


def opening(id: UUID, dispute: UUID = DISPUTE, reason: Reason = "duplicate", generation: str = "track") -> Submission:
    return submit(id, OpenDispute(dispute, generation, reason, "Twice!"))


def resolving(
    id: UUID, dispute: UUID = DISPUTE, outcome: Outcome = "upheld", to: CreditTo = "current_cycle"
) -> Submission:
    return submit(id, ResolveDispute(dispute, "track", outcome, "So it is.", to))


def disputed(answer: Answer) -> Disputed:
    assert isinstance(answer, Disputed), answer
    return answer


def test_an_upheld_dispute_is_recorded_with_its_reversal(ledger: InMemoryLedger, id: UUID) -> None:
    (opened,) = ledger.put(opening(id))
    batch = ledger.decide(resolving(id))
    (upheld,) = ledger.commit(batch)

    assert disputed(opened).is_new
    dispute = disputed(opened).dispute
    assert (dispute.status, dispute.version, dispute.charge.status) == ("open", 1, "charged")
    assert not disputed(upheld).is_new
    dispute = disputed(upheld).dispute
    assert (dispute.status, dispute.version, dispute.charge.status) == ("upheld", 2, "reversed")
    assert [(each.stored.topic, each.originator_id) for each in batch.recorded] == [
        ("ChargeReversed", id),
        ("DisputeResolved", DISPUTE),
    ]
    assert ledger.heads[id].state.balance_credits == 16_500


def test_the_chain_of_a_dispute_is_its_own(ledger: InMemoryLedger, id: UUID) -> None:
    ledger.put(opening(id), resolving(id, outcome="rejected"))

    opened, resolved = (event for event in ledger.events if event.originator_id == DISPUTE)
    assert (opened.originator_version, opened.previous_hash) == (1, NO_HASH)
    assert (resolved.originator_version, resolved.previous_hash) == (2, opened.hash)


def test_an_unsatisfying_result_is_rejected_as_it_is_opened(ledger: InMemoryLedger, id: UUID) -> None:
    rejected, closed = ledger.put(opening(id, reason="unsatisfied"), resolving(id))

    dispute = disputed(rejected).dispute
    assert (dispute.status, dispute.version) == ("rejected", 2)
    assert dispute.resolution == Resolution("rejected", R14, rule="R14")
    assert closed == Refused(DisputeClosed())
    assert ledger.heads[id].state.balance_credits == 16_350


@pytest.mark.parametrize("is_in_one_batch", [True, False])
def test_a_charge_is_given_back_once(ledger: InMemoryLedger, id: UUID, is_in_one_batch: bool) -> None:
    ledger.put(opening(id))
    commands = [resolving(id), resolving(id), opening(id, ANOTHER), resolving(id, ANOTHER)]

    upheld, closed, opened, reversed_before = ledger.put(*commands) if is_in_one_batch else ledger.put_each(commands)

    assert disputed(upheld).dispute.status == "upheld"
    assert closed == Refused(DisputeClosed())
    assert disputed(opened).is_new
    assert reversed_before == Refused(ChargeAlreadyReversed())
    assert ledger.types(id).count("ChargeReversed") == 1


@pytest.mark.parametrize("is_in_one_batch", [True, False])
@pytest.mark.parametrize("reason", ["duplicate", "unsatisfied"])
def test_a_charge_has_one_open_dispute_at_a_time(
    ledger: InMemoryLedger, id: UUID, reason: Reason, is_in_one_batch: bool
) -> None:
    ledger.put(submit(id, track("other")))
    commands = [
        opening(id),
        opening(id, ANOTHER, reason),
        opening(id, ANOTHER, generation="other"),
        resolving(id, outcome="rejected"),
        opening(id, THIRD, reason),
    ]

    answers = ledger.put(*commands) if is_in_one_batch else ledger.put_each(commands)

    assert answers[1] == Refused(ChargeHasOpenDispute())
    assert [disputed(answer).is_new for answer in answers[:1] + answers[2:]] == [True, True, False, True]
    assert ledger.types(ANOTHER) == ["DisputeOpened"]


@pytest.mark.parametrize("is_in_one_batch", [True, False])
def test_a_charge_is_shown_as_it_is_after_the_commands_before(
    ledger: InMemoryLedger, id: UUID, is_in_one_batch: bool
) -> None:
    ledger.put(opening(id))
    commands = [resolving(id), opening(id, ANOTHER), submit(id, track("track"))]

    _, opened, charged = ledger.put(*commands) if is_in_one_batch else ledger.put_each(commands)

    assert disputed(opened).dispute.charge.status == "reversed"
    assert isinstance(charged, Charged)
    assert (charged.is_replay, charged.charge.status) == (True, "reversed")


def test_a_charge_that_was_not_answered_yet_cannot_be_disputed(ledger: InMemoryLedger, id: UUID) -> None:
    _, refused = ledger.put(submit(id, track("new")), opening(id, generation="new"))

    assert refused == Refused(UnknownCharge("new"))


def test_what_cannot_be_given_back_is_refused_and_leaves_the_dispute_open(
    ledger: InMemoryLedger, id: UUID, clock: SettableClock
) -> None:
    ledger.put(opening(id))
    clock.advance(days=40)

    closed = ledger.put(resolving(id, to="original_cycle"))
    assert ledger.types(id)[3:] == ["CycleReset", "TermRenewed"], "what is due is recorded all the same"
    ledger.put(submit(id, CancelSubscription("now")))
    ended, rejected = ledger.put(resolving(id), resolving(id, outcome="rejected"))

    assert closed == [Refused(CycleClosed())]
    assert ended == Refused(SubscriptionHasEnded())
    assert disputed(rejected).dispute.status == "rejected"


def test_what_does_not_exist_is_refused(ledger: InMemoryLedger, id: UUID) -> None:
    answers = ledger.put(
        opening(id, generation="never"), resolving(id, UUID(int=7)), resolving(id, dispute=id), opening(UUID(int=8))
    )

    assert answers == [
        Refused(UnknownCharge("never")),
        Refused(UnknownDispute()),
        Refused(UnknownDispute()),
        Refused(UnknownSubscription()),
    ]


def test_what_is_due_is_recorded_before_a_dispute_is_resolved(
    ledger: InMemoryLedger, id: UUID, clock: SettableClock
) -> None:
    ledger.put(opening(id))
    clock.advance(days=31)

    ledger.put(resolving(id))

    assert ledger.types(id)[3:] == ["CycleReset", "TermRenewed", "ChargeReversed"]
    assert ledger.heads[id].state.balance_credits == 16_650


def test_a_dispute_under_a_key_is_opened_once(ledger: InMemoryLedger, id: UUID) -> None:
    requests = [
        submit(id, OpenDispute(dispute, "track", "duplicate", "Twice!"), idempotency=key())
        for dispute in (DISPUTE, ANOTHER)
    ]

    opened, repeated = ledger.put(*requests)

    assert repeated == Repeated(render(opened))
    assert ledger.types(ANOTHER) == []
