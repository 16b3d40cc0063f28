"""Builds the example of the format's page: a case small enough to follow by hand, and what the page shows of it."""

from collections.abc import Mapping
from hashlib import sha256
from struct import pack

from services.evidence.archive import unpack
from services.evidence.case import Case
from services.ledger.hashing import microseconds_since_epoch
from services.ledger.records import ChainedEvent
from services.log.tree import is_included, node_hash
from tests.unit.evidence.cases import disputed, made
from tests.unit.evidence.memory_log import MemoryLog
from tests.unit.log.signers import witness
from tests.unit.subscription.catalogues import packaged_catalogue

TABLE = """
    2024-01-31 10:00           | start ai-suite-40000-monthly                        | balance 40,000
    2024-02-03 09:15:12.345678 | generate lyria-3 as track-7f3a                      | balance 39,850
    2024-02-03 09:20           | generate lyria-3-pro duration_seconds=61.5 as track-9c1d | balance 39,550
    2024-02-03 09:21           | generate lyria-3-pro count=200 as track-0e5b        | refused insufficient_credits
"""


def example_case() -> Case:
    """Build the case of the example."""
    note = "The track stops after a second."
    log = MemoryLog(witnesses=[witness()])
    return disputed(TABLE, "track-9c1d", "generation_failed", "upheld", note, packaged_catalogue(), log)


def example_archive() -> bytes:
    """Build the file of the example, which lies beside the page."""
    return made(example_case())


def example_blocks() -> Mapping[str, str]:
    """Return what the page shows, by the names of its blocks."""
    case, archive = example_case(), example_archive()
    members = unpack(archive)
    charge = case.subscription[3]
    first_line = 30 + len("README.txt")
    return {
        "receipt": members["charge.tlog-proof"].decode().strip(),
        "entry": "\n".join(part.hex() for part in _entry(charge)),
        "hash": charge.hash.hex(),
        "proof": "\n".join(_proof_steps(case)),
        "keys": (members["keys.txt"] + members["witnesses.txt"]).decode().strip(),
        "charge-line": members["subscription-events.ndjson"].splitlines()[3].decode(),
        "manifest": members["manifest.note"].decode().strip(),
        "charge-document": members["charge.json"].decode(),
        "dispute-document": members["dispute.json"].decode(),
        "first-bytes": archive[:first_line].hex(" "),
        "last-bytes": archive[-22:].hex(" "),
        "archive": f"{len(archive)} bytes, SHA-256 {sha256(archive).hexdigest()}",
    }


def _entry(event: ChainedEvent) -> list[bytes]:
    topic = event.topic.encode()
    parts = [
        event.originator_id.bytes,
        pack(">Q", event.originator_version),
        pack(">q", microseconds_since_epoch(event.recorded_at)),
        event.previous_hash,
        pack(">H", len(topic)),
        topic,
        event.state,
    ]
    assert sha256(b"\0" + b"".join(parts)).digest() == event.hash
    return parts


def _proof_steps(case: Case) -> list[str]:
    """List every step from the charge's leaf to the root."""
    charge, checkpoint, hashes = case.subscription[3], case.lineage.checkpoint, case.proofs["charge"]
    assert charge.position is not None
    index = charge.position - 1
    assert is_included(charge.hash, index, checkpoint.size, hashes, checkpoint.root)
    reached, last = charge.hash, checkpoint.size - 1
    steps = [f"leaf {index} of {checkpoint.size}: {reached.hex()}"]
    for each in hashes:
        is_right = bool(index & 1) or index == last
        reached = node_hash(each, reached) if is_right else node_hash(reached, each)
        steps.append(f"with {each.hex()} on its {'left' if is_right else 'right'}: {reached.hex()}")
        while is_right and index and not index & 1:
            index, last = index >> 1, last >> 1
        index, last = index >> 1, last >> 1
    assert reached == checkpoint.root
    return steps
