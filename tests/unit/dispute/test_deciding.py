"""Disputes: given events and a command, the events on the dispute and on the subscription, or a refusal."""

from uuid import UUID

import pytest

from services.dispute.commands import DisputeCommand, OpenDispute, ResolveDispute
from services.dispute.decide import R14, DisputedCharge, DisputeDecision, decide
from services.dispute.events import DisputeEvent, DisputeOpened, DisputeResolved, Outcome, Reason
from services.dispute.refusals import ChargeAlreadyReversed, DisputeClosed, UnknownCharge, UnknownDispute
from services.dispute.state import Dispute, evolve, fold
from services.subscription.boundaries import as_of
from services.subscription.events import ChargeReversed, CreditTo
from services.subscription.refusals import CycleClosed, Refusal, SubscriptionHasEnded
from tests.unit.subscription.history import History
from tests.unit.subscription.scenario import instant, play

SUBSCRIPTION_ID = UUID(int=1)
DISPUTE_ID = UUID(int=2)

CHARGED = """
    2024-01-31 | start ai-suite-40000-monthly | balance 40,000
    2024-02-05 | generate lyria-3 as track    | balance 39,850  version 3
"""
OPENED = DisputeOpened(SUBSCRIPTION_ID, "track", charge_version=3, reason="duplicate", note="Twice!")


def given(history: History, *, is_reversed: bool = False) -> DisputedCharge:
    return DisputedCharge(SUBSCRIPTION_ID, history.charges["track"], version=3, is_reversed=is_reversed)


def decision_on(
    command: DisputeCommand,
    *happened: DisputeEvent,
    subscription: str = CHARGED,
    at: str = "2024-02-06",
    is_charged: bool = True,
    is_reversed: bool = False,
) -> DisputeDecision | Refusal:
    history = play(subscription)
    charge = given(history, is_reversed=is_reversed) if is_charged else None
    assert history.state is not None
    state = as_of(history.state, instant(at))
    return decide(fold(happened), command, charge, state, instant(at), history.catalogue)


def opening(reason: Reason) -> OpenDispute:
    return OpenDispute(DISPUTE_ID, "track", reason, "Twice!")


def resolving(outcome: Outcome, credit_to: CreditTo = "current_cycle") -> ResolveDispute:
    return ResolveDispute(DISPUTE_ID, "track", outcome, "So it is.", credit_to)


@pytest.mark.parametrize("reason", ["duplicate", "generation_failed", "not_requested", "wrong_price", "other"])
def test_a_dispute_is_opened_and_waits_for_somebody(reason: Reason) -> None:
    opened = DisputeOpened(SUBSCRIPTION_ID, "track", charge_version=3, reason=reason, note="Twice!")

    assert decision_on(opening(reason)) == DisputeDecision([opened], [])


def test_r14_an_unsatisfying_result_is_rejected_at_once_by_its_rule() -> None:
    decision = decision_on(opening("unsatisfied"))

    assert isinstance(decision, DisputeDecision)
    assert decision.on_dispute[1:] == [DisputeResolved("rejected", R14, rule="R14")]
    assert decision.on_subscription == []


def test_there_is_no_dispute_about_what_was_not_charged() -> None:
    assert decision_on(opening("other"), is_charged=False) == UnknownCharge("track")


@pytest.mark.parametrize("to", ["original_cycle", "current_cycle"])
def test_upheld_gives_the_charge_back_on_the_subscription(to: CreditTo) -> None:
    reversed_charge = ChargeReversed(
        generation_id="track",
        dispute_id=str(DISPUTE_ID),
        credits=150,
        credit_to=to,
        cycle_number=1,
        balance_after=40_000,
    )

    decision = decision_on(resolving("upheld", to), OPENED)

    assert decision == DisputeDecision([DisputeResolved("upheld", "So it is.", to)], [reversed_charge])


def test_rejected_changes_nothing_on_the_subscription() -> None:
    assert decision_on(resolving("rejected"), OPENED) == DisputeDecision([DisputeResolved("rejected", "So it is.")], [])


@pytest.mark.parametrize("outcome", ["upheld", "rejected"])
def test_a_dispute_is_decided_once(outcome: Outcome) -> None:
    rejected = DisputeResolved("rejected", "No.")

    assert decision_on(resolving(outcome), OPENED, rejected) == DisputeClosed()


@pytest.mark.parametrize("outcome", ["upheld", "rejected"])
def test_there_is_nothing_to_decide_where_nothing_was_opened(outcome: Outcome) -> None:
    assert decision_on(resolving(outcome)) == UnknownDispute()


def test_a_charge_is_given_back_once() -> None:
    assert decision_on(resolving("upheld"), OPENED, is_reversed=True) == ChargeAlreadyReversed()
    assert isinstance(decision_on(resolving("rejected"), OPENED, is_reversed=True), DisputeDecision)


def test_once_its_cycle_has_ended_only_the_current_one_can_have_the_credits() -> None:
    later = decision_on(resolving("upheld", "current_cycle"), OPENED, at="2024-03-05")

    assert decision_on(resolving("upheld", "original_cycle"), OPENED, at="2024-03-05") == CycleClosed()
    assert isinstance(later, DisputeDecision)
    (reversed_charge,) = later.on_subscription
    assert isinstance(reversed_charge, ChargeReversed)
    assert (reversed_charge.cycle_number, reversed_charge.balance_after) == (2, 40_150)


def test_an_ended_subscription_gets_nothing_back_but_the_dispute_can_be_rejected() -> None:
    ended = CHARGED + "2024-02-05 | cancel now | status ended"

    assert decision_on(resolving("upheld"), OPENED, subscription=ended) == SubscriptionHasEnded()
    assert isinstance(decision_on(resolving("rejected"), OPENED, subscription=ended), DisputeDecision)
    assert isinstance(decision_on(opening("other"), subscription=ended), DisputeDecision)


def test_the_state_is_what_its_events_say() -> None:
    opened = evolve(None, OPENED)
    upheld = evolve(opened, DisputeResolved("upheld", "So it is.", "current_cycle"))

    assert (opened.status, opened.version, opened.resolution) == ("open", 1, None)
    assert (upheld.status, upheld.version) == ("upheld", 2)
    assert upheld == Dispute(
        subscription_id=SUBSCRIPTION_ID,
        generation_id="track",
        charge_version=3,
        reason="duplicate",
        note="Twice!",
        version=2,
        resolution=DisputeResolved("upheld", "So it is.", "current_cycle"),
    )


def test_a_resolution_is_not_where_a_history_begins() -> None:
    with pytest.raises(ValueError, match="begins with DisputeOpened"):
        evolve(None, DisputeResolved("rejected", "No."))
