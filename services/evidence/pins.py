"""Reads what somebody wrote down of a log: verifier keys, checkpoints, and proofs of consistency beside them."""

import re
from collections.abc import Iterable

from services.evidence.lineage import Pins
from services.log.checkpoint import Checkpoint
from services.log.keys import VerifierKey
from services.log.note import Note
from services.log.submission import Submission

_SIGNATURE = "— "
_OLD = "old "


class BadPin(ValueError):
    """The text is no verifier key, or holds no checkpoint."""


def read_pins(vkeys: Iterable[str], files: Iterable[bytes]) -> Pins:
    """Read vkeys, and files with notes and answers of `/v1/checkpoints/proof`, one or several each. Raises BadPin."""
    try:
        keys = [VerifierKey.parse(vkey) for vkey in vkeys]
        blocks = [block for content in files for block in _blocks(content.decode())]
        proofs = [Submission.parse(block) for block in blocks if block.startswith(_OLD)]
        notes = [Note.parse(block) for block in blocks if not block.startswith(_OLD)]
        for note in (*notes, *(proof.note for proof in proofs)):
            Checkpoint.parse(note.text)
    except ValueError as error:
        raise BadPin(str(error)) from None
    return Pins(keys, notes, proofs)


def _blocks(text: str) -> list[str]:
    """Split a text after each run of signature lines. One without any is a block, too, which nobody can read."""
    blocks, lines, was_signature = list[str](), list[str](), False
    for line in re.findall(r"[^\n]*\n|[^\n]+", text):
        is_signature = line.startswith(_SIGNATURE)
        if was_signature and not is_signature:
            blocks.append("".join(lines))
            lines = []
        lines.append(line)
        was_signature = is_signature
    return [*blocks, "".join(lines)]
