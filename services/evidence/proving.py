"""Makes proofs out of the tiles of a log, for receipts and evidence."""

from collections.abc import Sequence

from msgspec.structs import replace

from services.evidence.lineage import Consistency, Lineage
from services.evidence.receipt import Receipt
from services.evidence.refusals import ProvenRefusals, read_refusal
from services.ledger.records import ChainedEvent
from services.log.checkpoint import Checkpoint
from services.log.note import Note
from services.log.reading import ReadTiles, read_consistency_proof, read_inclusion_proof


class BeyondCheckpoint(ValueError):
    """The tree of the checkpoint has not so many leaves."""


def lineage_from(read: ReadTiles, note: Note, handovers: Sequence[Note], since: int | None = None) -> Lineage:
    """Make the lineage of a checkpoint, with the proof that its tree begins with that of size `since`.

    The hand-overs are taken without their cosignatures. Raises BeyondCheckpoint, MissingTiles.
    """
    checkpoint = Checkpoint.parse(note.text)
    by_keys = [_signed_by_log(each, checkpoint.origin) for each in handovers]
    if since is None:
        return Lineage(note, by_keys, ())
    if since > checkpoint.size:
        raise BeyondCheckpoint(f"the newest checkpoint is of size {checkpoint.size}")
    hashes = read_consistency_proof(read, since, checkpoint.size)
    return Lineage(note, by_keys, (Consistency(since, checkpoint.size, hashes),))


def receipt_from(read: ReadTiles, event: ChainedEvent, lineage: Lineage) -> Receipt:
    """Make the receipt of a stored event. Raises BeyondCheckpoint, MissingTiles."""
    return Receipt(event, index_of(event), prove_inclusion(read, event, lineage), lineage)


def prove_inclusion(read: ReadTiles, event: ChainedEvent, lineage: Lineage) -> list[bytes]:
    """Prove that a stored event is in the tree of the checkpoint. Raises BeyondCheckpoint, MissingTiles."""
    size = lineage.checkpoint.size
    if index_of(event) >= size:
        raise BeyondCheckpoint(f"the newest checkpoint is of size {size}")
    return read_inclusion_proof(read, index_of(event), size)


def _signed_by_log(note: Note, origin: str) -> Note:
    return replace(note, signatures=tuple(each for each in note.signatures if each.name == origin))


def prove_refusals(read: ReadTiles, entries: Sequence[bytes], lineage: Lineage) -> ProvenRefusals:
    """Prove that refusals are in their log, by the numbers that they have. Raises BeyondCheckpoint, MissingTiles."""
    size, numbers = lineage.checkpoint.size, [read_refusal(entry).number for entry in entries]
    if max(numbers, default=0) > size:
        raise BeyondCheckpoint(f"the newest checkpoint of the refusals is of size {size}")
    proofs = [read_inclusion_proof(read, number - 1, size) for number in numbers]
    note = _signed_by_log(lineage.note, lineage.checkpoint.origin)
    return ProvenRefusals(entries, proofs, replace(lineage, note=note))


def index_of(event: ChainedEvent) -> int:
    """Return the place of a stored event's leaf in the log, from 0."""
    assert event.position is not None, "a stored event has a position"
    return event.position - 1
