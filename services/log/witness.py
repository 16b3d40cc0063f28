"""What a witness answers to a submitted checkpoint (C2SP `tlog-witness`, add-checkpoint).

The caller keeps what `Witnessed` has for each origin; from the decision until it is kept, no other submission for that
origin may be decided.
"""

from collections.abc import Mapping, Sequence

from msgspec import Struct

from services.log.checkpoint import BadCheckpoint, Checkpoint
from services.log.cosignature import cosign
from services.log.keys import Signer, VerifierKey
from services.log.note import Note, Signature, UnverifiedNote
from services.log.submission import BadSubmission, Submission
from services.log.tree import EMPTY_ROOT, is_consistent

TEXT = "text/plain; charset=utf-8"
SIZE = "text/x.tlog.size"


class Witnessed(Struct, frozen=True):
    """What a witness knows of a log: the keys that it trusts, the newest tree, and its note with the cosignature."""

    keys: tuple[VerifierKey, ...]
    retired_keys: tuple[VerifierKey, ...] = ()
    size: int = 0
    root: bytes = EMPTY_ROOT
    note: Note | None = None


class Accepted(Struct, frozen=True):
    """The checkpoint extends what was seen: keep `witnessed` durably, then answer 200 with the signature line."""

    witnessed: Witnessed
    line: str


class Refused(Struct, frozen=True):
    """The answer to a checkpoint that is not cosigned."""

    status: int
    body: str
    content_type: str = TEXT


class Submitted(Struct, frozen=True):
    """A submission with the checkpoint that its note is."""

    submission: Submission
    checkpoint: Checkpoint


def read_submission(body: bytes) -> Submitted | Refused:
    """Read a request's body, which names the log by its checkpoint's origin."""
    try:
        submission = Submission.parse(body)
        return Submitted(submission, Checkpoint.parse(submission.note.text))
    except (BadSubmission, BadCheckpoint) as error:
        return Refused(400, f"{error}\n")


def decide(submitted: Submitted, known: Witnessed | None, signer: Signer, at_seconds: int) -> Accepted | Refused:
    """Cosign a checkpoint that extends what is known of its log; `known` is None where the log is not."""
    submission, checkpoint = submitted.submission, submitted.checkpoint
    if known is None:
        return Refused(404, "no log of this origin is known here\n")
    try:
        verified = submission.note.verified_by(known.keys)
    except UnverifiedNote as error:
        return Refused(403, f"{error}\n")
    if submission.old_size > checkpoint.size:
        return Refused(400, "the old size is above the size of the checkpoint\n")
    if submission.old_size != known.size:
        return Refused(409, f"{known.size}\n", SIZE)
    if not checkpoint.is_possible:
        return Refused(422, "the empty tree has another root\n")
    if not is_consistent(known.size, checkpoint.size, submission.proof, known.root, checkpoint.root):
        return Refused(422, f"the tree does not begin with that of size {known.size} which was seen here\n")
    signature = Signature(signer.key.name, signer.key.key_id, cosign(submission.note.text, at_seconds, signer))
    note = Note(submission.note.text, (*_log_signatures(submission.note, verified), signature))
    keys, retired = _keys_after(checkpoint, submission.note, known)
    return Accepted(Witnessed(keys, retired, checkpoint.size, checkpoint.root, note), signature.line)


def with_configured_keys(known: Mapping[str, Witnessed], keys: Sequence[VerifierKey]) -> dict[str, Witnessed]:
    """What is known of each log, with the keys of logs that an operator names; a key that handed over stays retired."""
    logs = dict(known)
    for key in keys:
        log = logs.get(key.name, Witnessed(()))
        if key not in (*log.keys, *log.retired_keys):
            logs[key.name] = Witnessed((*log.keys, key), log.retired_keys, log.size, log.root, log.note)
    return logs


def _log_signatures(note: Note, verified: Sequence[VerifierKey]) -> list[Signature]:
    return [each for key in verified for each in note.signatures if each.is_named_by(key)][: len(verified)]


_Keys = tuple[VerifierKey, ...]


def _keys_after(checkpoint: Checkpoint, note: Note, known: Witnessed) -> tuple[_Keys, _Keys]:
    """The keys that are trusted from now on, and those that are not any more, since they handed over."""
    next_key = checkpoint.next_key
    if next_key is None or next_key in (*known.keys, *known.retired_keys) or not note.is_signed_by(next_key):
        return known.keys, known.retired_keys
    retiring = tuple(key for key in known.keys if note.is_signed_by(key))
    kept = tuple(key for key in known.keys if key not in retiring)
    return (*kept, next_key), (*known.retired_keys, *retiring)
