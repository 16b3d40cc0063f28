"""Makes checkpoints with a key and a receipt that lie outside the database.

The receipt is the newest checkpoint, as a file. Whoever can write the database can put an older state of it back, with
the checkpoints of that time; the receipt shows that there were more.
"""

from collections.abc import Callable
from contextlib import suppress
from datetime import datetime
from pathlib import Path
from typing import Any

import msgspec
from msgspec import Struct
from psycopg import Connection

from services.integrity.checkpoints import Checkpoint, Checkpoints
from services.integrity.signing import SigningKey
from services.process.files import write_private_file


class LedgerIsOlder(RuntimeError):
    """The ledger in the database is older than the newest checkpoint that was made here."""


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


class KeyFile:
    """The file of the key that signs. A new key lies beside it until a checkpoint names it."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self._next_path = path.with_name(path.name + ".next")

    def read(self) -> SigningKey | None:
        """The key; None where the file does not exist yet. Raises NoSigningKey, OSError."""
        return SigningKey.read(self.path) if self.path.exists() else None

    def key_for(self, key_id: str | None) -> SigningKey:
        """The key of an id, if it is here, else the one that is, which is made at first use.

        Raises NoSigningKey, OSError.
        """
        key = self.read() or self._make()
        if key_id in (None, key.key_id) or not self._next_path.exists():
            return key
        staged = SigningKey.read(self._next_path)
        if staged.key_id == key_id:  # the last hand-over was cut short after its commit
            self.adopt()
            return staged
        return key

    def stage(self) -> SigningKey:
        """Make a new key beside the one that signs, for a hand-over, and return it. Raises OSError."""
        self._next_path.unlink(missing_ok=True)
        SigningKey.generate().write(self._next_path)
        return SigningKey.read(self._next_path)

    def adopt(self) -> None:
        """Replace the key that signed by the staged one. The old key is deleted."""
        self._next_path.replace(self.path)

    def _make(self) -> SigningKey:
        with suppress(FileExistsError):  # another process was first
            SigningKey.generate().write(self.path)
        return SigningKey.read(self.path)


class Sealer:
    """Makes the checkpoints of one schema. Connections are in autocommit mode."""

    def __init__(self, schema: str, key_file: KeyFile, receipts: Receipts, clock: Callable[[], datetime]) -> None:
        self._checkpoints = Checkpoints(schema)
        self._key_file = key_file
        self._receipts = receipts
        self._clock = clock

    def seal(self, connection: Connection[Any]) -> list[Checkpoint]:
        """Cover all events with checkpoints, and return the new ones, oldest first.

        Raises OtherKey, LedgerIsOlder, NoSigningKey, OSError.
        """
        key = self.key(connection)
        checkpoints = []
        while (checkpoint := self._checkpoints.make(connection, key, self._clock)) is not None:
            self._receipts.put(checkpoint)
            checkpoints.append(checkpoint)
        return checkpoints

    def rotate(self, connection: Connection[Any]) -> list[Checkpoint]:
        """Let a new key sign from now on; the old one vouches for it and is deleted. Raises as `seal` does."""
        checkpoints = self.seal(connection)
        hand_over = self._checkpoints.hand_over(connection, self.key(connection), self._key_file.stage(), self._clock)
        if hand_over:
            self._key_file.adopt()
            self._receipts.put(hand_over[-1])
        return checkpoints + hand_over

    def replace_lost_key(self, connection: Connection[Any]) -> list[Checkpoint]:
        """Go on with the key that is here, which the last checkpoint does not name. Raises as `seal` does."""
        self._refuse_older(connection)
        checkpoint = self._checkpoints.replace_lost_key(connection, self._key_file.key_for(None), self._clock)
        if checkpoint is None:
            return []
        self._receipts.put(checkpoint)
        return [checkpoint, *self.seal(connection)]

    def key(self, connection: Connection[Any]) -> SigningKey:
        """The key that signs the next checkpoint. Raises as `seal` does."""
        latest = self._refuse_older(connection)
        key = self._key_file.key_for(latest.next_key_id if latest else None)
        if latest is not None:
            latest.require_next(key)
        return key

    def _refuse_older(self, connection: Connection[Any]) -> Checkpoint | None:
        latest = self._checkpoints.latest(connection)
        receipt = self._receipts.get(latest.ledger) if latest else None
        if latest is None or receipt is None:
            return latest
        if latest.number < receipt.number:  # another process may have sealed between the two reads
            latest = self._checkpoints.latest(connection) or latest
        if latest.number < receipt.number:
            path = self._receipts.path(latest.ledger)
            raise LedgerIsOlder(
                f"the ledger's newest checkpoint is {latest.number}, but {receipt.number} were made here. If it was "
                f"restored from a back-up, remove {path} to go on from there"
            )
        return latest
