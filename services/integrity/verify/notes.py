"""Checks the signed notes of a log against its keys, and against the seals."""

from collections.abc import Iterable, Iterator, Sequence
from typing import Any

from msgspec import Struct
from psycopg import Connection

from services.integrity.findings import NOWHERE, Findings
from services.integrity.sealing.seals import key_of, origin_of
from services.integrity.sealing.store import EVENTS, REFUSALS, LogName, LogStore
from services.integrity.verify.grounds import Ground, checked, not_available
from services.integrity.verify.stored_columns import scan
from services.integrity.verify.trust import SealsOfLog, Trust
from services.log.checkpoint import BadCheckpoint, Checkpoint
from services.log.keys import BadKey, KeyKind, VerifierKey
from services.log.note import BadNote, Note, UnverifiedNote
from services.log.succession import BrokenSuccession, Succession
from services.postgres.sql import Queries

_REFUSALS_END = origin_of("", REFUSALS)


def log_of(origin: str) -> LogName:
    """The log of a ledger that an origin names."""
    return REFUSALS if origin.endswith(_REFUSALS_END) else EVENTS


def pinned_log_keys(vkeys: Iterable[str], log: LogName) -> list[VerifierKey]:
    """The keys among those pinned that are of a log of this name, not of a witness."""
    keys = map(VerifierKey.parse, vkeys)
    return [key for key in keys if key.kind is KeyKind.ED25519 and log_of(key.name) == log]


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
        self.pinned_keys = pinned_log_keys(trust.pinned_keys, store.log)

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
        for last, (number, origin, size, root, is_handover, text) in enumerate(rows):
            if number != last + 1:
                self.find(f"is not there, or has another number: {number} comes after {last}", last + 1)
            if self.tree is None or origin != self.tree.origin:
                continue  # of a log that was begun before this one
            self.count += 1
            self._check(number, Checkpoint(origin, size, root), text, is_handover=is_handover)
            yield StoredNote(number, size, root)

    def end(self) -> None:
        """Check what must be there, when all notes were read."""
        if self.tree is None and self._trust.first_vkey is not None:
            self.find("it is not there, though seals of it are here")
        self._check_seals_are_there()
        for key in self.pinned_keys:
            if self.succession is None or key not in self.succession.keys:
                self.find(f"the pinned key {key} is none of its keys")
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

    def grounds(self, covered: int, taken: int) -> list[Ground]:
        """What the log itself, the key and the seals contribute."""
        log = self._store.log
        if self.tree is None:
            there = not_available(f"log of {log}", "none was begun yet")
        else:
            many = "checkpoint covers" if self.count == 1 else "checkpoints cover"
            there = checked(f"log of {log}", f"{self.count:,} {many} {covered:,} of {taken:,}")
        seals = self._seals.notes
        kept = (
            checked(f"seals of {log}", f"{len(seals):,}{_set_aside(self._seals.set_aside)}")
            if seals
            else not_available(f"seals of {log}", "none are kept here")
        )
        return [there, kept]

    def _check(self, number: int, columns: Checkpoint, text: str, *, is_handover: bool) -> None:
        try:
            note = Note.parse(text)
            checkpoint = Checkpoint.parse(note.text)
            said = (checkpoint.origin, checkpoint.size, checkpoint.root, checkpoint.next_key is not None)
            if said != (columns.origin, columns.size, columns.root, is_handover):
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


def _set_aside(sizes: Sequence[int]) -> str:
    many = "a later one" if len(sizes) == 1 else f"{len(sizes):,} later ones"
    return f"; {many}, over up to {max(sizes):,}, set aside by a restore" if sizes else ""
