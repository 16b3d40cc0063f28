"""Tiles (C2SP `tlog-tiles`): up to 256 hashes of a tree that stand side by side, eight levels of it at once."""

import re
from collections.abc import Iterator
from typing import Self

from msgspec import Struct

from services.log.tree import HASH_BYTES

TILE_HEIGHT = 8
TILE_WIDTH = 1 << TILE_HEIGHT
TILE_BYTES = TILE_WIDTH * HASH_BYTES
LEVELS = 8
"""The levels of tiles that a tree of fewer than 2^63 leaves can have."""
_PATH = re.compile(r"([0-9]|[1-5][0-9]|6[0-3])/((?:x[0-9]{3}/){0,6}[0-9]{3})(?:\.p/([1-9][0-9]{0,2}))?")


class BadTilePath(ValueError):
    """The path names no tile."""


class Tile(Struct, frozen=True, order=True):
    """The place of a tile in a tree, and how many of its hashes are meant."""

    level: int
    index: int
    width: int = TILE_WIDTH

    @classmethod
    def parse(cls, path: str) -> Self:
        """The tile of a path, `LEVEL/INDEX[.p/WIDTH]`. Raises BadTilePath."""
        if (match := _PATH.fullmatch(path)) is None:
            raise BadTilePath(f"{path!r} is the path of no tile")
        level, index, width = match.groups()
        tile = cls(int(level), int(index.replace("x", "").replace("/", "")), int(width or TILE_WIDTH))
        if tile.path != path:  # a needless element of zeros, or a width that is none of a partial tile
            raise BadTilePath(f"{path!r} is the path of no tile")
        return tile

    @property
    def path(self) -> str:
        """Its path: `LEVEL/INDEX`, with `.p/WIDTH` where it is partial."""
        digits = str(self.index)
        digits = digits.zfill(-(-len(digits) // 3) * 3)
        groups = [digits[begin : begin + 3] for begin in range(0, len(digits), 3)]
        elements = [*(f"x{group}" for group in groups[:-1]), groups[-1]]
        return f"{self.level}/{'/'.join(elements)}" + ("" if self.width == TILE_WIDTH else f".p/{self.width}")

    def is_in(self, size: int) -> bool:
        """Whether all of its hashes are of full subtrees of a tree of `size` leaves."""
        return self.index * TILE_WIDTH + self.width <= size >> TILE_HEIGHT * self.level


def width_of(level: int, index: int, size: int) -> int:
    """How many hashes a tile has in a tree of `size` leaves, 0 where it is beyond."""
    return max(0, min(TILE_WIDTH, (size >> TILE_HEIGHT * level) - index * TILE_WIDTH))


def last_tiles(size: int) -> Iterator[Tile]:
    """The partial tile of each level at the right edge of a tree of `size` leaves, where there is one."""
    for level in range(LEVELS):
        hashes = size >> TILE_HEIGHT * level
        if hashes % TILE_WIDTH:
            yield Tile(level, hashes // TILE_WIDTH, hashes % TILE_WIDTH)
