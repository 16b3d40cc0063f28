"""The keys of a log: each hands over to the next by a checkpoint that names it and that both sign.

A second signature on a checkpoint without the line `next VKEY` means nothing: anyone can add his own to an old note.
"""

from collections.abc import Iterable
from typing import Self

from msgspec import Struct

from services.log.checkpoint import BadCheckpoint, Checkpoint, open_checkpoint
from services.log.keys import VerifierKey
from services.log.note import Note, UnverifiedNote


class BrokenSuccession(ValueError):
    """A note that a log's key has signed does not hand over to another as it must."""


class Succession(Struct, frozen=True):
    """Keys of a log, oldest first, and the sizes of the tree at which each but the last handed over."""

    keys: tuple[VerifierKey, ...]
    sizes: tuple[int, ...] = ()

    @classmethod
    def of(cls, key: VerifierKey) -> Self:
        """The succession that begins with a key which is trusted."""
        return cls((key,))

    @property
    def origin(self) -> str:
        """The origin of the log, which is the name of each of its keys."""
        return self.keys[0].name

    @property
    def current(self) -> VerifierKey:
        """The key that signs now."""
        return self.keys[-1]

    def signing_at(self, size: int) -> list[VerifierKey]:
        """The keys that may sign a checkpoint of a size; two of them where one hands over to the other."""
        begins, ends = (0, *self.sizes), (*self.sizes, None)
        return [
            key
            for key, begin, end in zip(self.keys, begins, ends, strict=True)
            if begin <= size and (end is None or size <= end)
        ]

    def open(self, note: Note) -> Checkpoint:
        """The checkpoint of a note, signed by a key that might sign it then. Raises UnverifiedNote, BadCheckpoint."""
        return open_checkpoint(note, self.signing_at(Checkpoint.parse(note.text).size))

    def hand_over(self, note: Note) -> Self:
        """The succession with the key to which a note of its current key hands over. Raises BrokenSuccession."""
        try:
            checkpoint = open_checkpoint(note, [self.current])
        except (UnverifiedNote, BadCheckpoint) as error:
            raise BrokenSuccession(f"no hand-over by key {self.current.key_id.hex()}: {error}") from None
        next_key = checkpoint.next_key
        if next_key is None or next_key in self.keys:
            raise BrokenSuccession(
                "no hand-over: the checkpoint has not one line `next VKEY` with a new key of its log"
            )
        if not note.is_signed_by(next_key):
            raise BrokenSuccession(f"no hand-over: key {next_key.key_id.hex()} has not signed it")
        if self.sizes and checkpoint.size < self.sizes[-1]:
            raise BrokenSuccession(f"a hand-over at size {checkpoint.size}, after one at size {self.sizes[-1]}")
        return type(self)((*self.keys, next_key), (*self.sizes, checkpoint.size))


def follow(keys: Iterable[VerifierKey], notes: Iterable[Note]) -> list[Succession]:
    """The succession of each key that is trusted, by the hand-overs among the notes, which stand oldest first.

    Notes that do not hand over from the current key are passed over.
    """
    successions = [Succession.of(key) for key in keys]
    for note in notes:
        successions = [_after(each, note) for each in successions]
    return successions


def _after(succession: Succession, note: Note) -> Succession:
    try:
        return succession.hand_over(note)
    except BrokenSuccession:
        return succession
