"""The seals: every note that was signed, in a folder outside the database, synced before it is published.

Each life of a ledger, from one `--new-ledger` to the next, has a folder of its own, the newest with the highest number:

    vkey       the first key of the log of events, whose name is the origin
    events     the notes of the log of events, oldest first, an empty line behind each
    refusals   those of the log of refusals
    published  how many of each the database had when this was written last
"""

import fcntl
import os
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path

import msgspec
from msgspec import Struct

from services.integrity.sealing.refusing import Reason, SealerBusy, SealerRefused
from services.integrity.sealing.store import LOGS, REFUSALS, LogName
from services.log.checkpoint import BadCheckpoint, Checkpoint
from services.log.keys import BadKey, VerifierKey
from services.log.note import BadNote, Note, UnverifiedNote
from services.log.succession import BrokenSuccession, Succession
from services.process.files import sync_folder, write_private_file

LOCK_SECONDS = 30.0
_LOCK_POLL_SECONDS = 0.05
_SEPARATOR = "\n\n"
_PEEK_BYTES = 16_384


class Sealed(Struct, frozen=True):
    """The seals of one log: its keys so far, how many notes there are, and the last two of them, oldest first."""

    succession: Succession
    count: int = 0
    last: tuple[Note, ...] = ()
    hand_overs: tuple[Note, ...] = ()

    @property
    def newest(self) -> Note | None:
        """The newest note; None where nothing was signed yet."""
        return self.last[-1] if self.last else None

    @property
    def newest_checkpoint(self) -> Checkpoint | None:
        """What the newest note says."""
        return Checkpoint.parse(self.last[-1].text) if self.last else None

    def after(self, note: Note) -> "Sealed":
        """The seals with one note more. Raises UnverifiedNote, BadCheckpoint, BrokenSuccession."""
        checkpoint = self.succession.open(note)
        before = self.newest_checkpoint
        if before is not None and (
            checkpoint.size < before.size or (checkpoint.size == before.size and checkpoint.root != before.root)
        ):
            raise BadCheckpoint(f"the seal of size {checkpoint.size} does not follow on that of size {before.size}")
        hands_over = checkpoint.next_key is not None
        succession = self.succession.hand_over(note) if hands_over else self.succession
        hand_overs = (*self.hand_overs, note) if hands_over else self.hand_overs
        return Sealed(succession, self.count + 1, (*self.last[-1:], note), hand_overs)


class SealFile:
    """The notes of one log in one folder. Raises OSError."""

    def __init__(self, path: Path, first_key: VerifierKey) -> None:
        self.path = path
        self._first = Sealed(Succession.of(first_key))
        self._sealed = self._first
        self._read_bytes = 0
        self._inode = 0

    def read(self) -> Sealed:
        """Read what was not read yet, and check it. Raises SealerRefused."""
        if not self.path.exists():
            status_inode, status_size = 0, 0
        else:
            status = self.path.stat()
            status_inode, status_size = status.st_ino, status.st_size
        if status_inode != self._inode or status_size < self._read_bytes:
            self._sealed, self._read_bytes, self._inode = self._first, 0, status_inode
        if status_size > self._read_bytes:
            self._take(self._tail())
        return self._sealed

    def notes(self) -> list[Note]:
        """All notes, oldest first, without a check of their signatures. Raises SealerRefused."""
        content = self.path.read_text(encoding="utf-8") if self.path.exists() else ""
        return [note for note, _ in self._split(content)]

    def peek(self) -> Note | None:
        """The newest whole note, without a check and without reading the others; None where there is none."""
        if not self.path.exists():
            return None
        with self.path.open("rb") as file:
            begin = max(0, file.seek(0, os.SEEK_END) - _PEEK_BYTES)
            file.seek(begin)
            blocks = file.read().decode(errors="replace").split(_SEPARATOR)
        for number in range(len(blocks) - 2, 0 if begin == 0 else 1, -1):  # the first one may be cut
            if blocks[number].startswith("— "):
                return Note.parse(f"{blocks[number - 1]}{_SEPARATOR}{blocks[number]}\n")
        return None

    def append(self, note: Note) -> None:
        """Write a note behind the others, durably. Raises SealerRefused for one that does not follow on them."""
        self.read()
        after = self._after(note)
        content = f"{note}\n".encode()
        is_new = not self.path.exists()
        with os.fdopen(os.open(self.path, os.O_WRONLY | os.O_CREAT, 0o600), "wb") as file:
            file.truncate(self._read_bytes)  # a note that was cut short was never published
            file.seek(0, os.SEEK_END)
            file.write(content)
            file.flush()
            os.fsync(file.fileno())
            self._inode = os.fstat(file.fileno()).st_ino
        if is_new:
            sync_folder(self.path.parent)
        self._sealed, self._read_bytes = after, self._read_bytes + len(content)

    def _tail(self) -> str:
        with self.path.open("rb") as file:
            file.seek(self._read_bytes)
            content = file.read()
        try:
            return content.decode()
        except UnicodeDecodeError:
            raise SealerRefused(Reason.BAD_SEALS, f"{self.path} has bytes that no note has") from None

    def _take(self, content: str) -> None:
        for note, length in self._split(content):
            self._sealed = self._after(note)
            self._read_bytes += length

    def _split(self, content: str) -> Iterator[tuple[Note, int]]:
        """The whole notes and their bytes. One at the end that was cut short is left out."""
        blocks = content.split(_SEPARATOR)
        for text, signatures in zip(blocks[:-1:2], blocks[1:-1:2], strict=False):
            written = f"{text}{_SEPARATOR}{signatures}\n"
            try:
                yield Note.parse(written), len(written.encode()) + 1
            except BadNote as error:
                raise SealerRefused(Reason.BAD_SEALS, f"{self.path}: {error}") from None

    def _after(self, note: Note) -> Sealed:
        try:
            return self._sealed.after(note)
        except (UnverifiedNote, BadCheckpoint, BrokenSuccession) as error:
            raise SealerRefused(Reason.BAD_SEALS, f"{self.path}, note {self._sealed.count + 1}: {error}") from None


class Life:
    """The seals of one life of a ledger."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        path = folder / "vkey"
        try:
            self.first_key = VerifierKey.parse(path.read_text(encoding="utf-8").strip())
        except (BadKey, UnicodeDecodeError) as error:
            raise SealerRefused(Reason.BAD_SEALS, f"{path}: {error}") from None
        self.files = {log: SealFile(folder / log, key_of(self.first_key, log)) for log in LOGS}

    @property
    def origin(self) -> str:
        """The origin of the log of events."""
        return self.first_key.name

    def published(self) -> dict[LogName, int]:
        """How many notes of each log the database is known to have had."""
        path = self.folder / "published"
        if not path.exists():
            return dict.fromkeys(LOGS, 0)
        try:
            return msgspec.json.decode(path.read_bytes(), type=dict[LogName, int])
        except msgspec.MsgspecError as error:
            raise SealerRefused(Reason.BAD_SEALS, f"{path}: {error}") from None

    def set_aside(self, log: LogName, beyond: int) -> list[int]:
        """Put the notes of a log over more than so many leaves into a file of their own, durably; return their sizes.

        A ledger that was restored to before them has another future, and must not sign it behind these.
        """
        file = self.files[log]
        notes = [(note, Checkpoint.parse(note.text).size) for note in file.notes()]
        later = [(note, size) for note, size in notes if size > beyond]
        if later:
            texts = ("".join(f"{note}\n" for note, _ in part) for part in (later, notes[: len(notes) - len(later)]))
            for path, text in zip((self._aside(log), file.path), texts, strict=True):
                write_private_file(path, text.encode(), may_replace=True)
        return [size for _, size in later]

    def sizes_set_aside(self, log: LogName) -> list[int]:
        """The sizes of the notes of a log that a restore has set aside."""
        path = self._aside(log)
        notes = SealFile(path, key_of(self.first_key, log)).notes() if path.exists() else []
        return [Checkpoint.parse(note.text).size for note in notes]

    def _aside(self, log: LogName) -> Path:
        return self.folder / f"{log}.set-aside"

    def set_published(self, log: LogName, count: int) -> None:
        """Say, durably, that the database has so many notes of a log."""
        counts = {**self.published(), log: count}
        write_private_file(self.folder / "published", msgspec.json.encode(counts) + b"\n", may_replace=True)


class Seals:
    """The seals of one schema. Raises OSError."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self._life: Life | None = None

    def life(self) -> Life | None:
        """The newest life; None where nothing was ever sealed here. Raises SealerRefused."""
        numbers = self._numbers()
        folder = self.folder / str(numbers[-1]) if numbers else None
        if folder is None:
            self._life = None
        elif self._life is None or self._life.folder != folder:
            self._life = Life(folder)
        return self._life

    def begin(self, first_key: VerifierKey, notes: Sequence[tuple[LogName, Note]] = ()) -> Life:
        """Begin a life with its first key, and notes of it that were signed before. Raises SealerRefused."""
        number = max(self._numbers(), default=0) + 1
        unfinished, folder = self.folder / f"{number}.unfinished", self.folder / str(number)
        for path in unfinished.glob("*"):
            path.unlink()
        write_private_file(unfinished / "vkey", f"{first_key}\n".encode(), may_replace=True)
        files = {log: SealFile(unfinished / log, key_of(first_key, log)) for log in LOGS}
        for log, note in notes:
            files[log].append(note)
        sync_folder(unfinished)
        unfinished.rename(folder)
        sync_folder(self.folder)
        self._life = Life(folder)
        return self._life

    @contextmanager
    def locked(self) -> Iterator[None]:
        """Let one process at a time seal. Raises SealerBusy."""
        self.folder.mkdir(parents=True, exist_ok=True)
        with (self.folder / "lock").open("ab") as file:
            give_up_at = time.monotonic() + LOCK_SECONDS
            while True:
                try:
                    fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
                    break
                except BlockingIOError:
                    if time.monotonic() > give_up_at:
                        raise SealerBusy(f"another process is sealing in {self.folder}") from None
                    time.sleep(_LOCK_POLL_SECONDS)
            yield

    def _numbers(self) -> list[int]:
        return sorted(int(path.name) for path in self.folder.glob("[0-9]*") if path.name.isdecimal())


def key_of(key: VerifierKey, log: LogName) -> VerifierKey:
    """The same key for a log of the ledger: the one of the refusals has an origin of its own."""
    return VerifierKey(origin_of(key.name, log), key.public_key)


def origin_of(origin: str, log: LogName) -> str:
    """The origin of a log of the ledger whose log of events has an origin."""
    return f"{origin}/refusals" if log == REFUSALS else origin
