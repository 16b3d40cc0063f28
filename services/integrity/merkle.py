"""Computes roots and proofs of Merkle trees as RFC 9162 (Certificate Transparency 2.0) defines them.

The leaf hash of an event is its hash in the chain (`services/ledger/hashing.py`), which has the leaf prefix. All hashes
are SHA-256, 32 bytes.
"""

from collections.abc import Iterable, Sequence
from hashlib import sha256

EMPTY_ROOT = sha256(b"").digest()


def leaf_hash(data: bytes) -> bytes:
    """The leaf hash of data, with the prefix 0x00 of RFC 9162."""
    return sha256(b"\x00" + data).digest()


def node_hash(left: bytes, right: bytes) -> bytes:
    """The hash of an inner node, with the prefix 0x01 of RFC 9162."""
    return sha256(b"\x01" + left + right).digest()


class GrowingTree:
    """A tree that grows by leaves. It holds only the roots of its full subtrees, one for each 1 bit of its size."""

    def __init__(self, leaves: Iterable[bytes] = ()) -> None:
        self.size = 0
        self._full: list[bytes] = []
        for leaf in leaves:
            self.append(leaf)

    def append(self, leaf: bytes) -> None:
        """Append a leaf hash."""
        size = self.size
        while size & 1:
            leaf = node_hash(self._full.pop(), leaf)
            size >>= 1
        self._full.append(leaf)
        self.size += 1

    def root(self) -> bytes:
        """The root over all leaves so far, in logarithmic time."""
        if not self._full:
            return EMPTY_ROOT
        root = self._full[-1]
        for left in reversed(self._full[:-1]):
            root = node_hash(left, root)
        return root


def root_of(leaves: Iterable[bytes]) -> bytes:
    """The root over leaf hashes; MTH(D[n]) of RFC 9162, 2.1.1."""
    return GrowingTree(leaves).root()


def inclusion_proof(leaves: Sequence[bytes], index: int) -> list[bytes]:
    """The hashes that lead from the leaf at `index` (from 0) to the root; PATH(m, D[n]) of 2.1.3.1.

    Raises IndexError for an index outside the tree.
    """
    if not 0 <= index < len(leaves):
        raise IndexError(f"there is no leaf {index} among {len(leaves)}")
    if len(leaves) == 1:
        return []
    split = _split(len(leaves))
    if index < split:
        return [*inclusion_proof(leaves[:split], index), root_of(leaves[split:])]
    return [*inclusion_proof(leaves[split:], index - split), root_of(leaves[:split])]


def is_included(leaf: bytes, index: int, size: int, proof: Sequence[bytes], root: bytes) -> bool:
    """Whether the proof leads from the leaf at `index` to the root of a tree of `size` leaves; 2.1.3.2."""
    if not 0 <= index < size:
        return False
    place, last, reached = index, size - 1, leaf
    for step in proof:
        if last == 0:
            return False
        if place & 1 or place == last:
            reached = node_hash(step, reached)
            while not place & 1 and place:
                place, last = place >> 1, last >> 1
        else:
            reached = node_hash(reached, step)
        place, last = place >> 1, last >> 1
    return last == 0 and reached == root


def consistency_proof(leaves: Sequence[bytes], earlier_size: int) -> list[bytes]:
    """The hashes that prove that the first `earlier_size` leaves were a tree of their own; PROOF(m, D[n]) of 2.1.4.1.

    Raises IndexError for a size below 1 or above the number of leaves.
    """
    if not 0 < earlier_size <= len(leaves):
        raise IndexError(f"no tree of {len(leaves)} leaves began with {earlier_size}")
    return _subproof(leaves, earlier_size, is_whole=True)


def is_consistent(earlier_size: int, size: int, proof: Sequence[bytes], earlier_root: bytes, root: bytes) -> bool:
    """Whether the proof leads from the root of the tree of `earlier_size` leaves to that of `size`; 2.1.4.2."""
    if earlier_size == size:
        return not proof and earlier_root == root
    if not 0 < earlier_size < size:
        return False
    is_power_of_two = earlier_size & (earlier_size - 1) == 0
    steps = [earlier_root, *proof] if is_power_of_two else list(proof)
    if not steps:
        return False
    place, last = earlier_size - 1, size - 1
    while place & 1:
        place, last = place >> 1, last >> 1
    earlier = reached = steps[0]
    for step in steps[1:]:
        if last == 0:
            return False
        if place & 1 or place == last:
            earlier, reached = node_hash(step, earlier), node_hash(step, reached)
            while not place & 1 and place:
                place, last = place >> 1, last >> 1
        else:
            reached = node_hash(reached, step)
        place, last = place >> 1, last >> 1
    return last == 0 and earlier == earlier_root and reached == root


def _subproof(leaves: Sequence[bytes], earlier_size: int, *, is_whole: bool) -> list[bytes]:
    if earlier_size == len(leaves):
        return [] if is_whole else [root_of(leaves)]
    split = _split(len(leaves))
    if earlier_size <= split:
        return [*_subproof(leaves[:split], earlier_size, is_whole=is_whole), root_of(leaves[split:])]
    return [*_subproof(leaves[split:], earlier_size - split, is_whole=False), root_of(leaves[:split])]


def _split(size: int) -> int:
    """The largest power of two below the size."""
    return 1 << (size - 1).bit_length() - 1
