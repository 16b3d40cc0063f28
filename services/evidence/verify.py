"""Verifies evidence offline, without a ledger. Any altered byte is found, and the member that it breaks is named."""

from collections.abc import Mapping, Sequence
from datetime import datetime
from uuid import UUID

from msgspec import Struct

from services.evidence.archive import unpack
from services.evidence.case import Facts, check_chain, facts_of, proven_events
from services.evidence.documents import (
    ProofForm,
    charge_document,
    dispute_document,
    from_base64,
    read_events,
    read_keys,
    read_refusals,
    rfc3339,
)
from services.evidence.faults import NotGenuine, naming
from services.evidence.lineage import UNPINNED, Pins, VerifiedLineage, check_signed_by_all, verify_lineage
from services.evidence.manifest import FORM, MANIFEST, MEMBERS, Manifest, manifest_text, members_of
from services.evidence.receipt import Receipt, check_included, read_receipt
from services.evidence.refusals import Refusal, verify_refusals
from services.evidence.strict_json import read_canonical
from services.ledger.records import ChainedEvent
from services.log.keys import KeyKind, VerifierKey
from services.log.note import Note
from services.log.tree import is_included

_MEMBERS_MAX = 100
"""More members than evidence has; a file of many more is not read to its end."""
RECEIPT = "charge.tlog-proof"


class VerifiedEvidence(Struct, frozen=True):
    """Evidence that was verified: the facts that it proves, and the checkpoint that covers them."""

    manifest: Manifest
    facts: Facts
    index: int
    subscription_events: int
    dispute_events: int
    refusals: list[Refusal]
    lineage: VerifiedLineage


class _Keys(Struct, frozen=True):
    """The keys of the log, oldest first, and those of the witnesses that cosigned."""

    log: Sequence[VerifierKey]
    witnesses: Sequence[VerifierKey]


def verify(archive: bytes, pins: Pins = UNPINNED) -> VerifiedEvidence:
    """Verify evidence, and that it leads to every pin. Raises NotGenuine, OutOfReach."""
    with naming("the archive"):
        members = unpack(archive, members_max=_MEMBERS_MAX)
    if tuple(members) != (*MEMBERS, MANIFEST):
        raise NotGenuine("the archive", "it has other members than evidence has, or in another order")
    keys = _keys(members)
    manifest = _manifest(members, keys)
    with naming(RECEIPT):
        receipt = read_receipt(members[RECEIPT])
    lineage = _lineage(receipt, keys, pins)
    subscription = _stream(members, "subscription-events.ndjson", manifest.subscription_id)
    dispute = _stream(members, "dispute-events.ndjson", manifest.dispute_id)
    facts = _facts(members, subscription, dispute, receipt.index)
    _check_manifest(manifest, facts, lineage)
    _check_proofs(members["proofs.json"], dispute, facts, receipt, lineage)
    with naming("refusals.json"):
        proven = read_refusals(members["refusals.ndjson"], members["refusals.json"])
    return VerifiedEvidence(
        manifest=manifest,
        facts=facts,
        index=receipt.index,
        subscription_events=len(subscription),
        dispute_events=len(dispute),
        refusals=verify_refusals(proven, manifest.subscription_id, keys.log),
        lineage=lineage,
    )


def _keys(members: Mapping[str, bytes]) -> _Keys:
    with naming("keys.txt"):
        log = read_keys(members["keys.txt"])
    with naming("witnesses.txt"):
        witnesses = read_keys(members["witnesses.txt"])
    if not log or any(key.kind is not KeyKind.ED25519 or key.name != log[0].name for key in log):
        raise NotGenuine("keys.txt", "it has not the keys of one log")
    if any(key.kind is not KeyKind.COSIGNATURE_V1 for key in witnesses):
        raise NotGenuine("witnesses.txt", "it has a key that is none of a witness")
    return _Keys(log, witnesses)


def _manifest(members: Mapping[str, bytes], keys: _Keys) -> Manifest:
    with naming(MANIFEST):
        note = Note.parse(members[MANIFEST])
        form, _, document = note.text.removesuffix("\n").partition("\n")
        if form != FORM:
            raise NotGenuine(MANIFEST, f"its form is {form!r}, and this program reads {FORM!r}")
        manifest: Manifest = read_canonical(document.encode(), Manifest)
        check_signed_by_all(note, keys.log[-1:], MANIFEST)
        if manifest_text(manifest) != note.text:
            raise NotGenuine(MANIFEST, "it is not written as it should be")
    for named, actual in zip(manifest.members, members_of({name: members[name] for name in MEMBERS}), strict=False):
        if named != actual:
            raise NotGenuine(actual.name, "it is not what the manifest says")
    if len(manifest.members) != len(MEMBERS):
        raise NotGenuine(MANIFEST, "it does not name every member once")
    return manifest


def _lineage(receipt: Receipt, keys: _Keys, pins: Pins) -> VerifiedLineage:
    with naming(RECEIPT):
        lineage = verify_lineage(receipt.lineage, pins, keys.log[:1], keys.witnesses)
    if list(lineage.keys) != list(keys.log):
        raise NotGenuine("keys.txt", "it has other keys than the hand-overs")
    if list(lineage.witnesses) != list(keys.witnesses):
        raise NotGenuine("witnesses.txt", "it has not those who cosigned the checkpoint, in their order")
    check_signed_by_all(receipt.lineage.note, [*keys.log, *keys.witnesses], RECEIPT)
    return lineage


def _stream(members: Mapping[str, bytes], name: str, stream_id: UUID) -> list[ChainedEvent]:
    with naming(name):
        events = read_events(members[name])
        check_chain(events, stream_id)
    return events


def _facts(
    members: Mapping[str, bytes], subscription: Sequence[ChainedEvent], dispute: Sequence[ChainedEvent], index: int
) -> Facts:
    with naming("the events"):
        facts = facts_of(subscription, dispute)
        documents = {"charge.json": charge_document(facts, index), "dispute.json": dispute_document(facts)}
    for name, document in documents.items():
        if members[name] != document:
            raise NotGenuine(name, "it does not say what the events say")
    return facts


def _check_manifest(manifest: Manifest, facts: Facts, lineage: VerifiedLineage) -> None:
    if manifest.generation_id != facts.charge.generation_id:
        raise NotGenuine(MANIFEST, "it names another generation than the dispute is about")
    if manifest.origin != lineage.checkpoint.origin:
        raise NotGenuine(MANIFEST, "it names another log than the checkpoint is of")
    with naming(MANIFEST):
        made_at = datetime.fromisoformat(manifest.made_at)
        if made_at.tzinfo is None or rfc3339(made_at) != manifest.made_at:
            raise NotGenuine(MANIFEST, "it was made at no instant that is written as it should be")
    if made_at < max(facts.history[-1].recorded_at, facts.dispute.recorded_at):
        raise NotGenuine(MANIFEST, "it was made before the last event was recorded")


def _check_proofs(
    content: bytes, dispute: Sequence[ChainedEvent], facts: Facts, receipt: Receipt, lineage: VerifiedLineage
) -> None:
    charge, *others = proven_events(facts, dispute).items()
    if receipt.event.hash != charge[1].hash:
        raise NotGenuine(RECEIPT, "its event is not the charge")
    with naming(RECEIPT):
        check_included(receipt, "the charge")
    with naming("proofs.json"):
        lines: list[ProofForm] = read_canonical(content, list[ProofForm])
        proofs = [from_base64(line.hashes) for line in lines]
    if [line.what for line in lines] != [what for what, _ in others]:
        raise NotGenuine("proofs.json", "it does not prove what is to be proven")
    checkpoint = lineage.checkpoint
    for (what, event), line, proof in zip(others, lines, proofs, strict=True):
        if not is_included(event.hash, line.index, checkpoint.size, proof, checkpoint.root):
            raise NotGenuine("proofs.json", f"the last event of the {what} is not in the tree of the checkpoint")
