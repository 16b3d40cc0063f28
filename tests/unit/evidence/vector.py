"""Defines a vector: a file, what is pinned, and what is wrong with it."""

from collections.abc import Sequence

from msgspec import Struct


class Vector(Struct, frozen=True):
    """A file to judge; `why` says what is wrong, and is empty for one that holds."""

    file: str
    content: bytes
    keys: Sequence[str] = ()
    checkpoints: Sequence[bytes] = ()
    why: str = ""
