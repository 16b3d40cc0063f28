"""Reads and writes the receipts of checkpoints, files outside the database.

A receipt is the newest checkpoint of a ledger. Whoever can write the database can restore an older state of it, with
the checkpoints of that time; the receipt shows that there were more.
"""

from pathlib import Path

import msgspec
from msgspec import Struct

from services.integrity.checkpoints import Checkpoint
from services.process.files import write_private_file


class Receipt(Struct, frozen=True):
    """The newest checkpoint of a ledger; hashes in hexadecimal."""

    ledger: str
    number: int
    hash: str


class Receipts:
    """The receipts in a folder, one file for each ledger. Raises OSError."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder

    def get(self, ledger: bytes) -> Receipt | None:
        """The receipt of a ledger; None where no checkpoint of it was made here."""
        try:
            return msgspec.json.decode(self.path(ledger).read_bytes(), type=Receipt)
        except FileNotFoundError:
            return None

    def all(self) -> dict[bytes, tuple[int, str]]:
        """The number and the hash of the newest checkpoint that was made here, by ledger."""
        receipts = [msgspec.json.decode(path.read_bytes(), type=Receipt) for path in self._folder.glob("*.json")]
        return {bytes.fromhex(each.ledger): (each.number, each.hash) for each in receipts}

    def put(self, checkpoint: Checkpoint) -> None:
        """Write the receipt of a checkpoint, whole or not at all, unless there is one of a newer checkpoint."""
        receipt = Receipt(checkpoint.ledger.hex(), checkpoint.number, checkpoint.hash.hex())
        before = self.get(checkpoint.ledger)
        if before is not None and before.number > receipt.number:  # another process was faster
            return
        write_private_file(self.path(checkpoint.ledger), msgspec.json.encode(receipt) + b"\n", may_replace=True)

    def path(self, ledger: bytes) -> Path:
        """The file of a ledger's receipt."""
        return self._folder / f"{ledger.hex()[:16]}.json"
