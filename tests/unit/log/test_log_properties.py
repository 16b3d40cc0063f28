"""Whatever a tree's size and the steps in which it grew: tiles give the roots and proofs of RFC 9162's definitions."""

from hypothesis import given
from hypothesis import strategies as st

from services.log.checkpoint import Checkpoint
from services.log.growing import MemoryTiles
from services.log.note import Note, Signature
from services.log.proof_file import ProofFile
from services.log.reading import read_consistency_proof, read_inclusion_proof, read_root
from services.log.submission import Submission
from services.log.tiles import BadTilePath, Tile
from services.log.tree import is_consistent, is_included
from tests.unit.log import plain_tree
from tests.unit.log.signers import signer

LEAVES = plain_tree.leaves_of(1_200)
SIZES = st.integers(0, len(LEAVES))
HASHES = st.binary(min_size=32, max_size=32)
NAMES = st.text(st.characters(exclude_categories=["C", "Z"], exclude_characters="+"), min_size=1, max_size=20)
NOTE = Checkpoint("log.example/1", 3, bytes(32)).signed_by(signer("log.example/1"))


@given(st.lists(SIZES, min_size=1, max_size=6).map(sorted), st.data())
def test_roots_and_proofs_are_those_of_the_definitions(sizes: list[int], data: st.DataObject) -> None:
    tiles = MemoryTiles()
    for begin, end in zip([0, *sizes], sizes, strict=False):
        tiles.extend(LEAVES[begin:end])
    size = sizes[-1]
    earlier = data.draw(st.integers(0, size))
    root, before = read_root(tiles.read, size), read_root(tiles.read, earlier)

    assert root == plain_tree.root(LEAVES[:size])
    assert before == plain_tree.root(LEAVES[:earlier])
    proof = read_consistency_proof(tiles.read, earlier, size)
    assert is_consistent(earlier, size, proof, before, root)
    if earlier:
        assert proof == plain_tree.consistency_proof(LEAVES[:size], earlier)
    if size:
        index = data.draw(st.integers(0, size - 1))
        inclusion = read_inclusion_proof(tiles.read, index, size)
        assert inclusion == plain_tree.inclusion_proof(LEAVES[:size], index)
        assert is_included(LEAVES[index], index, size, inclusion, root)


@given(st.integers(0, 300), st.integers(0, 300), st.lists(HASHES, max_size=9), HASHES, HASHES)
def test_no_proof_made_up_at_random_holds(
    earlier: int, size: int, proof: list[bytes], before: bytes, root: bytes
) -> None:
    assert not is_included(LEAVES[0], earlier, size, proof, root)
    if earlier != size:
        assert not is_consistent(earlier, size, proof, before, root)


@given(st.integers(0, 63), st.integers(0, 10**12), st.integers(1, 256))
def test_every_tile_has_one_path(level: int, index: int, width: int) -> None:
    tile = Tile(level, index, width)
    assert Tile.parse(tile.path) == tile


@given(st.text(st.sampled_from("0123456789x/.p-+e "), max_size=20))
def test_a_path_that_is_read_is_the_one_that_is_written(path: str) -> None:
    try:
        tile = Tile.parse(path)
    except BadTilePath:
        return
    assert tile.path == path


@given(NAMES, st.integers(0, 2**63 - 1), HASHES, st.lists(NAMES, max_size=3), st.binary(min_size=5, max_size=90))
def test_notes_proofs_and_submissions_are_read_as_they_were_written(
    origin: str, size: int, root: bytes, extensions: list[str], signature: bytes
) -> None:
    checkpoint = Checkpoint(origin, size, root, tuple(extensions))
    assert Checkpoint.parse(checkpoint.text) == checkpoint
    note = Note(checkpoint.text, (Signature(origin, signature[:4], signature[4:]),))
    assert Note.parse(str(note)) == note
    proof = ProofFile(size, (root, root), note, signature)
    assert ProofFile.parse(str(proof)) == proof
    submission = Submission(size, (root,), note)
    assert Submission.parse(str(submission)) == submission


@given(st.integers(0, len(str(NOTE).encode()) - 1), st.integers(1, 255))
def test_no_byte_of_a_signed_checkpoint_can_change(at: int, change: int) -> None:
    content = str(NOTE).encode()
    changed = content[:at] + bytes([content[at] ^ change]) + content[at + 1 :]
    try:
        note = Note.parse(changed)
    except ValueError:
        return
    assert not note.is_signed_by(signer("log.example/1").key)
