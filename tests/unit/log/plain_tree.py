"""Roots and proofs of RFC 9162 written from its definitions, over lists of leaves, to test the tiles against."""

from collections.abc import Sequence
from hashlib import sha256


def leaves_of(count: int) -> list[bytes]:
    """Leaf hashes that differ."""
    return [sha256(b"\x00" + str(number).encode()).digest() for number in range(count)]


def root(leaves: Sequence[bytes]) -> bytes:
    """MTH(D[n]) of RFC 9162, 2.1.1."""
    if not leaves:
        return sha256(b"").digest()
    if len(leaves) == 1:
        return leaves[0]
    split = _split(len(leaves))
    return sha256(b"\x01" + root(leaves[:split]) + root(leaves[split:])).digest()


def inclusion_proof(leaves: Sequence[bytes], index: int) -> list[bytes]:
    """PATH(m, D[n]) of 2.1.3.1."""
    if len(leaves) == 1:
        return []
    split = _split(len(leaves))
    if index < split:
        return [*inclusion_proof(leaves[:split], index), root(leaves[split:])]
    return [*inclusion_proof(leaves[split:], index - split), root(leaves[:split])]


def consistency_proof(leaves: Sequence[bytes], earlier_size: int) -> list[bytes]:
    """PROOF(m, D[n]) of 2.1.4.1."""
    return _subproof(leaves, earlier_size, is_whole=True)


def _subproof(leaves: Sequence[bytes], earlier_size: int, *, is_whole: bool) -> list[bytes]:
    if earlier_size == len(leaves):
        return [] if is_whole else [root(leaves)]
    split = _split(len(leaves))
    if earlier_size <= split:
        return [*_subproof(leaves[:split], earlier_size, is_whole=is_whole), root(leaves[split:])]
    return [*_subproof(leaves[split:], earlier_size - split, is_whole=False), root(leaves[:split])]


def _split(size: int) -> int:
    return 1 << (size - 1).bit_length() - 1
