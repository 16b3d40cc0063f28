"""Builds the example of the format's page: a case small enough to follow by hand, and what the page shows of it."""

from collections.abc import Mapping
from hashlib import sha256
from struct import pack

from services.evidence.archive import unpack
from services.evidence.builder import build
from services.evidence.case import Case
from services.integrity.merkle import is_included, node_hash
from services.ledger.hashing import microseconds_since_epoch
from services.ledger.records import ChainedEvent
from tests.unit.evidence.cases import KEY, MADE_AT, disputed
from tests.unit.subscription.catalogues import packaged_catalogue

TABLE = """
    2024-01-31 10:00           | start ai-suite-40000-monthly                        | balance 40,000
    2024-02-03 09:15:12.345678 | generate lyria-3 as track-7f3a                      | balance 39,850
    2024-02-03 09:20           | generate lyria-3-pro duration_seconds=61.5 as track-9c1d | balance 39,550
"""


def example_case() -> Case:
    """Build the case of the example."""
    return disputed(
        TABLE, "track-9c1d", "generation_failed", "upheld", "The track stops after a second.", packaged_catalogue()
    )


def example_archive() -> bytes:
    """Build the file of the example, which lies beside the page."""
    return build(example_case(), KEY, MADE_AT)


def example_blocks() -> Mapping[str, str]:
    """Return what the page shows, by the names of its blocks."""
    case, archive = example_case(), example_archive()
    members = unpack(archive)
    (checkpoint,) = case.checkpoints
    charge = case.subscription[3]
    first_line = 30 + len("README.txt")
    return {
        "charge-line": members["subscription-events.ndjson"].splitlines()[3].decode(),
        "preimage": _spaced(_preimage(charge)),
        "hash": charge.hash.hex(),
        "proof": "\n".join(_proof_steps(case)),
        "checkpoint-signed": checkpoint.signed_bytes.decode(),
        "checkpoint-signature": checkpoint.signature.hex(),
        "keys": members["keys.json"].decode(),
        "manifest": members["manifest.json"].decode(),
        "manifest-signature": members["manifest.sig"].hex(),
        "charge-document": members["charge.json"].decode(),
        "dispute-document": members["dispute.json"].decode(),
        "first-bytes": archive[:first_line].hex(" "),
        "last-bytes": archive[-22:].hex(" "),
        "archive": f"{len(archive)} bytes, SHA-256 {sha256(archive).hexdigest()}",
    }


def _preimage(event: ChainedEvent) -> list[bytes]:
    topic = event.topic.encode()
    return [
        b"\0",
        event.originator_id.bytes,
        pack(">Q", event.originator_version),
        pack(">q", microseconds_since_epoch(event.recorded_at)),
        event.previous_hash,
        pack(">H", len(topic)),
        topic,
        event.state,
    ]


def _spaced(parts: list[bytes]) -> str:
    assert sha256(b"".join(parts)).digest()
    return "\n".join(part.hex() for part in parts)


def _proof_steps(case: Case) -> list[str]:
    """List every step from the charge's leaf to the root."""
    proof, charge = case.proofs[0], case.subscription[3]
    root = case.checkpoints[0].root
    hashes = [bytes.fromhex(each) for each in proof.hashes]
    assert is_included(charge.hash, proof.leaf_index, proof.tree_size, hashes, root)
    reached, index, last = charge.hash, proof.leaf_index, proof.tree_size - 1
    steps = [f"leaf {proof.leaf_index} of {proof.tree_size}: {reached.hex()}"]
    for each in hashes:
        is_right = bool(index & 1) or index == last
        reached = node_hash(each, reached) if is_right else node_hash(reached, each)
        steps.append(f"with {each.hex()} on its {'left' if is_right else 'right'}: {reached.hex()}")
        while is_right and index and not index & 1:
            index, last = index >> 1, last >> 1
        index, last = index >> 1, last >> 1
    assert reached == root
    return steps
