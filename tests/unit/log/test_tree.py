"""Merkle trees match the published vectors of Certificate Transparency, and no changed proof is accepted."""

from hashlib import sha256

import pytest

from services.log.growing import MemoryTiles
from services.log.reading import read_consistency_proof, read_inclusion_proof
from services.log.tree import EMPTY_ROOT, GrowingTree, is_consistent, is_included, leaf_hash, root_of

# The reference vectors of the Certificate Transparency log implementation: inputs, and the root of the first 1, 2, ...
INPUTS = ("", "00", "10", "2021", "3031", "40414243", "5051525354555657", "606162636465666768696a6b6c6d6e6f")
ROOTS = (
    "6e340b9cffb37a989ca544e6bb780a2c78901d3fb33738768511a30617afa01d",
    "fac54203e7cc696cf0dfcb42c92a1d9dbaf70ad9e621f4bd8d98662f00e3c125",
    "aeb6bcfe274b70a14fb067a5e5578264db0fa9b51af5e0ba159158f329e06e77",
    "d37ee418976dd95753c1c73862b9398fa2a2cf9b4ff0fdfe8b30cd95209614b7",
    "4e3bbb1f7b478dcfe71fb631631519a3bca12c9aefca1612bfce4c13a86264d4",
    "76e67dadbcdf1e10e1b74ddc608abd2f98dfb16fbce75277b5232a127f2087ef",
    "ddb89be403809e325750d3d263cd78929c2942b7942a34b77e122c9594a74c8c",
    "5dc9da79a70659a9ad559cb701ded9a2ab9d823aad2f4960cfe370eff4604328",
)
INCLUSION = {
    (0, 8): (
        "96a296d224f285c67bee93c30f8a309157f0daa35dc5b87e410b78630a09cfc7",
        "5f083f0a1a33ca076a95279832580db3e0ef4584bdff1f54c8a360f50de3031e",
        "6b47aaf29ee3c2af9af889bc1fb9254dabd31177f16232dd6aab035ca39bf6e4",
    ),
    (5, 8): (
        "bc1a0643b12e4d2d7c77918f44e0f4f79a838b6cf9ec5b5c283e1f4d88599e6b",
        "ca854ea128ed050b41b35ffc1b87b8eb2bde461e9e3b5596ece6b9d5975a0ae0",
        "d37ee418976dd95753c1c73862b9398fa2a2cf9b4ff0fdfe8b30cd95209614b7",
    ),
    (2, 3): ("fac54203e7cc696cf0dfcb42c92a1d9dbaf70ad9e621f4bd8d98662f00e3c125",),
    (1, 5): (
        "6e340b9cffb37a989ca544e6bb780a2c78901d3fb33738768511a30617afa01d",
        "5f083f0a1a33ca076a95279832580db3e0ef4584bdff1f54c8a360f50de3031e",
        "bc1a0643b12e4d2d7c77918f44e0f4f79a838b6cf9ec5b5c283e1f4d88599e6b",
    ),
}
CONSISTENCY = {
    (1, 1): (),
    (1, 8): (
        "96a296d224f285c67bee93c30f8a309157f0daa35dc5b87e410b78630a09cfc7",
        "5f083f0a1a33ca076a95279832580db3e0ef4584bdff1f54c8a360f50de3031e",
        "6b47aaf29ee3c2af9af889bc1fb9254dabd31177f16232dd6aab035ca39bf6e4",
    ),
    (6, 8): (
        "0ebc5d3437fbe2db158b9f126a1d118e308181031d0a949f8dededebc558ef6a",
        "ca854ea128ed050b41b35ffc1b87b8eb2bde461e9e3b5596ece6b9d5975a0ae0",
        "d37ee418976dd95753c1c73862b9398fa2a2cf9b4ff0fdfe8b30cd95209614b7",
    ),
    (2, 5): (
        "5f083f0a1a33ca076a95279832580db3e0ef4584bdff1f54c8a360f50de3031e",
        "bc1a0643b12e4d2d7c77918f44e0f4f79a838b6cf9ec5b5c283e1f4d88599e6b",
    ),
}
LEAVES = [leaf_hash(bytes.fromhex(text)) for text in INPUTS]


def inclusion_proof(leaves: list[bytes], index: int) -> list[bytes]:
    return read_inclusion_proof(MemoryTiles(leaves).read, index, len(leaves))


def consistency_proof(leaves: list[bytes], earlier_size: int) -> list[bytes]:
    return read_consistency_proof(MemoryTiles(leaves).read, earlier_size, len(leaves))


def hexes(hashes: list[bytes]) -> tuple[str, ...]:
    return tuple(each.hex() for each in hashes)


def some_leaves(count: int) -> list[bytes]:
    return [sha256(str(number).encode()).digest() for number in range(count)]


def test_the_root_of_nothing_is_the_hash_of_nothing() -> None:
    assert EMPTY_ROOT.hex() == "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855"
    assert root_of([]) == EMPTY_ROOT


def test_a_growing_tree_has_the_published_roots() -> None:
    tree = GrowingTree()
    for leaf, root in zip(LEAVES, ROOTS, strict=True):
        tree.append(leaf)
        assert tree.root().hex() == root


@pytest.mark.parametrize(("index", "size"), INCLUSION)
def test_inclusion_proofs_are_the_published_ones(index: int, size: int) -> None:
    assert hexes(inclusion_proof(LEAVES[:size], index)) == INCLUSION[index, size]


@pytest.mark.parametrize(("earlier", "size"), CONSISTENCY)
def test_consistency_proofs_are_the_published_ones(earlier: int, size: int) -> None:
    assert hexes(consistency_proof(LEAVES[:size], earlier)) == CONSISTENCY[earlier, size]


@pytest.mark.parametrize("size", [1, 2, 3, 4, 5, 7, 8, 9, 31, 32, 33])
def test_every_leaf_is_proven_and_no_other_index_root_or_proof(size: int) -> None:
    leaves = some_leaves(size)
    root = root_of(leaves)
    for index, leaf in enumerate(leaves):
        proof = inclusion_proof(leaves, index)
        assert is_included(leaf, index, size, proof, root)
        assert not any(is_included(leaf, other, size, proof, root) for other in range(-1, size + 1) if other != index)
        assert not is_included(sha256(leaf).digest(), index, size, proof, root)
        assert not is_included(leaf, index, size, proof, sha256(root).digest())
        assert not is_included(leaf, index, size, [*proof, root], root)
        for place in range(len(proof)):
            changed = [*proof[:place], sha256(proof[place]).digest(), *proof[place + 1 :]]
            assert not is_included(leaf, index, size, changed, root)
            assert not is_included(leaf, index, size, proof[:place] + proof[place + 1 :], root)


@pytest.mark.parametrize("size", [1, 2, 3, 4, 6, 7, 8, 13, 16, 17])
def test_every_beginning_is_proven_and_no_other_is(size: int) -> None:
    leaves = some_leaves(size)
    root = root_of(leaves)
    for earlier in range(1, size + 1):
        before = root_of(leaves[:earlier])
        proof = consistency_proof(leaves, earlier)
        assert is_consistent(earlier, size, proof, before, root)
        assert not is_consistent(earlier, size, proof, sha256(before).digest(), root)
        assert not is_consistent(earlier, size, proof, before, sha256(root).digest())
        assert not is_consistent(earlier, size, [*proof, root], before, root)
        for place in range(len(proof)):
            changed = [*proof[:place], sha256(proof[place]).digest(), *proof[place + 1 :]]
            assert not is_consistent(earlier, size, changed, before, root)
    assert not is_consistent(size + 1, size, [], root, root)


def test_an_index_or_a_size_outside_the_tree_is_refused() -> None:
    with pytest.raises(IndexError):
        inclusion_proof(LEAVES, 8)
    with pytest.raises(IndexError):
        consistency_proof(LEAVES, 9)


def test_every_tree_begins_with_the_empty_one_without_a_proof() -> None:
    assert consistency_proof(LEAVES, 0) == []
    assert is_consistent(0, 8, [], EMPTY_ROOT, root_of(LEAVES))
    assert is_consistent(0, 0, [], EMPTY_ROOT, EMPTY_ROOT)
    assert not is_consistent(0, 8, [LEAVES[0]], EMPTY_ROOT, root_of(LEAVES))
    assert not is_consistent(0, 8, [], LEAVES[0], root_of(LEAVES))
