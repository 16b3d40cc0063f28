"""Defines what evidence is made of, as read from a ledger, and derives the facts that follow from it."""

from collections.abc import Sequence
from datetime import datetime
from fractions import Fraction
from itertools import pairwise
from typing import Literal, assert_never
from uuid import UUID

from msgspec import Struct

from services.catalogue import Price, Settings, recompute
from services.catalogue.rate_card import RULES
from services.dispute.events import DisputeOpened
from services.integrity.checkpoints import Checkpoint
from services.ledger.hashing import NO_HASH
from services.ledger.mapper import UnreadableEvent, read_dispute_event, read_event
from services.ledger.records import ChainedEvent, DisputeHead, Recorded, extend_dispute
from services.subscription.events import ChargeReversed, GenerationCharged
from services.subscription.state import Subscription, evolve

ProofSubject = Literal["charge", "subscription", "dispute"]
"""The event that a proof is about: the charge's own, or the last of one of the streams."""


class Proof(Struct, frozen=True, forbid_unknown_fields=True):
    """A proof that a checkpoint covers an event, as `proofs.json` has it.

    The hashes, in hexadecimal, lead from leaf `leaf_index` of `tree_size` to the root.
    """

    what: ProofSubject
    stream_id: UUID
    version: int
    position: int
    checkpoint: int
    leaf_index: int
    tree_size: int
    hashes: list[str]


class Case(Struct, frozen=True):
    """A disputed charge: both streams as stored, from their beginnings, and the proofs that they are in the ledger.

    The checkpoints are those that the proofs name and the newest of the ledger, by number.
    """

    subscription: Sequence[ChainedEvent]
    dispute: Sequence[ChainedEvent]
    checkpoints: Sequence[Checkpoint]
    proofs: Sequence[Proof]


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
    """The balance over the cycle of the charge, from the start of the cycle, or of the history where that is later."""


class Inconsistent(ValueError):
    """The events do not fit together; the text says where."""


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
    if not subscription or not dispute or dispute[0].topic != DisputeOpened.__name__:
        raise Inconsistent("there is no subscription, or no dispute")
    try:
        head = extend_dispute(None, map(read_dispute_event, dispute))
        history = [read_event(each) for each in subscription]
    except (UnreadableEvent, ValueError) as error:
        raise Inconsistent(str(error)) from error
    assert head is not None
    version = head.state.charge_version
    record = history[version - 1] if 0 < version <= len(history) else None
    if record is None or not isinstance(charge := record.event, GenerationCharged):
        raise Inconsistent(f"version {version} is no charge")
    disputed = (head.state.subscription_id, head.state.generation_id)
    if disputed != (record.originator_id, charge.generation_id):
        raise Inconsistent(f"the dispute is not about version {version}")
    before, after, course = _around_charge(history, version, charge.cycle_number)
    _check_arithmetic(charge, before, after)
    return Facts(
        dispute=head,
        charge_record=record,
        charge=charge,
        before=before,
        after=after,
        reversal=_reversal(history, head),
        history=history,
        balance_course=course,
    )


def proven_events(facts: Facts, dispute: Sequence[ChainedEvent]) -> dict[ProofSubject, ChainedEvent]:
    """Return the event that each proof of a case is about, in the order of the proofs."""
    return {"charge": facts.charge_record.stored, "subscription": facts.history[-1].stored, "dispute": dispute[-1]}


def _around_charge(
    history: Sequence[Recorded], charge_version: int, cycle_number: int
) -> tuple[Subscription, Subscription, list[BalancePoint]]:
    """Fold the states before and after the charge, and the balance over its cycle. Raises Inconsistent."""
    state = before = after = None
    course: list[BalancePoint] = []
    for each in history:
        if each.originator_version == charge_version:
            before = state
        try:
            state = evolve(state, each.event)
        except ValueError as error:
            raise Inconsistent(str(error)) from error
        if each.originator_version == charge_version:
            after = state
        if state.cycle.number == cycle_number:
            at = each.stored.recorded_at if course else state.cycle.starts_at
            course.append(BalancePoint(at, state.balance_credits, each.originator_version))
    if before is None or after is None:
        raise Inconsistent("nothing was there before the charge")
    return before, after, course


def _check_arithmetic(charge: GenerationCharged, before: Subscription, after: Subscription) -> None:
    if (charge.balance_before, charge.balance_after) != (before.balance_credits, after.balance_credits):
        raise Inconsistent("the balance before or after the charge is not what the events before it make it")
    if charge.cycle_number != before.cycle.number:
        raise Inconsistent("the charge names another cycle than the one it was in")
    try:
        recomputed = recompute(charge.price)
    except ArithmeticError as error:
        raise Inconsistent(f"the price of the charge cannot be reckoned: {error}") from error
    if recomputed != charge.credits:
        raise Inconsistent(f"the price of the charge comes to {recomputed} credits, not to {charge.credits}")
    if Fraction(charge.price.quantity) != quantity_of(charge.price, charge.settings):
        raise Inconsistent("the quantity of the price is not that of the settings")


def quantity_of(price: Price, settings: Settings) -> Fraction:
    """Compute the quantity of a price from the settings, by its rule."""
    rule = next((rule for rule in RULES if rule == price.rule), None)
    match rule:
        case "per_second":
            return Fraction(settings.duration_seconds or 0) * (settings.count or 1)
        case "per_1000_characters":
            return Fraction(settings.characters or 0, 1000)
        case "per_track" | "per_image" | None:  # any rule that the format does not name counts, too
            return Fraction(settings.count or 1)
        case _:
            assert_never(rule)


def _reversal(history: Sequence[Recorded], head: DisputeHead) -> Recorded | None:
    """Find the event by which this dispute reversed its charge; None unless it was upheld. Raises Inconsistent."""
    dispute_id = str(head.originator_id)
    reversals = [
        each for each in history if isinstance(each.event, ChargeReversed) and each.event.dispute_id == dispute_id
    ]
    if len(reversals) != (head.state.status == "upheld"):
        raise Inconsistent("the subscription was not given back what the dispute says")
    return reversals[0] if reversals else None
