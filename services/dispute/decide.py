"""Decides what a command does to a dispute and to its charge, or why it is refused.

R14: an unsatisfying result is no ground for a refund, so a dispute for that reason is rejected as it is opened. Every
other is decided by a person. A dispute that is upheld reverses its charge, once.
"""

from datetime import datetime
from typing import assert_never
from uuid import UUID

from msgspec import Struct

from services.dispute.commands import DisputeCommand, OpenDispute, ResolveDispute
from services.dispute.events import DisputeEvent, DisputeOpened, DisputeResolved
from services.dispute.refusals import (
    ChargeAlreadyReversed,
    ChargeHasOpenDispute,
    DisputeClosed,
    UnknownCharge,
    UnknownDispute,
)
from services.dispute.state import Dispute
from services.subscription import decide as subscription_rules
from services.subscription.commands import ReverseCharge
from services.subscription.events import Event, GenerationCharged
from services.subscription.refusals import InvalidValue, Refusal
from services.subscription.state import Subscription
from services.subscription.terms import Terms

R14 = "R14: an unsatisfying result is no ground for a refund."


class DisputedCharge(Struct, frozen=True):
    """The charge that a dispute is about: its stream, its version in it, whether it is reversed or disputed."""

    subscription_id: UUID
    event: GenerationCharged
    version: int
    is_reversed: bool
    has_open_dispute: bool = False


class DisputeDecision(Struct, frozen=True):
    """The events that a command brings about, on each of the two streams."""

    on_dispute: list[DisputeEvent]
    on_subscription: list[Event]


def decide(
    dispute: Dispute | None,
    command: DisputeCommand,
    charge: DisputedCharge | None,
    subscription: Subscription,
    now: datetime,
    catalogue: Terms,
) -> DisputeDecision | Refusal:
    """Decide the events of a command now, or its refusal; the subscription must have every due boundary applied."""
    match command:
        case OpenDispute():
            return _open(dispute, command, charge)
        case ResolveDispute():
            return _resolve(dispute, command, charge, subscription, now, catalogue)
        case _:
            assert_never(command)


def _open(dispute: Dispute | None, command: OpenDispute, charge: DisputedCharge | None) -> DisputeDecision | Refusal:
    assert dispute is None, "the id of a dispute is made up for it"
    if charge is None:
        return UnknownCharge(command.generation_id)
    if charge.has_open_dispute:
        return ChargeHasOpenDispute()
    opened = DisputeOpened(
        subscription_id=charge.subscription_id,
        generation_id=command.generation_id,
        charge_version=charge.version,
        reason=command.reason,
        note=command.note,
    )
    if command.reason == "unsatisfied":
        return DisputeDecision([opened, DisputeResolved("rejected", R14, rule="R14")], [])
    return DisputeDecision([opened], [])


def _resolve(
    dispute: Dispute | None,
    command: ResolveDispute,
    charge: DisputedCharge | None,
    subscription: Subscription,
    now: datetime,
    catalogue: Terms,
) -> DisputeDecision | Refusal:
    if dispute is None:
        return UnknownDispute()
    if dispute.status != "open":
        return DisputeClosed()
    if command.outcome == "rejected":
        return DisputeDecision([DisputeResolved("rejected", command.note)], [])
    assert charge is not None, "a dispute is opened about a charge, and charges stay"
    if charge.is_reversed:
        return ChargeAlreadyReversed()
    charged = charge.event.credits
    if command.credits is not None and not 1 <= command.credits <= charged:
        return InvalidValue("credits", f"must be from 1 to {charged:,}, which were charged")
    reversal = ReverseCharge(
        generation_id=charge.event.generation_id,
        dispute_id=str(command.dispute_id),
        credit_to=command.credit_to,
        credits=command.credits or charged,
        charged_in_cycle=charge.event.cycle_number,
    )
    decision = subscription_rules.decide(subscription, reversal, now, catalogue)
    if isinstance(decision, Refusal):
        return decision
    resolved = DisputeResolved("upheld", command.note, command.credit_to, credits=command.credits)
    return DisputeDecision([resolved], decision)
