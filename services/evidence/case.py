"""Defines what evidence is made of, as read from a ledger, and derives the facts that follow from it."""

from collections.abc import Mapping, Sequence
from datetime import datetime
from itertools import pairwise
from typing import Literal
from uuid import UUID

from msgspec import Struct

from services.dispute.events import DisputeOpened, DisputeResolved
from services.evidence.claims import Inconsistent, states_of
from services.evidence.lineage import Lineage
from services.evidence.refusals import ProvenRefusals
from services.evidence.stored_form import read_stored, read_stored_dispute
from services.ledger.hashing import NO_HASH
from services.ledger.records import ChainedEvent, DisputeHead, Recorded, extend_dispute
from services.log.keys import VerifierKey
from services.subscription.events import ChargeReversed, GenerationCharged
from services.subscription.state import Subscription

ProofSubject = Literal["charge", "subscription", "dispute"]
"""The event that a proof is about: the charge's own, or the last of one of the streams."""


class Case(Struct, frozen=True):
    """A disputed charge: both streams as stored, from their beginnings, and the proofs that they are in the log.

    `keys` are those of the log, oldest first, `witnesses` those that cosigned.
    """

    subscription: Sequence[ChainedEvent]
    dispute: Sequence[ChainedEvent]
    keys: Sequence[VerifierKey]
    witnesses: Sequence[VerifierKey]
    lineage: Lineage
    proofs: Mapping[ProofSubject, Sequence[bytes]]
    refusals: ProvenRefusals


class BalancePoint(Struct, frozen=True):
    """The balance from an instant on, and the version of the stream that made it so."""

    at: datetime
    balance_credits: int
    version: int


class Facts(Struct, frozen=True):
    """The facts that the events state: the dispute, its charge, the states of the subscription before and after it."""

    dispute: DisputeHead
    charge_record: Recorded
    charge: GenerationCharged
    before: Subscription
    after: Subscription
    reversal: Recorded | None
    history: list[Recorded]
    balance_course: list[BalancePoint]
    """The balance over the cycle in which it was charged, from its start, or from that of the history if later."""


def check_chain(events: Sequence[ChainedEvent], stream_id: UUID) -> None:
    """Raise Inconsistent unless these are the events of the stream from the first on, each after the one before it."""
    if not events:
        raise Inconsistent("there are no events")
    for version, event in enumerate(events, start=1):
        if (event.originator_id, event.originator_version) != (stream_id, version):
            raise Inconsistent(f"event {version} is not version {version} of {stream_id}")
    if events[0].previous_hash != NO_HASH:
        raise Inconsistent("version 1 has an event before it")
    for one, next_one in pairwise(events):
        if next_one.previous_hash != one.hash:
            raise Inconsistent(f"version {next_one.originator_version} does not follow from the one before it")
        if next_one.recorded_at < one.recorded_at:
            raise Inconsistent(f"version {next_one.originator_version} was recorded before the one before it")


def facts_of(subscription: Sequence[ChainedEvent], dispute: Sequence[ChainedEvent]) -> Facts:
    """Derive the facts from the events of both streams. Raises Inconsistent."""
    if not subscription:
        raise Inconsistent("there is no subscription")
    head = _dispute_of(dispute)
    try:
        history = [read_stored(each) for each in subscription]
    except ValueError as error:
        raise Inconsistent(str(error)) from error
    states = states_of(history)
    version = head.state.charge_version
    record = history[version - 1] if 0 < version <= len(history) else None
    if record is None or not isinstance(charge := record.event, GenerationCharged):
        raise Inconsistent(f"version {version} is no charge")
    disputed = (head.state.subscription_id, head.state.generation_id)
    if disputed != (record.originator_id, charge.generation_id):
        raise Inconsistent(f"the dispute is not about version {version}")
    return Facts(
        dispute=head,
        charge_record=record,
        charge=charge,
        before=states[version - 2],
        after=states[version - 1],
        reversal=_reversal(history, head, charge),
        history=history,
        balance_course=_balance_course(history, states, states[version - 1].cycle.number),
    )


def proven_events(facts: Facts, dispute: Sequence[ChainedEvent]) -> dict[ProofSubject, ChainedEvent]:
    """Return the event that each proof of a case is about, in the order of the proofs."""
    return {"charge": facts.charge_record.stored, "subscription": facts.history[-1].stored, "dispute": dispute[-1]}


def _dispute_of(dispute: Sequence[ChainedEvent]) -> DisputeHead:
    """Read the dispute: how it was opened, and how it was decided where it was. Raises Inconsistent."""
    topics = [each.topic for each in dispute]
    if topics not in ([DisputeOpened.__name__], [DisputeOpened.__name__, DisputeResolved.__name__]):
        raise Inconsistent("the dispute is not opened once, and decided once at most")
    try:
        head = extend_dispute(None, map(read_stored_dispute, dispute))
    except ValueError as error:
        raise Inconsistent(str(error)) from error
    assert head is not None
    return head


def _balance_course(
    history: Sequence[Recorded], states: Sequence[Subscription], cycle_number: int
) -> list[BalancePoint]:
    course: list[BalancePoint] = []
    for each, state in zip(history, states, strict=True):
        if state.cycle.number == cycle_number:
            at = each.stored.recorded_at if course else state.cycle.starts_at
            course.append(BalancePoint(at, state.balance_credits, each.originator_version))
    return course


def _reversal(history: Sequence[Recorded], head: DisputeHead, charge: GenerationCharged) -> Recorded | None:
    """Find the event by which this dispute reversed its charge; None unless it was upheld. Raises Inconsistent."""
    dispute_id, resolution = str(head.originator_id), head.state.resolution
    reversals = [
        (each, each.event)
        for each in history
        if isinstance(each.event, ChargeReversed) and each.event.dispute_id == dispute_id
    ]
    if resolution is None or resolution.outcome == "rejected":
        if reversals:
            raise Inconsistent("the subscription was given back what the dispute does not say")
        return None
    if len(reversals) != 1:
        raise Inconsistent("the subscription was not given back what the dispute says, once")
    record, reversal = reversals[0]
    given = charge.generation_id, resolution.credit_to, resolution.credits or charge.credits
    if (reversal.generation_id, reversal.credit_to, reversal.credits) != given:
        raise Inconsistent("the subscription was given back something else than the dispute says")
    return record
