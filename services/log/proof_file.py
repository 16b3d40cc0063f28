"""Proof files (C2SP `tlog-proof`): that an entry is in a log, to be kept and checked without it."""

from base64 import b64encode
from typing import Self

from msgspec import Struct

from services.log.checkpoint import BadCheckpoint, Checkpoint, decode_hash, parse_size
from services.log.keys import decode_base64
from services.log.note import BadNote, Note
from services.log.tree import PROOF_HASHES_LIMIT, is_included

FIRST_LINE = "c2sp.org/tlog-proof@v1"
_EXTRA = "extra "
_INDEX = "index "


class BadProofFile(ValueError):
    """The content is no proof file."""


class ProofFile(Struct, frozen=True):
    """The index of an entry (from 0), the proof that it is in the tree of a note, and bytes of any meaning."""

    index: int
    proof: tuple[bytes, ...]
    note: Note
    extra: bytes | None = None

    @classmethod
    def parse(cls, content: bytes | str) -> Self:
        """The proof that a file has. Raises BadProofFile."""
        try:
            whole = content if isinstance(content, str) else content.decode()
            head, separator, note = whole.partition("\n\n")
            first_line, *lines = head.split("\n")
            if first_line != FIRST_LINE or not separator:
                raise BadProofFile(f"no proof file: it begins with a line {FIRST_LINE}, and has an empty line")
            extra = decode_base64(lines.pop(0).removeprefix(_EXTRA)) if lines and lines[0].startswith(_EXTRA) else None
            if not lines or not lines[0].startswith(_INDEX):
                raise BadProofFile("no proof file: the line `index N` is missing")
            index = parse_size(lines[0].removeprefix(_INDEX))
            if len(lines) - 1 > PROOF_HASHES_LIMIT:
                raise BadProofFile(f"no proof file: more than {PROOF_HASHES_LIMIT} hashes")
            proof = tuple(decode_hash(line) for line in lines[1:])
            return cls(index, proof, Note.parse(note), extra)
        except BadProofFile:
            raise
        except (UnicodeError, BadNote, ValueError) as error:
            raise BadProofFile(f"no proof file: {error}") from None

    def __str__(self) -> str:
        extra = [] if self.extra is None else [_EXTRA + b64encode(self.extra).decode()]
        lines = [FIRST_LINE, *extra, f"{_INDEX}{self.index}", *(b64encode(each).decode() for each in self.proof)]
        return "".join(line + "\n" for line in lines) + "\n" + str(self.note)

    def proves(self, leaf: bytes) -> bool:
        """Whether the leaf hash is at the index in the tree of the note, whoever signed that."""
        try:
            checkpoint = Checkpoint.parse(self.note.text)
        except BadCheckpoint:
            return False
        return is_included(leaf, self.index, checkpoint.size, self.proof, checkpoint.root)
