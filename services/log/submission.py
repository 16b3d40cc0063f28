"""The body with which a checkpoint is submitted to a witness (C2SP `tlog-witness`, add-checkpoint)."""

from base64 import b64encode
from typing import Self

from msgspec import Struct

from services.log.checkpoint import decode_hash, parse_size
from services.log.note import Note
from services.log.tree import PROOF_HASHES_LIMIT

_OLD = "old "


class BadSubmission(ValueError):
    """The content is no body of an add-checkpoint request."""


class Submission(Struct, frozen=True):
    """A note, and the proof that its tree begins with that of an earlier size."""

    old_size: int
    proof: tuple[bytes, ...]
    note: Note

    @classmethod
    def parse(cls, content: bytes | str) -> Self:
        """The submission of a body. Raises BadSubmission."""
        try:
            whole = content if isinstance(content, str) else content.decode()
            head, separator, note = whole.partition("\n\n")
            old, *hashes = head.split("\n")
            if not (separator and old.startswith(_OLD)):
                raise BadSubmission("it has lines `old SIZE` and hashes, an empty line, and a note")
            if len(hashes) > PROOF_HASHES_LIMIT:
                raise BadSubmission(f"a consistency proof has at most {PROOF_HASHES_LIMIT} lines")
            proof = tuple(decode_hash(line) for line in hashes)
            return cls(parse_size(old.removeprefix(_OLD)), proof, Note.parse(note))
        except BadSubmission:
            raise
        except ValueError as error:
            raise BadSubmission(str(error)) from None

    def __str__(self) -> str:
        lines = [f"{_OLD}{self.old_size}", *(b64encode(each).decode() for each in self.proof)]
        return "".join(line + "\n" for line in lines) + "\n" + str(self.note)
