"""Checks a log of the ledger: leaves against tiles, the tree against the signed notes, these against the seals."""

from collections.abc import Iterator
from typing import Any

from msgspec import Struct
from psycopg import Connection

from services.integrity.findings import BEHIND_EVENTS, Findings, event_name
from services.integrity.sealing.entries import BadEntry, RefusalEntries
from services.integrity.sealing.seals import Seals, key_of, origin_of
from services.integrity.sealing.store import EVENTS, LOGS, REFUSALS, LogName, LogStore
from services.integrity.verify.stored_columns import scan
from services.log.checkpoint import BadCheckpoint, Checkpoint
from services.log.growing import TileWriter
from services.log.keys import BadKey, VerifierKey
from services.log.note import BadNote, Note, UnverifiedNote
from services.log.reading import ReadTiles
from services.log.succession import BrokenSuccession, Succession
from services.log.tiles import TILE_WIDTH, Tile
from services.log.tree import HASH_BYTES
from services.postgres.sql import Queries

LEAVES_AT_ONCE = 65_536
LEAVES_NAMED = 10
NOWHERE = BEHIND_EVENTS - 1
"""The position of findings that belong to no event: behind all that do."""


class SealsOfLog(Struct, frozen=True):
    """The seals of one log, oldest first, and how many of them the database is known to have had."""

    notes: tuple[str, ...]
    published: int


class Trust(Struct, frozen=True):
    """What is known of the log from outside the database: the key that signs, its first key, and the seals.

    None and empty where nothing is kept here.
    """

    public_key: bytes | None = None
    first_vkey: str | None = None
    seals: dict[LogName, SealsOfLog] = {}

    @property
    def first_key(self) -> VerifierKey | None:
        """The first key of the log of events, as the seals have it."""
        return None if self.first_vkey is None else VerifierKey.parse(self.first_vkey)


def trust_in(public_key: bytes | None, seals: Seals) -> Trust:
    """What a key and a folder of seals tell. Raises SealerRefused for seals that do not hold in themselves, OSError."""
    life = seals.life()
    if life is None:
        return Trust(public_key)
    published = life.published()
    for log in LOGS:
        life.files[log].read()  # which checks every signature
    kept = {
        log: SealsOfLog(tuple(str(note) for note in life.files[log].notes()), published.get(log, 0)) for log in LOGS
    }
    return Trust(public_key, str(life.first_key), kept)


class StoredNote(Struct, frozen=True):
    """A note of the database, with the size and the root that it was signed over."""

    number: int
    size: int
    root: bytes


class NotesCheck:
    """Checks the stored notes one by one: each is what was sealed, and signed by a key to which the first one leads."""

    def __init__(
        self, connection: Connection[Any], queries: Queries, findings: Findings, trust: Trust, store: LogStore
    ) -> None:
        self._connection = connection
        self._queries = queries
        self._findings = findings
        self._trust = trust
        self._store = store
        self._seals = trust.seals.get(store.log, SealsOfLog((), 0))
        self._sealed = 0
        self._newest: Checkpoint | None = None
        self.tree = store.tree(connection)
        self.count = 0
        self.succession: Succession | None = None
        if self.tree is not None:
            try:
                keys = store.keys(connection, self.tree.origin)
            except BadKey as error:
                self.find(f"a key that is none: {error}")
            else:
                self.succession = Succession.of(keys[0]) if keys else None

    def find(self, reason: str, number: int | None = None, position: int = NOWHERE) -> None:
        """Add a finding about the log, or about a note of it."""
        subject = f"the log of {self._store.log}" if number is None else f"checkpoint {number} of {self._store.log}"
        self._findings.add(position, subject, reason)

    def notes(self) -> Iterator[StoredNote]:
        """Yield the notes of the present log, oldest first; findings about them are added on the way."""
        rows = scan(
            self._connection,
            self._queries["scan_checkpoints"],
            f"checkpoints_of_{self._store.log}",
            {"log": self._store.log},
        )
        for last, (number, origin, size, root, text) in enumerate(rows):
            if number != last + 1:
                self.find(f"is not there, or has another number: {number} comes after {last}", last + 1)
            if self.tree is None or origin != self.tree.origin:
                continue  # of a log that was begun before this one
            self.count += 1
            self._check(number, Checkpoint(origin, size, root), text)
            yield StoredNote(number, size, root)

    def end(self) -> None:
        """Check what must be there, when all notes were read."""
        if self.tree is None and self._trust.first_vkey is not None:
            self.find("it is not there, though seals of it are here")
        self._check_seals_are_there()
        if self._trust.public_key is None or self.succession is None:
            return
        if self.succession.current.public_key != self._trust.public_key:
            self.find(f"its key is {self.succession.current}, and the key that is kept here is another one")
        expected = self._trust.first_key
        if expected is not None and self.tree is not None:
            origin = origin_of(expected.name, self._store.log)
            if origin != self.tree.origin:
                self.find(f"its origin is {self.tree.origin}, and the seals here are of {origin}")
            elif key_of(expected, self._store.log) not in self.succession.keys:
                self.find("the first key of the seals is none of its keys")

    def _check(self, number: int, columns: Checkpoint, text: str) -> None:
        try:
            note = Note.parse(text)
            checkpoint = Checkpoint.parse(note.text)
            if (checkpoint.origin, checkpoint.size, checkpoint.root) != (columns.origin, columns.size, columns.root):
                self.find("its columns are not what its note says", number)
            before = self._newest
            if before is not None and checkpoint.size < before.size:
                self.find(f"its size is {checkpoint.size}, after one of size {before.size}", number)
            self._newest = checkpoint
            if self.succession is not None:
                self.succession.open(note)
                if checkpoint.next_key is not None:
                    self.succession = self.succession.hand_over(note)
            else:
                self.find("there is no key of its log", number)
        except (BadNote, BadCheckpoint) as error:
            self.find(f"is no signed checkpoint: {error}", number)
        except (UnverifiedNote, BrokenSuccession) as error:
            self.find(str(error), number)
        self._check_seal(number, text)

    def _check_seal(self, number: int, text: str) -> None:
        """Once the first seal is met, each further note is the next one, as long as there are seals."""
        notes = self._seals.notes
        if self._sealed < len(notes):
            if text == notes[self._sealed]:
                self._sealed += 1
            elif self._sealed:
                self.find("is another one than was sealed here", number)

    def _check_seals_are_there(self) -> None:
        notes, published = self._seals.notes, self._seals.published
        may_lack = len(notes) - 1 if len(notes) > published else len(notes)
        if self._sealed < may_lack:
            size = Checkpoint.parse(Note.parse(notes[self._sealed]).text).size
            self.find(f"a checkpoint of size {size} was sealed here, and it is not there")


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
        if self._taken == (self._open.size if self._open else self._tiled) or len(self._leaves) == LEAVES_AT_ONCE:
            self._flush()

    def end(self) -> None:
        """Check what is left when there are no more leaves."""
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


def check_refusals(connection: Connection[Any], queries: Queries, findings: Findings, trust: Trust) -> None:
    """Check the log of refusals, as far as they are numbered."""
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
    check.end()


def _first_difference(stored: bytes, made: bytes) -> int:
    """The number of the first hash that differs."""
    pairs = range(0, len(made), HASH_BYTES)
    return next((at // HASH_BYTES for at in pairs if stored[at : at + HASH_BYTES] != made[at : at + HASH_BYTES]), 0)
