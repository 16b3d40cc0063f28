"""Verifies evidence offline, without a ledger. Any altered byte is found, and the member that it breaks is named."""

from collections.abc import Collection, Iterator, Mapping, Sequence
from contextlib import contextmanager
from datetime import datetime
from typing import Any
from uuid import UUID

import msgspec
import rfc8785
from msgspec import Struct

from services.evidence.archive import NotAnArchive, unpack
from services.evidence.case import Facts, Inconsistent, Proof, check_chain, facts_of, proven_events
from services.evidence.documents import (
    NotCanonical,
    charge_document,
    dispute_document,
    events_document,
    read_document,
    read_events,
    unhex,
)
from services.evidence.manifest import FORM, MANIFEST, MEMBERS, SIGNATURE, Manifest, members_of
from services.integrity.checkpoints import FORM as CHECKPOINT_FORM
from services.integrity.merkle import is_included
from services.integrity.signing import is_signed, key_id_of
from services.ledger.records import ChainedEvent

_MEMBERS_MAX = 100
"""More members than evidence has; a file of many more is not read to its end."""


class NotGenuine(Exception):
    """The evidence does not hold: `where` names the member, `why` the fault."""

    def __init__(self, where: str, why: str) -> None:
        super().__init__(f"{where}: {why}")
        self.where = where
        self.why = why


class CheckpointBody(Struct, frozen=True, forbid_unknown_fields=True, omit_defaults=True):
    """The signed part of a checkpoint."""

    form: str
    ledger: str
    number: int
    from_position: int
    to_position: int
    root: str
    previous: str
    made_at: datetime
    key_id: str
    next_key_id: str | None = None


class SignedCheckpoint(Struct, frozen=True, forbid_unknown_fields=True):
    """A checkpoint and its signature."""

    body: CheckpointBody
    signature: str


class VerifiedEvidence(Struct, frozen=True):
    """Evidence that was verified: the facts that it proves, and who signed them when.

    `sealed_at` is when the checkpoint that covers the charge was made: since then nobody could alter the charge unseen.
    """

    manifest: Manifest
    facts: Facts
    subscription_events: int
    dispute_events: int
    checkpoints: list[CheckpointBody]
    sealed_at: datetime

    @property
    def key_ids(self) -> list[str]:
        """The ids of the keys that signed: the manifest's, then the checkpoints'."""
        return list(dict.fromkeys([self.manifest.key_id, *(each.key_id for each in self.checkpoints)]))


def verify(archive: bytes, trusted_key_ids: Collection[str] = ()) -> VerifiedEvidence:
    """Verify evidence; where keys are named, only they may have signed. Raises NotGenuine."""
    with _naming("the archive"):
        members = unpack(archive, members_max=_MEMBERS_MAX)
    if tuple(members) != (*MEMBERS, MANIFEST, SIGNATURE):
        raise NotGenuine("the archive", "it has other members than evidence has, or in another order")
    keys = _keys(members["keys.json"])
    manifest = _manifest(members, keys)
    checkpoints = _checkpoints(members["checkpoints.json"], keys, manifest)
    subscription = _stream(members, "subscription-events.ndjson", manifest.subscription_id)
    dispute = _stream(members, "dispute-events.ndjson", manifest.dispute_id)
    facts = _facts(members, subscription, dispute, manifest)
    charge_checkpoint = _proofs(members["proofs.json"], dispute, facts, checkpoints)
    verified = VerifiedEvidence(
        manifest=manifest,
        facts=facts,
        subscription_events=len(subscription),
        dispute_events=len(dispute),
        checkpoints=list(checkpoints.values()),
        sealed_at=charge_checkpoint.made_at,
    )
    if trusted_key_ids and (others := [each for each in verified.key_ids if each not in trusted_key_ids]):
        raise NotGenuine("keys.json", f"it is signed with key {others[0]}, which is not one of those that are trusted")
    if set(keys) != set(verified.key_ids):
        raise NotGenuine("keys.json", "it has a key that signed nothing here")
    return verified


def _keys(content: bytes) -> dict[str, bytes]:
    keys = {key_id: _unhex("keys.json", key) for key_id, key in _read("keys.json", content, dict[str, str]).items()}
    for key_id, key in keys.items():
        if len(key) != 32 or key_id_of(key) != key_id:
            raise NotGenuine("keys.json", f"{key_id} is not the id of its key")
    return keys


def _manifest(members: Mapping[str, bytes], keys: Mapping[str, bytes]) -> Manifest:
    content = members[MANIFEST]
    manifest: Manifest = _read(MANIFEST, content, Manifest)
    if manifest.form != FORM:
        raise NotGenuine(MANIFEST, f"its form is {manifest.form!r}, and this program reads {FORM!r}")
    if manifest.key_id not in keys or not is_signed(content, members[SIGNATURE], keys[manifest.key_id]):
        raise NotGenuine(SIGNATURE, "it is not the signature of the manifest by its key")
    for named, actual in zip(manifest.members, members_of({name: members[name] for name in MEMBERS}), strict=False):
        if named != actual:
            raise NotGenuine(actual.name, "it is not what the manifest says")
    if len(manifest.members) != len(MEMBERS):
        raise NotGenuine(MANIFEST, "it does not name every member once")
    return manifest


def _checkpoints(content: bytes, keys: Mapping[str, bytes], manifest: Manifest) -> dict[int, CheckpointBody]:
    """Read the checkpoints by number; the newest must let the manifest's key sign. Raises NotGenuine."""
    name = "checkpoints.json"
    read: list[SignedCheckpoint] = _read(name, content, list[SignedCheckpoint])
    raw = msgspec.json.decode(content)
    for each, raw_checkpoint in zip(read, raw, strict=True):
        body, number = each.body, each.body.number
        signed = rfc8785.dumps(raw_checkpoint["body"])
        if body.form != CHECKPOINT_FORM or body.ledger != manifest.ledger:
            raise NotGenuine(name, f"checkpoint {number} is one of another kind, or of another ledger")
        if body.key_id not in keys or not is_signed(signed, _unhex(name, each.signature), keys[body.key_id]):
            raise NotGenuine(name, f"checkpoint {number} is not signed by its key")
    checkpoints = {each.body.number: each.body for each in read}
    if not checkpoints or list(checkpoints) != sorted(each.body.number for each in read):
        raise NotGenuine(name, "there is none, or they are not in order, each once")
    newest = read[-1].body
    if manifest.key_id not in (newest.key_id, newest.next_key_id):
        raise NotGenuine(MANIFEST, f"checkpoint {newest.number} does not let its key sign")
    return checkpoints


def _stream(members: Mapping[str, bytes], name: str, stream_id: UUID) -> list[ChainedEvent]:
    with _naming(name):
        events = read_events(members[name])
        check_chain(events, stream_id)
    if events_document(events) != members[name]:
        raise NotGenuine(name, "an event is not written as it should be")
    return events


def _facts(
    members: Mapping[str, bytes],
    subscription: Sequence[ChainedEvent],
    dispute: Sequence[ChainedEvent],
    manifest: Manifest,
) -> Facts:
    with _naming("the events"):
        facts = facts_of(subscription, dispute)
    if facts.charge.generation_id != manifest.generation_id:
        raise NotGenuine(MANIFEST, "it names another generation than the dispute is about")
    for name, document in (("charge.json", charge_document(facts)), ("dispute.json", dispute_document(facts))):
        if members[name] != document:
            raise NotGenuine(name, "it does not say what the events say")
    return facts


def _proofs(
    content: bytes,
    dispute: Sequence[ChainedEvent],
    facts: Facts,
    checkpoints: Mapping[int, CheckpointBody],
) -> CheckpointBody:
    """Check every proof, and return the checkpoint that covers the charge. Raises NotGenuine."""
    name = "proofs.json"
    lines: list[Proof] = _read(name, content, list[Proof])
    proven = proven_events(facts, dispute)
    if [line.what for line in lines] != list(proven):
        raise NotGenuine(name, "it does not prove what is to be proven")
    if {line.checkpoint for line in lines} | {max(checkpoints)} != set(checkpoints):
        raise NotGenuine(name, "its checkpoints are not those that are there")
    for line in lines:
        event, checkpoint = proven[line.what], checkpoints[line.checkpoint]
        place = (line.stream_id, line.version, line.position, line.leaf_index, line.tree_size)
        expected = (
            event.originator_id,
            event.originator_version,
            event.position,
            line.position - checkpoint.from_position,
            checkpoint.to_position - checkpoint.from_position + 1,
        )
        hashes = [_unhex(name, each) for each in line.hashes]
        root = _unhex("checkpoints.json", checkpoint.root)
        if place != expected or not is_included(event.hash, line.leaf_index, line.tree_size, hashes, root):
            raise NotGenuine(name, f"the {line.what} is not in checkpoint {line.checkpoint}")
    return checkpoints[lines[0].checkpoint]


def _read(name: str, content: bytes, kind: Any) -> Any:
    with _naming(name):
        return read_document(content, kind)


def _unhex(name: str, text: str) -> bytes:
    with _naming(name):
        return unhex(text)


@contextmanager
def _naming(where: str) -> Iterator[None]:
    """Raise NotGenuine, with the member that is at fault, for what does not hold within this context."""
    try:
        yield
    except (NotAnArchive, NotCanonical, Inconsistent) as error:
        raise NotGenuine(where, str(error)) from None
