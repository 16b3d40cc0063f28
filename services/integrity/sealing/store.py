"""The log as the database has it: the tree in tiles, the notes that were signed, cosignatures, keys."""

from collections.abc import Mapping, Sequence
from datetime import datetime
from typing import Any, Literal

from msgspec import Struct
from psycopg import Connection

from services.log.checkpoint import Checkpoint
from services.log.keys import VerifierKey
from services.log.note import Note, Signature
from services.log.reading import ReadTiles
from services.log.succession import Succession
from services.log.tiles import Tile
from services.log.tree import HASH_BYTES
from services.postgres.sql import Queries, load_queries

LogName = Literal["events", "refusals"]
EVENTS: LogName = "events"
REFUSALS: LogName = "refusals"
LOGS: tuple[LogName, ...] = (EVENTS, REFUSALS)
MAX_NUMBER = 2**63 - 1


class StoredTree(Struct, frozen=True):
    """The origin of a log, and the number of leaves whose hashes are in tiles."""

    origin: str
    size: int


class StoredCheckpoint(Struct, frozen=True):
    """A note as it was signed, what it says, and the lines of witnesses that it has so far."""

    number: int
    origin: str
    size: int
    root: bytes
    signed_at: datetime
    handover: bool
    signed_note: str
    cosignatures: list[str] = []

    @property
    def note(self) -> Note:
        """The note with its cosignatures. Raises BadNote where the database has something else in its place."""
        lines = [Signature.parse(line.removesuffix("\n")) for line in self.cosignatures]
        return Note.parse(self.signed_note).with_signatures(lines)


class LogStore:
    """Reads and writes one log of one schema."""

    def __init__(self, schema: str, log: LogName = EVENTS) -> None:
        self.log = log
        self._queries: Queries = load_queries(__file__, "log.sql", schema=schema)

    def tree(self, connection: Connection[Any], *, lock: bool = False) -> StoredTree | None:
        """The tree; None where there is none yet. With `lock`, nobody else grows it until the transaction ends."""
        row = connection.execute(self._queries["lock_tree" if lock else "select_tree"], {"log": self.log}).fetchone()
        return None if row is None else StoredTree(*row)

    def begin(self, connection: Connection[Any], origin: str) -> None:
        """Begin the tree of an origin without a leaf; tiles of another one are made anew."""
        with connection.transaction():
            connection.execute(self._queries["put_tree"], {"log": self.log, "origin": origin})
            connection.execute(self._queries["clear_tiles"], {"log": self.log})

    def tiles(self, connection: Connection[Any]) -> ReadTiles:
        """A reader of the tiles. What is missing or too short is left out."""

        def read(tiles: Sequence[Tile]) -> Mapping[Tile, bytes]:
            places = {"levels": [each.level for each in tiles], "tiles": [each.index for each in tiles]}
            rows = connection.execute(self._queries["select_tiles"], {"log": self.log, **places}).fetchall()
            found = {(level, index): hashes for level, index, hashes in rows}
            contents = {each: found.get((each.level, each.index), b"")[: each.width * HASH_BYTES] for each in tiles}
            return {each: hashes for each, hashes in contents.items() if len(hashes) == each.width * HASH_BYTES}

        return read

    def put_tiles(self, connection: Connection[Any], changed: Mapping[tuple[int, int], bytes], size: int) -> None:
        """Write tiles that are new or wider than before, and the size of the tree, in the caller's transaction."""
        arguments = {
            "log": self.log,
            "levels": [level for level, _ in changed],
            "tiles": [index for _, index in changed],
            "hashes": list(changed.values()),
        }
        connection.execute(self._queries["put_tiles"], arguments)
        connection.execute(self._queries["set_size"], {"log": self.log, "size": size})

    def latest(self, connection: Connection[Any]) -> StoredCheckpoint | None:
        """The newest note; None where there is none yet."""
        return self._one(connection, "latest_checkpoint")

    def covering(self, connection: Connection[Any], origin: str, size: int) -> StoredCheckpoint | None:
        """The first note of an origin over at least so many leaves; None where there is none yet."""
        return self._one(connection, "covering_checkpoint", origin=origin, size=size)

    def of_size(self, connection: Connection[Any], origin: str, size: int) -> StoredCheckpoint | None:
        """The newest note of an origin over just so many leaves; None where there is none."""
        return self._one(connection, "checkpoint_of_size", origin=origin, size=size)

    def newest_first(
        self, connection: Connection[Any], *, before: int = MAX_NUMBER, limit: int
    ) -> list[StoredCheckpoint]:
        """Notes below a number, newest first."""
        return self._all(connection, "list_checkpoints", before=before, limit=limit)

    def hand_overs(self, connection: Connection[Any], origin: str) -> list[StoredCheckpoint]:
        """The notes of an origin that hand over to another key, oldest first."""
        return self._all(connection, "list_hand_overs", origin=origin)

    def uncosigned(self, connection: Connection[Any], origin: str, witness: VerifierKey) -> list[StoredCheckpoint]:
        """What a witness is to cosign next, oldest first: hand-overs that it has not seen, and the newest note."""
        return self._all(connection, "list_uncosigned", origin=origin, witness=str(witness))

    def last_cosigned_size(self, connection: Connection[Any], origin: str, witness: VerifierKey) -> int:
        """The size of the newest note that a witness has cosigned; 0 where there is none."""
        arguments = {"log": self.log, "origin": origin, "witness": str(witness)}
        row = connection.execute(self._queries["last_cosigned_size"], arguments).fetchone()
        return int(row[0]) if row else 0

    def insert(self, connection: Connection[Any], note: Note, signed_at: datetime) -> int:
        """Store a note that was signed, and return its number."""
        checkpoint = Checkpoint.parse(note.text)
        arguments = {
            "log": self.log,
            "origin": checkpoint.origin,
            "size": checkpoint.size,
            "root": checkpoint.root,
            "signed_at": signed_at,
            "handover": checkpoint.next_key is not None,
            "note": str(note),
        }
        row = connection.execute(self._queries["insert_checkpoint"], arguments).fetchone()
        assert row is not None, "an insert returns its row"
        return int(row[0])

    def add_cosignature(
        self, connection: Connection[Any], number: int, key: VerifierKey, cosigned_at: datetime, line: str
    ) -> None:
        """Store the line of a witness below a note; a second one of the same witness changes nothing."""
        arguments = {"log": self.log, "number": number, "witness": str(key), "cosigned_at": cosigned_at, "line": line}
        connection.execute(self._queries["insert_cosignature"], arguments)

    def keys(self, connection: Connection[Any], origin: str) -> list[VerifierKey]:
        """The keys of an origin, oldest first, as the database has them."""
        rows = connection.execute(self._queries["list_keys"], {"log": self.log, "origin": origin})
        return [VerifierKey.parse(vkey) for (vkey,) in rows]

    def put_keys(self, connection: Connection[Any], succession: Succession) -> None:
        """Store the keys of a log that are not there yet."""
        vkeys = [str(key) for key in succession.keys]
        arguments = {"log": self.log, "origin": succession.origin, "vkeys": vkeys}
        connection.execute(self._queries["insert_keys"], arguments)

    def _one(self, connection: Connection[Any], query: str, **arguments: Any) -> StoredCheckpoint | None:
        return next(iter(self._all(connection, query, **arguments)), None)

    def _all(self, connection: Connection[Any], query: str, **arguments: Any) -> list[StoredCheckpoint]:
        rows = connection.execute(self._queries[query], {"log": self.log, **arguments}).fetchall()
        return [StoredCheckpoint(*row) for row in rows]


class SealingStates:
    """What the sealer and the one who asks witnesses say of themselves, for other processes."""

    def __init__(self, schema: str) -> None:
        self._queries = load_queries(__file__, "log.sql", schema=schema)

    def set_refused(self, connection: Connection[Any], refused: str | None) -> None:
        """Say why the sealer refuses, or by None that it does not."""
        connection.execute(self._queries["set_refused"], {"refused": refused})

    def set_witnessed_size(self, connection: Connection[Any], size: int | None) -> None:
        """Say of how large a tree a quorum of witnesses has cosigned a note."""
        connection.execute(self._queries["set_witnessed_size"], {"size": size})
