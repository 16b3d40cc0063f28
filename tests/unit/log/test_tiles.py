"""Tiles have the paths and widths of C2SP tlog-tiles; roots and proofs from them are those of RFC 9162."""

import random

import pytest

from services.log.growing import MemoryTiles, TileWriter
from services.log.reading import (
    MissingTiles,
    read_consistency_proof,
    read_inclusion_proof,
    read_leaf,
    read_root,
)
from services.log.tiles import BadTilePath, Tile, last_tiles, width_of
from services.log.tree import EMPTY_ROOT, is_consistent, is_included, root_of
from tests.unit.log import plain_tree

# C2SP's own example: the path of index 1234067; and one of each width of index.
PATHS = {
    "0/x001/x234/067": Tile(0, 1_234_067),
    "0/000": Tile(0, 0),
    "1/017.p/17": Tile(1, 17, 17),
    "63/999": Tile(63, 999),
    "0/x001/000.p/255": Tile(0, 1_000, 255),
}


@pytest.mark.parametrize(("path", "tile"), PATHS.items())
def test_a_path_names_one_tile(path: str, tile: Tile) -> None:
    assert Tile.parse(path) == tile
    assert tile.path == path


@pytest.mark.parametrize(
    "path",
    """64/000 00/000 -1/000 0/0 0/00 0/0000 0/x000/000 0/x001 0/001/000 0/x001/x002 0/000.p/0 0/000.p/256 0/000.p/01
    0/000.p/ 0/000.p/1/ 0/000/ /0/000 entries/000 data/000 0/٠٠٠ 0/000.p/1.p/1 0/+01 0/x1/000""".split(),
)
def test_another_path_names_none(path: str) -> None:
    with pytest.raises(BadTilePath):
        Tile.parse(path)


def test_a_tree_of_70_000_has_the_tiles_that_the_specification_counts() -> None:
    assert list(last_tiles(70_000)) == [Tile(0, 273, 112), Tile(1, 1, 17), Tile(2, 0, 1)]
    assert [width_of(0, index, 70_000) for index in (0, 272, 273, 274)] == [256, 256, 112, 0]
    assert list(last_tiles(256)) == [Tile(1, 0, 1)]
    assert list(last_tiles(0)) == []


def test_only_hashes_of_full_subtrees_are_in_a_tree() -> None:
    assert Tile(0, 273, 112).is_in(70_000)
    assert not Tile(0, 273, 113).is_in(70_000)
    assert not Tile(1, 1).is_in(70_000)
    assert Tile(1, 0, 1).is_in(256)
    assert not Tile(1, 0, 1).is_in(255)


@pytest.mark.parametrize("size", [1, 2, 255, 256, 257, 511, 1_000, 65_536, 65_537, 66_000])
def test_tiles_give_every_root_and_proof_of_a_tree_and_of_those_before_it(size: int) -> None:
    rng, leaves = random.Random(size), plain_tree.leaves_of(size)
    tiles = MemoryTiles()
    for begin in range(0, size, step := max(1, size // 7)):  # grown in steps that end within tiles
        tiles.extend(leaves[begin : begin + step])
    root = read_root(tiles.read, size)

    assert root == root_of(leaves)
    for _ in range(5):
        index, earlier = rng.randrange(size), rng.randint(1, size)
        proof = read_inclusion_proof(tiles.read, index, size)
        assert proof == plain_tree.inclusion_proof(leaves, index)
        assert is_included(leaves[index], index, size, proof, root)
        assert read_leaf(tiles.read, index, size) == leaves[index]
        consistency = read_consistency_proof(tiles.read, earlier, size)
        assert consistency == plain_tree.consistency_proof(leaves, earlier)
        assert read_root(tiles.read, earlier) == plain_tree.root(leaves[:earlier])
        assert is_consistent(earlier, size, consistency, plain_tree.root(leaves[:earlier]), root)


def test_tiles_do_not_depend_on_the_steps_in_which_a_tree_grew() -> None:
    leaves = plain_tree.leaves_of(1_300)
    at_once, one_by_one = MemoryTiles(leaves), MemoryTiles()
    for leaf in leaves:
        one_by_one.extend([leaf])
    assert at_once.contents == one_by_one.contents


@pytest.mark.parametrize("size", [0, 1, 255, 256, 257, 511, 512, 65_535, 65_536, 65_537])
def test_who_writes_tiles_knows_the_root(size: int) -> None:
    writer = TileWriter(MemoryTiles().read, 0)
    writer.extend(plain_tree.leaves_of(size))
    assert writer.root() == plain_tree.root(plain_tree.leaves_of(size))


def test_growing_writes_no_tile_but_those_that_change() -> None:
    tiles = MemoryTiles(plain_tree.leaves_of(70_000))
    writer = TileWriter(tiles.read, tiles.size)
    writer.extend(plain_tree.leaves_of(10))
    assert set(writer.changed) == {(0, 273), (1, 1), (2, 0)}


def test_a_proof_in_a_tree_of_100_million_takes_one_read_of_a_few_tiles() -> None:
    size, reads = 100_000_003, []

    def read(tiles: object) -> dict[Tile, bytes]:
        assert isinstance(tiles, list)
        reads.append(tiles)
        return {tile: bytes(32 * tile.width) for tile in tiles}

    read_inclusion_proof(read, 12_345_678, size)
    read_consistency_proof(read, 99_999_000, size)
    read_root(read, size)
    assert [len(tiles) for tiles in reads] == [7, 5, 4]


def test_a_tile_that_is_missing_or_cut_short_is_named() -> None:
    tiles = MemoryTiles(plain_tree.leaves_of(600))
    tiles.contents[0, 1] = tiles.contents[0, 1][:-32]
    with pytest.raises(MissingTiles, match="0/001"):
        read_inclusion_proof(tiles.read, 300, 600)
    del tiles.contents[0, 2]
    with pytest.raises(MissingTiles, match=r"0/002\.p/88"):
        TileWriter(tiles.read, 600)


def test_the_empty_tree_has_no_tiles_and_its_root() -> None:
    assert read_root(MemoryTiles().read, 0) == EMPTY_ROOT
