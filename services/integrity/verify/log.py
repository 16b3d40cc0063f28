"""Checks a log of the ledger: leaves against tiles, the tree against the signed notes and pins."""

from typing import Any

from psycopg import Connection

from services.integrity.findings import BEHIND_EVENTS, NOWHERE, Findings, event_name
from services.integrity.sealing.entries import BadEntry, RefusalEntries
from services.integrity.sealing.store import EVENTS, REFUSALS, LogName, LogStore
from services.integrity.verify.grounds import Ground
from services.integrity.verify.notes import NotesCheck, StoredNote
from services.integrity.verify.pinned import CosignaturesCheck, PinnedCheckpoints
from services.integrity.verify.trust import Trust
from services.log.growing import TileWriter
from services.log.keys import VerifierKey
from services.log.reading import ReadTiles
from services.log.tiles import TILE_WIDTH, Tile
from services.log.tree import HASH_BYTES
from services.postgres.sql import Queries

LEAVES_AT_ONCE = 65_536
LEAVES_NAMED = 10


class LogCheck:
    """Checks one log beside its entries, which are taken in their order."""

    def __init__(
        self, connection: Connection[Any], queries: Queries, findings: Findings, trust: Trust, log: LogName
    ) -> None:
        store = LogStore(queries.schema, log)
        self._connection = connection
        self._queries = queries
        self._findings = findings
        self._log = log
        self._pinned = PinnedCheckpoints(trust, log)
        self._cosignatures = CosignaturesCheck(connection, queries, trust, log)
        self._check = NotesCheck(connection, queries, findings, trust, store)
        self._notes = self._check.notes()
        self._open = next(self._notes, None)
        self._read: ReadTiles = store.tiles(connection)
        self._tiled = self._check.tree.size if self._check.tree else 0
        self._writer = TileWriter(lambda _: {}, 0)
        self._leaves: list[bytes] = []
        self._taken = 0
        self._different: list[tuple[int, Tile]] = []
        self._good_size = 0
        self._bad_size: int | None = None
        self.covered = 0
        self._next_size = self._size_to_stop_at()

    @property
    def count(self) -> int:
        """The notes of the present log."""
        return self._check.count

    @property
    def keys(self) -> tuple[VerifierKey, ...]:
        """The keys of the present log, oldest first."""
        return self._check.succession.keys if self._check.succession else ()

    def take(self, leaf: bytes) -> None:
        """Take the next leaf hash."""
        self._leaves.append(leaf)
        self._taken += 1
        if self._taken == self._next_size or len(self._leaves) == LEAVES_AT_ONCE:
            self._flush()
            self._next_size = self._size_to_stop_at()

    def _size_to_stop_at(self) -> int | None:
        """The next size at which the tree is compared with a note, the tiles, or what is pinned."""
        sizes = (self._open.size if self._open else self._tiled, self._pinned.next_size)
        return min((size for size in sizes if size is not None and size > self._taken), default=None)

    def end(self) -> list[Ground]:
        """Check what is left when there are no more leaves. Returns what the log contributes."""
        self._flush()
        while self._open is not None:
            reason = f"covers {self._open.size} {self._log}, and there are {self._taken}"
            self._check.find(reason, self._open.number, self._taken + 1)
            self._open = next(self._notes, None)
        if self._tiled < self.covered:
            self._check.find(f"its tiles have {self._tiled} hashes, and a checkpoint covers {self.covered}")
        if self._taken < self._tiled:
            self._check.find(f"its tiles have {self._tiled} hashes, and there are {self._taken} {self._log}")
        self._check.end()
        for index, tile in self._different:
            self._name_difference(index, tile)
        pinned = self._pinned.end(self._check, self._taken)
        cosigned = self._cosignatures.run(self._check)
        return [*self._check.grounds(self.covered, self._taken), cosigned, pinned]

    def _flush(self) -> None:
        """Let the tree grow by the leaves that were taken, and compare it with the notes of its size."""
        fits = max(0, min(len(self._leaves), self._tiled - self._writer.size))
        self._writer.extend(self._leaves[:fits])
        beyond = self._leaves[fits:]
        if beyond and self._writer.size == self._tiled:
            self._compare_tiles()
        self._writer.extend(beyond)
        self._leaves.clear()
        if self._writer.size <= self._tiled:
            self._compare_tiles(only_full=self._writer.size < self._tiled)
        else:
            self._writer.changed.clear()
        self._pinned.compare(self._writer)
        while self._open is not None and self._writer.size >= self._open.size:
            self._close(self._open)
            self._open = next(self._notes, None)

    def _close(self, note: StoredNote) -> None:
        if note.size != self._writer.size:  # a smaller one than before it, which was named
            return
        self.covered = note.size
        if self._writer.root() == note.root:
            self._good_size = note.size if self._bad_size is None else self._good_size
            return
        self._bad_size = min(self._bad_size or note.size, note.size)
        self._check.find(
            f"its root is not that of the first {note.size} {self._log}", note.number, BEHIND_EVENTS + note.size
        )

    def _compare_tiles(self, *, only_full: bool = False) -> None:
        """Compare the tiles that the leaves make with those that are stored."""
        made = {
            Tile(level, index, len(content) // HASH_BYTES): content
            for (level, index), content in self._writer.changed.items()
            if len(content) == TILE_WIDTH * HASH_BYTES or not only_full
        }
        self._writer.changed.clear()
        stored = self._read(list(made)) if made else {}
        for tile, content in made.items():
            kept = stored.get(tile, b"")
            if kept != content and len(self._different) < LEAVES_NAMED:
                self._different.append((_first_difference(kept, content), tile))

    def _name_difference(self, place: int, tile: Tile) -> None:
        """Say whether a tile is wrong or an entry: an entry, where the first note over it is not of this tree.

        Above level 0, a hash differs as soon as a leaf below it does; it is named where no leaf explains it.
        """
        position = (tile.index * TILE_WIDTH + place << 8 * tile.level) + 1
        is_entry = self._bad_size is not None and self._good_size < position <= self._bad_size
        if tile.level == 0 and is_entry:
            subject = self._event_name(position) if self._log == EVENTS else f"refusal {position}"
            reason = f"is not what the log has in its place, which checkpoints of size {self._bad_size} on cover"
            self._findings.add(position if self._log == EVENTS else NOWHERE, subject, reason)
        elif self._bad_size is None:
            self._check.find(f"its tile {tile.path} is not that of the {self._log}", position=position)

    def _event_name(self, position: int) -> str:
        with self._connection.cursor(binary=True) as cursor:
            row = cursor.execute(self._queries["event_at"], {"position": position}).fetchone()
        return event_name(row) if row else f"event {position}"


def check_refusals(connection: Connection[Any], queries: Queries, findings: Findings, trust: Trust) -> list[Ground]:
    """Check the log of refusals, as far as they are numbered. Returns what it contributes."""
    check = LogCheck(connection, queries, findings, trust, REFUSALS)
    entries = RefusalEntries(queries.schema)
    count = entries.numbered(connection)
    after = 0
    try:
        while after < count:
            to = min(count, after + LEAVES_AT_ONCE)
            for leaf in entries.leaves(connection, after, to):
                check.take(leaf)
            after = to
    except BadEntry as error:
        findings.add(NOWHERE, "the log of refusals", str(error))
    return check.end()


def _first_difference(stored: bytes, made: bytes) -> int:
    """The number of the first hash that differs."""
    pairs = range(0, len(made), HASH_BYTES)
    return next((at // HASH_BYTES for at in pairs if stored[at : at + HASH_BYTES] != made[at : at + HASH_BYTES]), 0)
