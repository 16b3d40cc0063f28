"""Reads a log for those who follow it: the newest note, the keys, tiles, proofs."""

from typing import Any

from msgspec import Struct
from psycopg import Connection

from services.integrity.sealing.refusing import SealerRefused
from services.integrity.sealing.seals import Seals
from services.integrity.sealing.store import LogName, LogStore, StoredCheckpoint
from services.log.checkpoint import Checkpoint
from services.log.note import BadNote, Note
from services.log.reading import read_consistency_proof
from services.log.submission import Submission
from services.log.tiles import Tile


class Published(Struct, frozen=True):
    """The newest note of a log, with the cosignatures that it has so far, and what it says."""

    note: Note
    checkpoint: Checkpoint


class LogReader:
    """Reads one log of one schema."""

    def __init__(self, schema: str, log: LogName, seals: Seals) -> None:
        self.store = LogStore(schema, log)
        self._log: LogName = log
        self._seals = seals

    def newest(self, connection: Connection[Any]) -> Published | None:
        """The newest note; None where there is none yet.

        Where seals are kept here, the newest of them is shown, or a note of the database that their key has signed
        after it, as where another machine seals now; no other one.

        Raises BadNote where the database has something else in a note's place.
        """
        stored = self.store.latest(connection)
        sealed = self._sealed()
        is_known = sealed is None or (stored is not None and stored.signed_note == str(sealed))
        if sealed is not None and not is_known and not (stored and self._is_signed_later(stored, sealed)):
            return Published(sealed, Checkpoint.parse(sealed.text))
        return None if stored is None else Published(stored.note, Checkpoint.parse(stored.note.text))

    def keys(self, connection: Connection[Any]) -> list[str]:
        """The verifier keys of the log, oldest first; empty where there is none yet."""
        tree = self.store.tree(connection)
        return [str(key) for key in self.store.keys(connection, tree.origin)] if tree else []

    def tile(self, connection: Connection[Any], tile: Tile) -> bytes | None:
        """The hashes of a tile; None where it is none of the newest note's tree."""
        newest = self.newest(connection)
        if newest is None or not tile.is_in(newest.checkpoint.size):
            return None
        return self.store.tiles(connection)([tile]).get(tile)

    def submission(self, connection: Connection[Any], old_size: int, size: int | None) -> Submission | None:
        """The note of a size, or the newest, with the proof from an older size; None where no note has that size.

        Raises MissingTiles; IndexError for an old size above the size.
        """
        newest = self.newest(connection)
        if newest is None:
            return None
        note, checkpoint = newest.note, newest.checkpoint
        if size is not None and size != checkpoint.size:
            stored = self.store.of_size(connection, checkpoint.origin, size)
            if stored is None:
                return None
            note, checkpoint = stored.note, Checkpoint.parse(stored.signed_note.partition("\n\n")[0] + "\n")
        proof = read_consistency_proof(self.store.tiles(connection), old_size, checkpoint.size)
        return Submission(old_size, tuple(proof), note)

    def _is_signed_later(self, stored: StoredCheckpoint, sealed: Note) -> bool:
        newest = Checkpoint.parse(sealed.text)
        if stored.origin != newest.origin or stored.size <= newest.size:
            return False
        try:
            life = self._seals.life()
            note = Note.parse(stored.signed_note)
            return life is not None and note.is_signed_by(life.files[self._log].read().succession.current)
        except (SealerRefused, BadNote, OSError):
            return False

    def _sealed(self) -> Note | None:
        try:
            life = self._seals.life()
            return life.files[self._log].peek() if life else None
        except (SealerRefused, BadNote, OSError):  # which the sealer says
            return None
