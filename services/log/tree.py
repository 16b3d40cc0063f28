"""Hashes of trees as RFC 9162 (Certificate Transparency 2.0) defines them, and the check of its proofs.

All hashes are SHA-256, 32 bytes.
"""

from collections.abc import Iterable, Sequence
from hashlib import sha256

HASH_BYTES = 32
PROOF_HASHES_LIMIT = 63
EMPTY_ROOT = sha256(b"").digest()


def leaf_hash(entry: bytes) -> bytes:
    """The leaf hash of an entry, with the prefix 0x00."""
    return sha256(b"\x00" + entry).digest()


def node_hash(left: bytes, right: bytes) -> bytes:
    """The hash of an inner node, with the prefix 0x01."""
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
        return join_subtrees(self._full)


def root_of(leaves: Iterable[bytes]) -> bytes:
    """The root over leaf hashes; MTH(D[n]) of RFC 9162, 2.1.1."""
    return GrowingTree(leaves).root()


def join_subtrees(roots: Sequence[bytes]) -> bytes:
    """The root over full subtrees that stand side by side, the largest first."""
    if not roots:
        return EMPTY_ROOT
    root = roots[-1]
    for left in reversed(roots[:-1]):
        root = node_hash(left, root)
    return root


def is_included(leaf: bytes, index: int, size: int, proof: Sequence[bytes], root: bytes) -> bool:
    """Whether the proof leads from the leaf at `index` (from 0) to the root of a tree of `size` leaves; 2.1.3.2."""
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


def is_consistent(earlier_size: int, size: int, proof: Sequence[bytes], earlier_root: bytes, root: bytes) -> bool:
    """Whether the tree of `size` leaves begins with that of `earlier_size`; 2.1.4.2.

    The empty tree is the beginning of every tree, with an empty proof.
    """
    if earlier_size == size:
        return not proof and earlier_root == root
    if earlier_size == 0:
        return size > 0 and not proof and earlier_root == EMPTY_ROOT
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
