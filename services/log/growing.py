"""Tiles of a tree to which leaves are added: what is written for them, at the cost of the tiles that change."""

from collections.abc import Iterable, Sequence

from services.log.reading import MissingTiles, ReadTiles, read_root, subtree_root
from services.log.tiles import LEVELS, TILE_BYTES, TILE_HEIGHT, Tile, last_tiles
from services.log.tree import HASH_BYTES


class TileWriter:
    """The right edge of a tree. `changed` has the tiles that are new or wider than before, by level and index."""

    def __init__(self, read: ReadTiles, size: int) -> None:
        """Begin at a tree of `size` leaves. Raises MissingTiles."""
        self.size = size
        self.changed: dict[tuple[int, int], bytes] = {}
        partial = list(last_tiles(size))
        contents = read(partial) if partial else {}
        self._edge: dict[int, bytearray] = {}
        for tile in partial:
            content = contents.get(tile, b"")[: tile.width * HASH_BYTES]
            if len(content) != tile.width * HASH_BYTES:
                raise MissingTiles(f"the log lacks tile {tile.path}")
            self._edge[tile.level] = bytearray(content)
        self._full = {level: size >> TILE_HEIGHT * (level + 1) for level in range(LEVELS + 1)}

    def extend(self, leaves: Iterable[bytes]) -> None:
        """Append leaf hashes."""
        edge = self._edge.setdefault(0, bytearray())
        for leaf in leaves:
            edge += leaf
            self.size += 1
            if len(edge) == TILE_BYTES:
                self._close(0)
        self._note_edge()

    def root(self) -> bytes:
        """The root over all leaves so far."""

        def read(tiles: Sequence[Tile]) -> dict[Tile, bytes]:
            return {tile: bytes(self._edge[tile.level]) for tile in tiles}

        return read_root(read, self.size)

    def _close(self, level: int) -> None:
        """Put the full tile of a level away, and its root into the tile above."""
        content = bytes(self._edge[level])
        self._edge[level].clear()
        self.changed[level, self._full[level]] = content
        self._full[level] += 1
        above = self._edge.setdefault(level + 1, bytearray())
        above += subtree_root(content)
        if len(above) == TILE_BYTES:
            self._close(level + 1)

    def _note_edge(self) -> None:
        for level, content in self._edge.items():
            if content:
                self.changed[level, self._full[level]] = bytes(content)


class MemoryTiles:
    """Tiles that are kept in memory: for tests, and for trees that come as a file."""

    def __init__(self, leaves: Iterable[bytes] = ()) -> None:
        self.size = 0
        self.contents: dict[tuple[int, int], bytes] = {}
        self.extend(leaves)

    def extend(self, leaves: Iterable[bytes]) -> None:
        """Append leaf hashes."""
        writer = TileWriter(self.read, self.size)
        writer.extend(leaves)
        self.contents |= writer.changed
        self.size = writer.size

    def read(self, tiles: Iterable[Tile]) -> dict[Tile, bytes]:
        """The tiles that are there, at the width that is asked for."""
        found = {tile: self.contents.get((tile.level, tile.index), b"") for tile in tiles}
        return {
            tile: content[: tile.width * HASH_BYTES]
            for tile, content in found.items()
            if len(content) >= tile.width * HASH_BYTES
        }
