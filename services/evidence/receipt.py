"""Writes and verifies receipts: proof files of a charge (C2SP `tlog-proof`), which the customer keeps.

What `tlog-proof` leaves to the application, `extra`, is the entry, the hand-overs of keys, and proofs of consistency.
"""

from base64 import b64encode
from collections.abc import Sequence
from typing import Any

import rfc8785
from msgspec import Struct

from services.evidence.entries import read_entry
from services.evidence.faults import NotGenuine, naming
from services.evidence.lineage import Consistency, Lineage, Pins, VerifiedLineage, verify_lineage
from services.evidence.stored_form import read_stored
from services.evidence.strict_json import read_canonical
from services.ledger.records import ChainedEvent, Recorded
from services.log.checkpoint import decode_hash
from services.log.keys import decode_base64
from services.log.note import Note
from services.log.proof_file import ProofFile
from services.log.tree import PROOF_HASHES_LIMIT
from services.subscription.events import GenerationCharged

RECEIPT_BYTES_MAX = 16 * 1024 * 1024


class _ConsistencyForm(Struct, frozen=True, forbid_unknown_fields=True, rename={"from_size": "from"}):
    from_size: int
    hashes: list[str]


class _Extra(Struct, frozen=True, forbid_unknown_fields=True):
    entry: str
    handovers: list[str]
    consistency: list[_ConsistencyForm]


class Receipt(Struct, frozen=True):
    """The event of a charge, its index in the log, the proof that it is there, and the checkpoint that says so."""

    event: ChainedEvent
    index: int
    proof: Sequence[bytes]
    lineage: Lineage


class VerifiedReceipt(Struct, frozen=True):
    """A receipt that was verified: the charge, its index, and the checkpoint that covers it."""

    record: Recorded
    charge: GenerationCharged
    index: int
    lineage: VerifiedLineage

    @property
    def position(self) -> int:
        """The place of the charge in the ledger, from 1."""
        return self.index + 1


def write_receipt(receipt: Receipt) -> bytes:
    """Write the file."""
    lineage = receipt.lineage
    extra: Any = {
        "entry": b64encode(receipt.event.entry).decode(),
        "handovers": [str(note) for note in lineage.handovers],
        "consistency": [
            {"from": each.from_size, "hashes": [b64encode(one).decode() for one in each.hashes]}
            for each in lineage.consistency
        ],
    }
    return str(ProofFile(receipt.index, tuple(receipt.proof), lineage.note, rfc8785.dumps(extra))).encode()


def read_receipt(content: bytes) -> Receipt:
    """Read the file. Raises NotGenuine."""
    with naming("the receipt"):
        file = ProofFile.parse(content)
    if file.extra is None:
        raise NotGenuine("the receipt", "it has no line `extra` with the entry of the charge")
    with naming("the line `extra`"):
        extra: _Extra = read_canonical(file.extra, _Extra)
    with naming("the entry"):
        event = read_entry(decode_base64(extra.entry))
    with naming("the hand-overs"):
        handovers = [Note.parse(note) for note in extra.handovers]
    with naming("the checkpoint"):
        size = Lineage(file.note, (), ()).checkpoint.size
    with naming("the proof of consistency"):
        consistency = [Consistency(each.from_size, size, _hashes(each.hashes)) for each in extra.consistency]
    receipt = Receipt(event, file.index, file.proof, Lineage(file.note, handovers, consistency))
    if write_receipt(receipt) != content:
        raise NotGenuine("the receipt", "it is not written as it should be")
    return receipt


def verify_receipt(content: bytes, pins: Pins) -> VerifiedReceipt:
    """Verify a receipt against keys that are pinned, one of the log at least. Raises NotGenuine, OutOfReach."""
    receipt = read_receipt(content)
    record, charge = read_charge(receipt.event)
    lineage = verify_lineage(receipt.lineage, pins, pins.log_keys)
    check_included(receipt, "the charge")
    return VerifiedReceipt(record, charge, receipt.index, lineage)


def read_charge(event: ChainedEvent) -> tuple[Recorded, GenerationCharged]:
    """Read the event of a receipt. Raises NotGenuine where it is no charge."""
    with naming("the entry"):
        record = read_stored(event)
    if not isinstance(record.event, GenerationCharged):
        raise NotGenuine("the entry", f"it is {event.topic}, and no charge")
    return record, record.event


def check_included(receipt: Receipt, what: str) -> None:
    """Raise NotGenuine unless the event is at its index in the tree of the checkpoint."""
    file = ProofFile(receipt.index, tuple(receipt.proof), receipt.lineage.note)
    if not file.proves(receipt.event.hash):
        raise NotGenuine("the proof of inclusion", f"{what} is not in the tree of the checkpoint")


def _hashes(lines: Sequence[str]) -> list[bytes]:
    if len(lines) > PROOF_HASHES_LIMIT:
        raise ValueError(f"it has more than {PROOF_HASHES_LIMIT} hashes")
    return [decode_hash(line) for line in lines]
