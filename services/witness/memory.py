"""What a witness saw of each log: a file a log, synced before a cosignature is given away."""

import fcntl
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from hashlib import sha256
from pathlib import Path

import msgspec
from msgspec import Struct

from services.log.checkpoint import BadCheckpoint, Checkpoint
from services.log.keys import BadKey, VerifierKey
from services.log.note import BadNote, Note
from services.log.witness import Witnessed, with_configured_keys
from services.process.files import write_private_file


class BadMemory(RuntimeError):
    """A file of the witness has not the content that one has."""


class WitnessInUse(RuntimeError):
    """Another witness works with this folder."""


class _Stored(Struct, frozen=True, forbid_unknown_fields=True):
    origin: str
    keys: list[str]
    retired_keys: list[str]
    note: str


class WitnessMemory:
    """The logs that a witness knows. Raises OSError."""

    def __init__(self, folder: Path, configured_keys: Sequence[VerifierKey]) -> None:
        """Read what was seen before. Raises BadMemory."""
        self._folder = folder
        stored = {each.origin: _witnessed(each) for each in map(_read, sorted(folder.glob("*.json")))}
        self._logs = with_configured_keys(stored, configured_keys)

    def get(self, origin: str) -> Witnessed | None:
        """What is known of a log; None where it is not."""
        return self._logs.get(origin)

    def by_hash(self, origin_hash: str) -> Witnessed | None:
        """The same by the SHA-256 of the origin, in hexadecimal."""
        return next((each for origin, each in self._logs.items() if hash_of(origin) == origin_hash), None)

    def put(self, origin: str, witnessed: Witnessed) -> None:
        """Keep what was seen, durably."""
        stored = _Stored(
            origin,
            [str(key) for key in witnessed.keys],
            [str(key) for key in witnessed.retired_keys],
            str(witnessed.note),
        )
        path = self._folder / f"{hash_of(origin)}.json"
        write_private_file(path, msgspec.json.encode(stored) + b"\n", may_replace=True)
        self._logs[origin] = witnessed


@contextmanager
def only_witness(folder: Path) -> Iterator[None]:
    """Keep other witnesses out of a folder. Raises WitnessInUse, OSError."""
    folder.mkdir(parents=True, exist_ok=True)
    with (folder / "lock").open("ab") as file:
        try:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            raise WitnessInUse(f"another witness works with {folder}") from None
        yield


def hash_of(origin: str) -> str:
    """The SHA-256 of an origin, in hexadecimal."""
    return sha256(origin.encode()).hexdigest()


def _read(path: Path) -> _Stored:
    try:
        return msgspec.json.decode(path.read_bytes(), type=_Stored)
    except msgspec.MsgspecError as error:
        raise BadMemory(f"{path}: {error}") from None


def _witnessed(stored: _Stored) -> Witnessed:
    try:
        note = Note.parse(stored.note)
        checkpoint = Checkpoint.parse(note.text)
        keys, retired = (tuple(map(VerifierKey.parse, vkeys)) for vkeys in (stored.keys, stored.retired_keys))
    except (BadNote, BadCheckpoint, BadKey) as error:
        raise BadMemory(f"what is kept of {stored.origin}: {error}") from None
    if checkpoint.origin != stored.origin:
        raise BadMemory(f"what is kept of {stored.origin} is a note of {checkpoint.origin}")
    return Witnessed(keys, retired, checkpoint.size, checkpoint.root, note)
