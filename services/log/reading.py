"""Roots and proofs of any tree of a log, out of its tiles: a few of them, in one read."""

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence

from services.log.tiles import TILE_HEIGHT, TILE_WIDTH, Tile, width_of
from services.log.tree import HASH_BYTES, join_subtrees, node_hash

ReadTiles = Callable[[Sequence[Tile]], Mapping[Tile, bytes]]
"""Reads tiles at once: each at the width that is asked for, or wider."""

_Range = tuple[int, int]
"""Leaves from the first up to and without the second."""
_Node = tuple[int, int]
"""A full subtree: its height, and how many of its height stand left of it."""


class MissingTiles(LookupError):
    """Tiles of the tree cannot be read."""


def read_root(read: ReadTiles, size: int) -> bytes:
    """The root of the tree of `size` leaves. Raises MissingTiles."""
    return _hashes(read, [(0, size)], size)[0]


def read_inclusion_proof(read: ReadTiles, index: int, size: int) -> list[bytes]:
    """The hashes from the leaf at `index` (from 0) up to the root; PATH(m, D[n]) of RFC 9162, 2.1.3.1.

    Raises MissingTiles; IndexError for an index outside the tree.
    """
    if not 0 <= index < size:
        raise IndexError(f"there is no leaf {index} in a tree of {size}")
    return _hashes(read, _inclusion_ranges(index, 0, size), size)


def read_consistency_proof(read: ReadTiles, earlier_size: int, size: int) -> list[bytes]:
    """The hashes that show that the tree of `size` begins with that of `earlier_size`; PROOF(m, D[n]) of 2.1.4.1.

    Empty for an earlier size of 0 or of the same size. Raises MissingTiles; IndexError for a size outside the tree.
    """
    if not 0 <= earlier_size <= size:
        raise IndexError(f"no tree of {size} leaves began with {earlier_size}")
    if earlier_size in (0, size):
        return []
    return _hashes(read, _consistency_ranges(earlier_size, 0, size, is_whole=True), size)


def read_leaf(read: ReadTiles, index: int, size: int) -> bytes:
    """The leaf hash at `index` in the tree of `size` leaves. Raises MissingTiles, IndexError."""
    if not 0 <= index < size:
        raise IndexError(f"there is no leaf {index} in a tree of {size}")
    return _hashes(read, [(index, index + 1)], size)[0]


def _inclusion_ranges(index: int, begin: int, end: int) -> list[_Range]:
    ranges: list[_Range] = []
    while end - begin > 1:
        split = begin + _split(end - begin)
        if index < split:
            ranges.append((split, end))
            end = split
        else:
            ranges.append((begin, split))
            begin = split
    return ranges[::-1]


def _consistency_ranges(earlier_end: int, begin: int, end: int, *, is_whole: bool) -> list[_Range]:
    ranges: list[_Range] = []
    while earlier_end != end:
        split = begin + _split(end - begin)
        if earlier_end <= split:
            ranges.append((split, end))
            end = split
        else:
            ranges.append((begin, split))
            begin, is_whole = split, False
    if not is_whole:
        ranges.append((begin, end))
    return ranges[::-1]


def _split(size: int) -> int:
    """The largest power of two below the size."""
    return 1 << (size - 1).bit_length() - 1


def _hashes(read: ReadTiles, ranges: Sequence[_Range], size: int) -> list[bytes]:
    """The root over each range of leaves, each of which is made of full subtrees of the tree."""
    nodes = [list(_nodes(begin, end)) for begin, end in ranges]
    tiles = _tiles(nodes, size)
    contents = read(tiles) if tiles else {}
    if missing := [tile.path for tile in tiles if len(contents.get(tile, b"")) < tile.width * HASH_BYTES]:
        raise MissingTiles(f"the log lacks tiles: {', '.join(missing)}")
    return [join_subtrees([_node(contents, node, size) for node in each]) for each in nodes]


def _nodes(begin: int, end: int) -> Iterator[_Node]:
    """The full subtrees side by side, the largest first, of a range that begins where the first one may."""
    while begin < end:
        height = (end - begin).bit_length() - 1
        yield height, begin >> height
        begin += 1 << height


def _tiles(nodes: Iterable[Iterable[_Node]], size: int) -> list[Tile]:
    return sorted({_place(node, size)[0] for each in nodes for node in each})


def _place(node: _Node, size: int) -> tuple[Tile, int, int]:
    """The tile that has a full subtree, and from where to where its hashes stand in it."""
    height, number = node
    level, rest = divmod(height, TILE_HEIGHT)
    first = number << rest
    index, begin = divmod(first, TILE_WIDTH)
    return Tile(level, index, width_of(level, index, size)), begin, begin + (1 << rest)


def _node(contents: Mapping[Tile, bytes], node: _Node, size: int) -> bytes:
    tile, begin, end = _place(node, size)
    return subtree_root(contents[tile][begin * HASH_BYTES : end * HASH_BYTES])


def subtree_root(hashes: bytes) -> bytes:
    """The root over hashes that stand side by side, a power of two of them."""
    row = [hashes[begin : begin + HASH_BYTES] for begin in range(0, len(hashes), HASH_BYTES)]
    while len(row) > 1:
        row = [node_hash(row[place], row[place + 1]) for place in range(0, len(row), 2)]
    return row[0]
