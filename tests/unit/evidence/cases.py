"""Builds cases for the tests of evidence: histories as a ledger would store them, sealed with keys of the tests."""

from collections.abc import Sequence
from datetime import UTC, datetime, timedelta
from hashlib import sha256
from uuid import UUID

from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from msgspec.structs import replace

from services.catalogue import Catalogue
from services.dispute.commands import DisputeCommand, OpenDispute, ResolveDispute
from services.dispute.decide import DisputedCharge, DisputeDecision, decide
from services.dispute.events import Outcome, Reason
from services.evidence.case import Case, Proof, ProofSubject
from services.integrity.checkpoints import Checkpoint
from services.integrity.merkle import inclusion_proof, root_of
from services.integrity.signing import SigningKey
from services.ledger.mapper import next_dispute_event, next_event, read_dispute_event
from services.ledger.records import ChainedEvent, DisputeHead, Metadata, StreamHead, extend, extend_dispute
from tests.unit.subscription.history import History
from tests.unit.subscription.scenario import play

SUBSCRIPTION_ID = UUID("0f8fad5b-d9cb-469f-a165-70867728950e")
DISPUTE_ID = UUID("5b1e7f3c-2a94-4c7e-9d35-0c6f8a1b2d4e")
MADE_AT = datetime(2024, 2, 20, 9, 30, tzinfo=UTC)
BY = Metadata(key_id="k3v7m2qa", request_id="8rVbW2mJ4kQ1xZpN")

HISTORY = """
    2024-01-31 10:00 | start ai-suite-40000-monthly            | balance 40,000
    2024-02-02       | charge 9,000 image as picture           | balance 31,000
    2024-02-05 12:34 | generate lyria-3 count=2 as track       | balance 30,700
    2024-02-06       | charge 4,000 voiceover as speech        | balance 26,700
"""


def key_of(name: str) -> SigningKey:
    """Return a signing key that is the same in every run."""
    return SigningKey(Ed25519PrivateKey.from_private_bytes(sha256(name.encode()).digest()))


KEY = key_of("the ledger's")


def disputed(
    table: str = HISTORY,
    generation_id: str = "track",
    reason: Reason = "duplicate",
    outcome: Outcome | None = "upheld",
    note: str = "The same track was charged twice.",
    catalogue: Catalogue | None = None,
) -> Case:
    """Play a history, dispute a charge of it, and seal both streams with one checkpoint."""
    history = play(table, catalogue)
    subscription, dispute = _stored(history, generation_id, reason, outcome, note)
    return sealed(subscription, dispute, KEY)


def sealed(subscription: Sequence[ChainedEvent], dispute: Sequence[ChainedEvent], key: SigningKey) -> Case:
    """Seal both streams with one checkpoint of a key, at the positions that they have."""
    by_position = sorted([*subscription, *dispute], key=lambda each: each.position or 0)
    leaves = [each.hash for each in by_position]
    unsigned = Checkpoint(
        number=7,
        from_position=by_position[0].position or 0,
        to_position=by_position[-1].position or 0,
        made_at=MADE_AT,
        ledger=sha256(b"the first event").digest(),
        root=root_of(leaves),
        previous_hash=sha256(b"checkpoint 6").digest(),
        public_key=key.public_key,
    )
    checkpoint = replace(unsigned, signature=key.sign(unsigned.signed_bytes))
    about: dict[ProofSubject, ChainedEvent] = {
        "charge": subscription[_charge_version(dispute) - 1],
        "subscription": subscription[-1],
        "dispute": dispute[-1],
    }
    proofs = [_proof(what, event, checkpoint, leaves) for what, event in about.items()]
    return Case(subscription, dispute, [checkpoint], proofs)


def _proof(what: ProofSubject, event: ChainedEvent, checkpoint: Checkpoint, leaves: Sequence[bytes]) -> Proof:
    index = (event.position or 0) - checkpoint.from_position
    return Proof(
        what=what,
        stream_id=event.originator_id,
        version=event.originator_version,
        position=event.position or 0,
        checkpoint=checkpoint.number,
        leaf_index=index,
        tree_size=len(leaves),
        hashes=[each.hex() for each in inclusion_proof(leaves, index)],
    )


def _charge_version(dispute: Sequence[ChainedEvent]) -> int:
    head = extend_dispute(None, map(read_dispute_event, dispute))
    assert head is not None
    return head.state.charge_version


def _stored(
    history: History, generation_id: str, reason: Reason, outcome: Outcome | None, note: str
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
        if getattr(event, "generation_id", None) == generation_id and not version:
            version = recorded.originator_version
    charge = DisputedCharge(SUBSCRIPTION_ID, history.charges[generation_id], version, is_reversed=False)
    commands: list[DisputeCommand] = [OpenDispute(DISPUTE_ID, generation_id, reason, note)]
    if outcome is not None and reason != "unsatisfied":
        commands.append(ResolveDispute(DISPUTE_ID, generation_id, outcome, "So it is.", "current_cycle"))
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
