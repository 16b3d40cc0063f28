"""Keeps a log in memory: leaves, keys of fixed seeds, hand-overs, checkpoints and cosignatures."""

from collections.abc import Iterable, Sequence

from services.evidence.lineage import Lineage
from services.evidence.proving import lineage_from
from services.log.checkpoint import Checkpoint
from services.log.cosignature import cosign
from services.log.growing import MemoryTiles
from services.log.keys import Signer, VerifierKey
from services.log.note import Note, Signature
from services.log.reading import read_consistency_proof, read_root
from services.log.submission import Submission
from tests.unit.log.signers import signer

ORIGIN = "tallystick/7c1de06a4b0f9b5d2e8a3c6f1d4b7e90"
COSIGNED_AT = 1_708_421_400


class MemoryLog:
    """A log whose checkpoints its witnesses cosign."""

    def __init__(self, origin: str = ORIGIN, seed: str = "first", witnesses: Sequence[Signer] = ()) -> None:
        self.origin = origin
        self.tiles = MemoryTiles()
        self.signers = [signer(origin, seed)]
        self.witnesses = witnesses
        self.handovers: list[Note] = []

    @property
    def keys(self) -> list[VerifierKey]:
        """All keys of the log, oldest first."""
        return [each.key for each in self.signers]

    @property
    def size(self) -> int:
        """The number of leaves."""
        return self.tiles.size

    def extend(self, leaves: Iterable[bytes]) -> None:
        """Append leaf hashes."""
        self.tiles.extend(leaves)

    def checkpoint(self, size: int | None = None) -> Checkpoint:
        """State the tree of a size, or as it is."""
        size = self.size if size is None else size
        return Checkpoint(self.origin, size, read_root(self.tiles.read, size))

    def seal(self, size: int | None = None) -> Note:
        """Sign a checkpoint, and let every witness cosign it."""
        return self.cosigned(self.checkpoint(size).signed_by(self.signers[-1]))

    def rotate(self, seed: str) -> Note:
        """Hand over to a new key."""
        new = signer(self.origin, seed)
        note = self.cosigned(self.checkpoint().handing_over_to(new.key).signed_by(self.signers[-1], new))
        self.signers.append(new)
        self.handovers.append(note)
        return note

    def cosigned(self, note: Note) -> Note:
        """Add the cosignature of each witness."""
        return note.with_signatures(
            Signature(each.key.name, each.key.key_id, cosign(note.text, COSIGNED_AT, each)) for each in self.witnesses
        )

    def lineage(self, since: int | None = None) -> Lineage:
        """Make the lineage of the newest checkpoint."""
        return lineage_from(self.tiles.read, self.seal(), self.handovers, since)

    def answer(self, earlier: int, size: int) -> Submission:
        """Answer as `/v1/checkpoints/proof` does."""
        return Submission(earlier, tuple(read_consistency_proof(self.tiles.read, earlier, size)), self.seal(size))
