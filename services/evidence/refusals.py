"""Proves refusals around a charge: they are in a log of their own, whose entries are lines of JSON."""

from collections.abc import Sequence
from datetime import datetime
from typing import Any
from uuid import UUID

import msgspec
from msgspec import Struct

from services.evidence.faults import NotGenuine, naming
from services.evidence.lineage import UNPINNED, Lineage, check_signed_by_all, verify_lineage
from services.evidence.stored_form import check_written, written_form
from services.evidence.strict_json import read_strict
from services.ledger.records import RefusedOp
from services.log.keys import VerifierKey
from services.log.tree import is_included, leaf_hash


class Refusal(Struct, frozen=True, kw_only=True):
    """A refusal as the log of refusals has it; `number` is its place there, from 1."""

    number: int
    op: RefusedOp
    subscription_id: UUID
    generation_id: str
    version: int
    model: str
    settings: dict[str, Any]
    code: str
    required_credits: int | None = None
    balance_credits: int
    available_credits: int | None = None
    refused_at: datetime


class ProvenRefusals(Struct, frozen=True):
    """Entries of refusals, in the order of their numbers, each with its proof; no lineage where there are none."""

    entries: Sequence[bytes] = ()
    proofs: Sequence[Sequence[bytes]] = ()
    lineage: Lineage | None = None


def read_refusal(entry: bytes) -> Refusal:
    """Read an entry. Raises ValueError."""
    raw = read_strict(entry)
    refusal = msgspec.json.decode(entry, type=Refusal)
    check_written(raw, {**written_form(refusal), "settings": raw["settings"]}, "a refusal")
    return refusal


def verify_refusals(proven: ProvenRefusals, subscription_id: UUID, keys: Sequence[VerifierKey]) -> list[Refusal]:
    """Verify that refusals are of the subscription and in their log, signed by its keys. Raises NotGenuine."""
    with naming("refusals.ndjson"):
        refusals = [read_refusal(entry) for entry in proven.entries]
    numbers = [each.number for each in refusals]
    if numbers != sorted(set(numbers)) or any(each.subscription_id != subscription_id for each in refusals):
        raise NotGenuine("refusals.ndjson", "they are not those of the subscription, each once and in order")
    if proven.lineage is None:
        if refusals:
            raise NotGenuine("refusals.json", "there is no checkpoint of the refusals")
        return refusals
    own_keys = [refusal_key(key) for key in keys]
    with naming("refusals.json"):
        verified = verify_lineage(proven.lineage, UNPINNED, own_keys[:1])
    if list(verified.keys) != own_keys[: len(verified.keys)] or not refusals:
        raise NotGenuine("refusals.json", "it has other keys than the log, or proves nothing")
    check_signed_by_all(proven.lineage.note, own_keys, "refusals.json")
    checkpoint = verified.checkpoint
    for refusal, entry, proof in zip(refusals, proven.entries, proven.proofs, strict=True):
        index = refusal.number - 1
        if not is_included(leaf_hash(entry), index, checkpoint.size, proof, checkpoint.root):
            raise NotGenuine("refusals.json", f"refusal {refusal.number} is not in the tree of its checkpoint")
    return refusals


def refusal_key(key: VerifierKey) -> VerifierKey:
    """The same key as the log of refusals names it."""
    return VerifierKey(f"{key.name}/refusals", key.public_key)
