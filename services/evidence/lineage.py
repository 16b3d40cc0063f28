"""Leads from keys and checkpoints that somebody wrote down to the checkpoint of a file.

A key leads on by hand-overs, each of which the old key and the new one have signed; a checkpoint by proofs of
consistency.
"""

from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence

from msgspec import Struct

from services.evidence.faults import NotGenuine, OutOfReach, naming
from services.log.checkpoint import Checkpoint
from services.log.keys import KeyKind, VerifierKey
from services.log.note import Note, UnverifiedNote
from services.log.submission import Submission
from services.log.tree import EMPTY_ROOT, is_consistent

_FIELD = 2**255 - 19
_CURVE_D = -121665 * pow(121666, -1, _FIELD) % _FIELD


class Consistency(Struct, frozen=True):
    """The proof that a tree begins with the one of another size."""

    from_size: int
    to_size: int
    hashes: Sequence[bytes]


class Lineage(Struct, frozen=True):
    """A checkpoint as a file has it: with all hand-overs of keys before it, oldest first, and proofs of consistency."""

    note: Note
    handovers: Sequence[Note]
    consistency: Sequence[Consistency]

    @property
    def checkpoint(self) -> Checkpoint:
        """The checkpoint. Raises BadCheckpoint."""
        return Checkpoint.parse(self.note.text)


class Pins(Struct, frozen=True):
    """Keys and checkpoints that somebody wrote down, and to which a file must lead, or they to it."""

    keys: Sequence[VerifierKey] = ()
    notes: Sequence[Note] = ()
    proofs: Sequence[Submission] = ()

    @property
    def log_keys(self) -> list[VerifierKey]:
        """The keys of logs."""
        return [key for key in self.keys if key.kind is KeyKind.ED25519]

    @property
    def witness_keys(self) -> list[VerifierKey]:
        """The keys of witnesses."""
        return [key for key in self.keys if key.kind is KeyKind.COSIGNATURE_V1]

    @property
    def checkpoints(self) -> list[Note]:
        """The notes, those in the proofs included."""
        return [*self.notes, *(proof.note for proof in self.proofs)]


UNPINNED = Pins()
"""Nothing that was written down."""


class VerifiedLineage(Struct, frozen=True):
    """A checkpoint whose signatures hold: the keys of its log that are known, oldest first, and those who cosigned."""

    checkpoint: Checkpoint
    keys: Sequence[VerifierKey]
    witnesses: Sequence[VerifierKey]


def verify_lineage(
    lineage: Lineage, pins: Pins, first_keys: Collection[VerifierKey], witnesses: Collection[VerifierKey] = ()
) -> VerifiedLineage:
    """Verify the signatures, the hand-overs, and that every pin is reached. Raises NotGenuine, OutOfReach.

    `first_keys` are those one of which is the log's first key, or the one that all later ones follow; `witnesses`
    those of the file, beside the ones that are pinned.
    """
    with naming("the checkpoint"):
        checkpoint = lineage.checkpoint
    keys = _keys_of_log(lineage, checkpoint, [key for key in first_keys if key.name == checkpoint.origin])
    for key in (*pins.keys, *keys, *witnesses):
        if not is_point(key.public_key):
            raise NotGenuine("the keys", f"{key} is no key of Ed25519")
    _check_signed(lineage.note, keys[-1], "the checkpoint")
    cosigned_by = _cosigners(lineage.note, {*witnesses, *pins.witness_keys})
    if pins.log_keys and not any(key in keys for key in pins.log_keys):
        raise OutOfReach("the keys", f"cannot be reached: no key that is pinned leads to {keys[-1]}")
    if missing := [key for key in pins.witness_keys if key not in cosigned_by]:
        raise OutOfReach("the checkpoint", f"the witness {missing[0].name} has not cosigned it")
    _check_pinned_checkpoints(lineage, checkpoint, pins, [*keys, *pins.keys])
    return VerifiedLineage(checkpoint, keys, cosigned_by)


def check_signed_by_all(note: Note, keys: Sequence[VerifierKey], where: str) -> None:
    """Raise NotGenuine for a line below the note that is of none of the keys, or there twice, or wrong."""
    try:
        verified = note.verified_by(keys)
    except UnverifiedNote as error:
        raise NotGenuine(where, str(error)) from None
    if len(verified) != len(note.signatures):
        raise NotGenuine(where, "it has a signature by a key that is not here")


def is_point(public_key: bytes) -> bool:
    """Whether the bytes are the one encoding of a point of the curve, as RFC 8032 demands it (5.1.3)."""
    sign, y = divmod(int.from_bytes(public_key, "little"), 2**255)
    numerator, denominator = (y * y - 1) % _FIELD, (_CURVE_D * y * y + 1) % _FIELD
    is_square = pow(numerator * denominator % _FIELD, (_FIELD - 1) // 2, _FIELD) in (0, 1)
    return y < _FIELD and is_square and not (sign and numerator == 0)


def _keys_of_log(lineage: Lineage, checkpoint: Checkpoint, first_keys: Sequence[VerifierKey]) -> list[VerifierKey]:
    """Return the keys of the log, oldest first: the one that is known to begin with, and those handed over to."""
    handed_over = list(_next_keys(lineage.handovers, checkpoint))
    first_note = lineage.handovers[0] if lineage.handovers else lineage.note
    first = [key for key in first_keys if key not in handed_over and first_note.is_signed_by(key)][:1]
    if not first and not any(key in handed_over for key in first_keys):
        raise OutOfReach("the keys", "no key that is known leads to the one that has signed the checkpoint")
    return [*first, *handed_over]


def _next_keys(handovers: Iterable[Note], newest: Checkpoint) -> Iterator[VerifierKey]:
    """Yield the key that each note hands over to, signed by it and by the one before it. Raises NotGenuine."""
    keys: list[VerifierKey] = []
    before = Checkpoint(newest.origin, 0, EMPTY_ROOT)
    for number, note in enumerate(handovers, start=1):
        where = f"hand-over {number}"
        with naming(where):
            checkpoint = Checkpoint.parse(note.text)
        key = checkpoint.next_key
        if checkpoint.origin != newest.origin or key is None or key in keys:
            raise NotGenuine(where, "it does not hand over to a new key of the log")
        if len(note.signatures) != 2:
            raise NotGenuine(where, "it is signed by others than the old key and the new one")
        if not before.size <= checkpoint.size <= newest.size:
            raise NotGenuine(where, "it is out of order")
        for signer in (*keys[-1:], key):
            _check_signed(note, signer, where)
        keys.append(key)
        before = checkpoint
        yield key


def _check_signed(note: Note, key: VerifierKey, where: str) -> None:
    try:
        note.verified_by([key])
    except UnverifiedNote as error:
        raise NotGenuine(where, f"{error}: {key}") from None


def _cosigners(note: Note, witnesses: Collection[VerifierKey]) -> list[VerifierKey]:
    """Return the witnesses that have cosigned. Raises NotGenuine for a line of one of them that is wrong."""
    names = {(each.name, each.key_id) for each in note.signatures}
    present = [key for key in witnesses if (key.name, key.key_id) in names]
    with naming("the checkpoint"):
        return note.verified_by(present) if present else []


def _check_pinned_checkpoints(
    lineage: Lineage, checkpoint: Checkpoint, pins: Pins, keys: Collection[VerifierKey]
) -> None:
    pinned = []
    for note in pins.checkpoints:
        with naming("the pinned checkpoint"):
            each = Checkpoint.parse(note.text)
            if each.origin != checkpoint.origin:
                raise NotGenuine("the pinned checkpoint", f"it is of the log {each.origin}, not {checkpoint.origin}")
            note.verified_by(keys)
        pinned.append(each)
    in_file = [checkpoint, *(Checkpoint.parse(note.text) for note in lineage.handovers)]
    roots = _roots([*in_file, *pinned])
    proofs = [*lineage.consistency, *map(_consistency, pins.proofs)]
    edges = {(each.from_size, each.to_size) for each in proofs if _holds(each, roots)}
    reached = _reached(checkpoint.size, edges)
    for each in pinned:
        if each.size not in reached and each.size:
            sizes = sorted((each.size, checkpoint.size))
            raise OutOfReach(
                f"the pinned checkpoint of size {each.size}",
                "cannot be reached: get /v1/checkpoints/proof?from={}&to={}".format(*sizes),
            )


def _roots(checkpoints: Iterable[Checkpoint]) -> Mapping[int, bytes]:
    roots = {0: EMPTY_ROOT}
    for each in checkpoints:
        if roots.setdefault(each.size, each.root) != each.root:
            raise NotGenuine("the checkpoints", f"there are two trees of size {each.size}: the log was rewritten")
    return roots


def _consistency(proof: Submission) -> Consistency:
    return Consistency(proof.old_size, Checkpoint.parse(proof.note.text).size, proof.proof)


def _holds(proof: Consistency, roots: Mapping[int, bytes]) -> bool:
    """Whether a proof of two known trees holds; False where one is unknown. Raises NotGenuine for a wrong one."""
    earlier, later = roots.get(proof.from_size), roots.get(proof.to_size)
    if earlier is None or later is None:
        return False
    if not is_consistent(proof.from_size, proof.to_size, proof.hashes, earlier, later):
        sizes = f"the tree of size {proof.to_size} does not begin with that of size {proof.from_size}"
        raise NotGenuine("the proof of consistency", sizes)
    return True


def _reached(size: int, edges: Collection[tuple[int, int]]) -> set[int]:
    """Return the sizes of trees known to be one log with that of `size`: what extends it, and what begins these."""
    reached = {size}
    for earlier, later in sorted(edges):
        if earlier in reached:
            reached.add(later)
    for earlier, later in sorted(edges, key=lambda edge: -edge[1]):
        if later in reached:
            reached.add(earlier)
    return reached
