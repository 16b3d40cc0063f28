"""Checkpoints (C2SP `tlog-checkpoint`): the text of a note in which a log states its size and its root."""

import re
from base64 import b64encode
from collections.abc import Iterable
from typing import Self

from msgspec import Struct

from services.log.keys import BadKey, KeyKind, Signer, VerifierKey, decode_base64
from services.log.note import Note, sign_note
from services.log.tree import EMPTY_ROOT, HASH_BYTES

SIZE_LIMIT = 2**63
_NEXT_KEY = "next "
_SIZE = re.compile(r"0|[1-9][0-9]{0,18}")


class BadCheckpoint(ValueError):
    """The text is no checkpoint."""


class Checkpoint(Struct, frozen=True):
    """The origin of a log, the number of its leaves, the root over them, and further lines."""

    origin: str
    size: int
    root: bytes
    extensions: tuple[str, ...] = ()

    @classmethod
    def parse(cls, text: str) -> Self:
        """The checkpoint that the text of a note is. Raises BadCheckpoint."""
        lines = text.split("\n")
        if len(lines) < 4 or lines[-1] or not all(lines[:-1]):
            raise BadCheckpoint("no checkpoint: it needs an origin, a size and a root, and has no empty line")
        origin, size, root, *extensions = lines[:-1]
        try:
            return cls(origin, parse_size(size), decode_hash(root), tuple(extensions))
        except ValueError as error:
            raise BadCheckpoint(f"no checkpoint: {error}") from None

    @property
    def is_possible(self) -> bool:
        """Whether a tree can be so: that of size 0 has one root only."""
        return self.size > 0 or self.root == EMPTY_ROOT

    @property
    def text(self) -> str:
        """The text of its note."""
        lines = (self.origin, str(self.size), b64encode(self.root).decode(), *self.extensions)
        return "".join(line + "\n" for line in lines)

    @property
    def next_key(self) -> VerifierKey | None:
        """The key of the log's own name that it hands over to, in its one further line `next VKEY`; else None."""
        if len(self.extensions) != 1 or not self.extensions[0].startswith(_NEXT_KEY):
            return None
        try:
            key = VerifierKey.parse(self.extensions[0].removeprefix(_NEXT_KEY))
        except BadKey:
            return None
        return key if key.name == self.origin and key.kind is KeyKind.ED25519 else None

    def handing_over_to(self, key: VerifierKey) -> Self:
        """This checkpoint with the line that hands over to a key."""
        return type(self)(self.origin, self.size, self.root, (f"{_NEXT_KEY}{key}",))

    def signed_by(self, *signers: Signer) -> Note:
        """The note of this checkpoint."""
        return sign_note(self.text, signers)


def open_checkpoint(note: Note, keys: Iterable[VerifierKey]) -> Checkpoint:
    """The checkpoint of a note that one of the keys has signed whose name is its origin.

    Raises UnverifiedNote, BadCheckpoint.
    """
    checkpoint = Checkpoint.parse(note.text)
    note.verified_by(key for key in keys if key.name == checkpoint.origin and key.kind is KeyKind.ED25519)
    if not checkpoint.is_possible:
        raise BadCheckpoint("no checkpoint: the empty tree has another root")
    return checkpoint


def read_checkpoint(content: bytes | str) -> tuple[Note, Checkpoint]:
    """A note and the checkpoint that it is, whoever signed it. Raises BadNote, BadCheckpoint."""
    note = Note.parse(content)
    return note, Checkpoint.parse(note.text)


def parse_size(text: str) -> int:
    """The number of leaves, in decimal without leading zeros. Raises ValueError."""
    if not _SIZE.fullmatch(text) or (size := int(text)) >= SIZE_LIMIT:
        raise ValueError(f"{text[:40]!r} is no size of a tree")
    return size


def decode_hash(text: str) -> bytes:
    """The hash that a line has in base64. Raises ValueError."""
    content = decode_base64(text)
    if len(content) != HASH_BYTES:
        raise ValueError(f"a hash of {len(content)} bytes")
    return content
