"""The public form of signed checkpoints."""

from base64 import b64encode
from datetime import datetime

from msgspec import Struct

from services.integrity.sealing.store import StoredCheckpoint
from services.log.cosignature import cosigned_at
from services.log.note import Signature


class CosignatureView(Struct, frozen=True):
    """The line of a witness below a note, its name, and when it says that it saw the tree (seconds since 1970)."""

    name: str
    cosigned_at: int | None
    line: str


class CheckpointView(Struct, frozen=True):
    """A signed note: the number of events that it covers and the root over them, in base64, as the note has them.

    `handover` is true where it hands over to another key.
    """

    size: int
    root: str
    note: str
    signed_at: datetime
    handover: bool
    cosignatures: list[CosignatureView]


def view_of(stored: StoredCheckpoint) -> CheckpointView:
    """Make the public form of a stored checkpoint. Raises BadNote for what is none."""
    return CheckpointView(
        stored.size,
        b64encode(stored.root).decode(),
        str(stored.note),
        stored.signed_at,
        stored.handover,
        [_cosignature(line) for line in stored.cosignatures],
    )


def _cosignature(line: str) -> CosignatureView:
    signature = Signature.parse(line.removesuffix("\n"))
    return CosignatureView(signature.name, cosigned_at(signature.signature), line)
