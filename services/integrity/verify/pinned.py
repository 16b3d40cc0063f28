"""Checks what somebody wrote down outside: checkpoints and keys of the log, and keys of witnesses.

A check has every leaf, so it needs no proof of consistency: it computes the root of the size that was written down.
"""

from collections.abc import Collection
from typing import Any

from psycopg import Connection

from services.integrity.sealing.store import EVENTS, LogName
from services.integrity.verify.grounds import Ground, checked, not_available
from services.integrity.verify.notes import NotesCheck, log_of
from services.integrity.verify.stored_columns import scan
from services.integrity.verify.trust import Trust
from services.log.checkpoint import Checkpoint
from services.log.growing import TileWriter
from services.log.keys import KeyKind, VerifierKey
from services.log.note import BadNote, Note, Signature, UnverifiedNote
from services.postgres.sql import Queries


class PinnedCheckpoints:
    """Checks pinned checkpoints of one log while its tree grows."""

    def __init__(self, trust: Trust, log: LogName) -> None:
        notes = [Note.parse(text) for text in trust.pinned_notes]
        pinned = [(Checkpoint.parse(note.text), note) for note in notes]
        mine = [(checkpoint, note) for checkpoint, note in pinned if log_of(checkpoint.origin) == log]
        self._open = sorted(mine, key=lambda pin: pin[0].size)
        self._reached: list[tuple[Checkpoint, Note]] = []
        self._log = log
        self._roots: dict[int, bytes] = {}

    @property
    def next_size(self) -> int | None:
        """The size at which the tree is compared next."""
        return self._open[0][0].size if self._open else None

    def compare(self, writer: TileWriter) -> None:
        """Note the root of the tree at the sizes that it has reached."""
        while self._open and self._open[0][0].size == writer.size:
            self._roots[writer.size] = writer.root()
            self._reached.append(self._open.pop(0))

    def end(self, check: NotesCheck, taken: int) -> Ground:
        """Add what does not hold to the findings of the log, when all leaves were taken."""
        keys = {*(check.succession.keys if check.succession else ()), *check.pinned_keys}
        for checkpoint, note in [*self._reached, *self._open]:
            reason = self._wrong(checkpoint, note, check, keys, taken)
            if reason:
                check.find(f"the pinned checkpoint of size {checkpoint.size} {reason}")
        what = f"checkpoints of {self._log} that were written down"
        if not (self._reached or self._open):
            return not_available(what, "none was given (--checkpoint FILE)")
        sizes = ", ".join(f"{checkpoint.size:,}" for checkpoint, _ in [*self._reached, *self._open])
        return checked(what, f"of size {sizes}")

    def _wrong(
        self, checkpoint: Checkpoint, note: Note, check: NotesCheck, keys: Collection[VerifierKey], taken: int
    ) -> str | None:
        origin = check.tree.origin if check.tree else None
        if checkpoint.origin != origin:
            return f"is of the log {checkpoint.origin}, and this is {origin or 'none'}"
        if not any(note.is_signed_by(key) for key in keys):
            return "is signed by no key of the log"
        if checkpoint.size > taken:
            return f"covers {checkpoint.size} {self._log}, and there are {taken}"
        if self._roots.get(checkpoint.size) != checkpoint.root:
            return f"has another root than the first {checkpoint.size} {self._log}: the log was rewritten"
        return None


class CosignaturesCheck:
    """Checks the cosignatures of witnesses whose keys are known here."""

    def __init__(self, connection: Connection[Any], queries: Queries, trust: Trust, log: LogName) -> None:
        self._connection = connection
        self._queries = queries
        self._log = log
        self._known = {(key.name, key.key_id): key for key in map(VerifierKey.parse, trust.witnesses)}
        self._pinned = [key for key in map(VerifierKey.parse, trust.pinned_keys) if key.kind is KeyKind.COSIGNATURE_V1]
        self._known |= {(key.name, key.key_id): key for key in self._pinned}
        self._sizes: dict[VerifierKey, int] = {}
        self._unknown = 0

    def run(self, check: NotesCheck) -> Ground:
        """Check each line, and that each pinned witness has cosigned something. Raises psycopg.Error."""
        rows = scan(
            self._connection, self._queries["scan_cosignatures"], f"cosignatures_of_{self._log}", {"log": self._log}
        )
        for number, line, note, size in rows:
            if reason := self._wrong(line, note, size):
                check.find(reason, number)
        if self._log == EVENTS:
            for key in self._pinned:
                if key not in self._sizes:
                    check.find(f"the witness {key} has cosigned no checkpoint of it")
        return self._ground()

    def _wrong(self, line: str, note: str | None, size: int | None) -> str | None:
        if note is None or size is None:
            return "has a cosignature, and is not there"
        try:
            signature = Signature.parse(line.removesuffix("\n"))
            key = self._known.get((signature.name, signature.key_id))
            if key is None:
                self._unknown += 1
                return None
            Note(Note.parse(note).text, (signature,)).verified_by([key])
        except (BadNote, UnverifiedNote) as error:
            return f"has a cosignature that is none: {error}"
        self._sizes[key] = max(size, self._sizes.get(key, 0))
        return None

    def _ground(self) -> Ground:
        what = f"cosignatures of {self._log}"
        others = f"{self._unknown} by witnesses whose keys are not known here (TALLYSTICK_WITNESSES, --key VKEY)"
        if not self._known:
            return not_available(what, others if self._unknown else "no witnesses are configured")
        covered = [
            f"{key.name} up to {size:,}" for key, size in sorted(self._sizes.items(), key=lambda each: each[0].name)
        ]
        if not covered:
            return not_available(what, "no witness that is known here has cosigned yet")
        return checked(what, ", ".join([*covered, *([others] if self._unknown else [])]))
