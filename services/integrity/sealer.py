"""Makes checkpoints with a key and a receipt that lie outside the database."""

from collections.abc import Callable
from datetime import datetime
from typing import Any

from psycopg import Connection

from services.integrity.checkpoints import Checkpoint, Checkpoints
from services.integrity.receipts import Receipts
from services.integrity.signing import KeyFile, SigningKey


class LedgerIsOlder(RuntimeError):
    """The ledger in the database is older than the newest checkpoint that was made here."""


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
