"""Builds cases for the tests of evidence: histories as a ledger would store them, sealed with keys of the tests."""

from collections.abc import Sequence
from datetime import UTC, datetime, timedelta
from uuid import UUID

import msgspec
from msgspec.structs import replace

from services.catalogue import Catalogue
from services.dispute.commands import DisputeCommand, OpenDispute, ResolveDispute
from services.dispute.decide import DisputedCharge, DisputeDecision, decide
from services.dispute.events import Outcome, Reason
from services.evidence.builder import build
from services.evidence.case import Case, ProofSubject
from services.evidence.proving import index_of, prove_inclusion, prove_refusals
from services.evidence.refusals import ProvenRefusals
from services.ledger.mapper import next_dispute_event, next_event, read_dispute_event
from services.ledger.records import ChainedEvent, DisputeHead, Metadata, StreamHead, extend, extend_dispute
from services.log.keys import Signer
from services.log.tree import leaf_hash
from services.subscription.events import GenerationCharged
from tests.unit.evidence.memory_log import ORIGIN, MemoryLog
from tests.unit.log.signers import signer
from tests.unit.subscription.history import History, RecordedRefusal
from tests.unit.subscription.scenario import play

SUBSCRIPTION_ID = UUID("0f8fad5b-d9cb-469f-a165-70867728950e")
DISPUTE_ID = UUID("5b1e7f3c-2a94-4c7e-9d35-0c6f8a1b2d4e")
MADE_AT = datetime(2024, 2, 20, 9, 30, tzinfo=UTC)
BY = Metadata(key_id="k3v7m2qa", request_id="8rVbW2mJ4kQ1xZpN")

KEY = signer(ORIGIN, "first")
NO_REFUSALS = ProvenRefusals()

HISTORY = """
    2024-01-31 10:00 | start ai-suite-40000-monthly            | balance 40,000
    2024-02-02       | charge 9,000 image as picture           | balance 31,000
    2024-02-05 12:34 | generate lyria-3 count=2 as track       | balance 30,700
    2024-02-06       | charge 4,000 voiceover as speech        | balance 26,700
"""


def made(case: Case, key: Signer = KEY, made_at: datetime = MADE_AT) -> bytes:
    """Build the file of a case."""
    return build(case, key, made_at)


def disputed(
    table: str = HISTORY,
    generation_id: str = "track",
    reason: Reason = "duplicate",
    outcome: Outcome | None = "upheld",
    note: str = "The same track was charged twice.",
    catalogue: Catalogue | None = None,
    log: MemoryLog | None = None,
    refusals: MemoryLog | None = None,
) -> Case:
    """Play a history, dispute a charge of it, and seal both streams, and what was refused, in logs."""
    return disputed_in(play(table, catalogue), generation_id, reason, outcome, note, log, refusals)


def disputed_in(
    history: History,
    generation_id: str = "track",
    reason: Reason = "duplicate",
    outcome: Outcome | None = "upheld",
    note: str = "The same track was charged twice.",
    log: MemoryLog | None = None,
    refusals: MemoryLog | None = None,
    returned_credits: int | None = None,
) -> Case:
    """Dispute a charge of a history, and seal both streams, and what was refused, in logs."""
    subscription, dispute = stored(history, generation_id, reason, outcome, note, returned_credits)
    entries = [refusal_entry(each, number) for number, each in enumerate(history.refused, start=1)]
    return sealed(subscription, dispute, log or MemoryLog(), entries, refusals)


def sealed(
    subscription: Sequence[ChainedEvent],
    dispute: Sequence[ChainedEvent],
    log: MemoryLog,
    refusals: Sequence[bytes] = (),
    refusal_log: MemoryLog | None = None,
    charge_version: int | None = None,
) -> Case:
    """Put both streams into a log, at the positions that they have after others, and prove them."""
    by_position = sorted([*subscription, *dispute], key=index_of)
    if log.size == 0:
        log.extend(others(index_of(by_position[0])))
    log.extend(each.hash for each in by_position)
    return proven(subscription, dispute, log, refusals, refusal_log, charge_version)


def proven(
    subscription: Sequence[ChainedEvent],
    dispute: Sequence[ChainedEvent],
    log: MemoryLog,
    refusals: Sequence[bytes] = (),
    refusal_log: MemoryLog | None = None,
    charge_version: int | None = None,
) -> Case:
    """Prove both streams, and refusals, by logs that have them; the charge is read from the dispute, or told."""
    lineage = log.lineage()
    about: dict[ProofSubject, ChainedEvent] = {
        "charge": subscription[(charge_version or _charge_version(dispute)) - 1],
        "subscription": subscription[-1],
        "dispute": dispute[-1],
    }
    proofs = {what: prove_inclusion(log.tiles.read, event, lineage) for what, event in about.items()}
    refusal_log = refusal_log or MemoryLog(f"{log.origin}/refusals")
    if refusals and not refusal_log.size:
        refusal_log.extend(map(leaf_hash, refusals))
    of_refusals = prove_refusals(refusal_log.tiles.read, refusals, refusal_log.lineage()) if refusals else NO_REFUSALS
    witnesses = [each.key for each in log.witnesses]
    return Case(subscription, dispute, log.keys, witnesses, lineage, proofs, of_refusals)


def others(count: int, kind: str = "other") -> list[bytes]:
    """Make leaves of other subscriptions' events."""
    return [leaf_hash(f"{kind} {number}".encode()) for number in range(count)]


def refusal_entry(refused: RecordedRefusal, number: int) -> bytes:
    """Write a refusal as the log of refusals has it."""
    return msgspec.json.encode(
        {
            "number": number,
            "subscription_id": SUBSCRIPTION_ID,
            "generation_id": refused.command.generation_id,
            "version": refused.state.version,
            "model": refused.command.model,
            "settings": refused.command.settings,
            "code": refused.refusal.code,
            "required_credits": getattr(refused.refusal, "required_credits", None),
            "balance_credits": refused.state.balance_credits,
            "op": "charge",
            "available_credits": refused.state.available_credits,
            "refused_at": refused.at,
        },
        order="sorted",
    )


def _charge_version(dispute: Sequence[ChainedEvent]) -> int:
    head = extend_dispute(None, map(read_dispute_event, dispute))
    assert head is not None
    return head.state.charge_version


def stored(
    history: History,
    generation_id: str,
    reason: Reason,
    outcome: Outcome | None,
    note: str,
    returned_credits: int | None = None,
) -> tuple[list[ChainedEvent], list[ChainedEvent]]:
    """Return the streams as the ledger stores them; positions begin at 101, as if others had come before."""
    subscription, dispute = list[ChainedEvent](), list[ChainedEvent]()
    head: StreamHead | None = None
    dispute_head: DisputeHead | None = None
    position, version = 101, 0
    for at, event in history.recorded:
        recorded = next_event(SUBSCRIPTION_ID, head, event, BY, at)
        head = extend(head, (recorded,))
        subscription.append(_at(recorded.stored, position))
        position += 1
        if isinstance(event, GenerationCharged) and event.generation_id == generation_id:
            version = recorded.originator_version
    charge = DisputedCharge(SUBSCRIPTION_ID, history.charges[generation_id], version, is_reversed=False)
    commands: list[DisputeCommand] = [OpenDispute(DISPUTE_ID, generation_id, reason, note)]
    if outcome is not None and reason != "unsatisfied":
        decision = ResolveDispute(DISPUTE_ID, generation_id, outcome, "So it is.", "current_cycle", returned_credits)
        commands.append(decision)
    now = history.recorded[-1][0] + timedelta(days=1)
    for command in commands:
        assert history.state is not None
        state = dispute_head.state if dispute_head else None
        decided = decide(state, command, charge, history.state, now, history.catalogue)
        assert isinstance(decided, DisputeDecision), decided
        for event in decided.on_subscription:
            recorded = next_event(SUBSCRIPTION_ID, head, event, BY, now)
            head = extend(head, (recorded,))
            subscription.append(_at(recorded.stored, position))
            position += 1
        for each in decided.on_dispute:
            on_dispute = next_dispute_event(DISPUTE_ID, dispute_head, each, BY, now)
            dispute_head = extend_dispute(dispute_head, (on_dispute,))
            dispute.append(_at(on_dispute.stored, position))
            position += 1
    return subscription, dispute


def _at(event: ChainedEvent, position: int) -> ChainedEvent:
    return replace(event, position=position)
