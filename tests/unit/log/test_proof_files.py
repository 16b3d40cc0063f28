"""Proof files are those of C2SP tlog-proof, and bodies for witnesses those of tlog-witness; no changed one is taken."""

import pytest

from services.log.checkpoint import Checkpoint
from services.log.growing import MemoryTiles
from services.log.note import UnverifiedNote
from services.log.proof_file import BadProofFile, ProofFile
from services.log.reading import read_consistency_proof, read_inclusion_proof, read_root
from services.log.submission import BadSubmission, Submission
from tests.unit.log.plain_tree import leaves_of
from tests.unit.log.signers import signer

LOG = signer("log.example/1")
LEAVES = leaves_of(11)
TILES = MemoryTiles(LEAVES)
NOTE = Checkpoint("log.example/1", 11, read_root(TILES.read, 11)).signed_by(LOG)
PROOF = ProofFile(5, tuple(read_inclusion_proof(TILES.read, 5, 11)), NOTE, b"extra data")
SUBMISSION = Submission(7, tuple(read_consistency_proof(TILES.read, 7, 11)), NOTE)


def test_a_proof_file_has_the_lines_of_the_specification() -> None:
    lines = str(PROOF).split("\n")
    assert lines[:3] == ["c2sp.org/tlog-proof@v1", "extra ZXh0cmEgZGF0YQ==", "index 5"]
    assert lines[3 + len(PROOF.proof) :] == ["", *str(NOTE).split("\n")]
    assert ProofFile.parse(str(PROOF)) == PROOF
    assert ProofFile.parse(str(PROOF).encode()).proves(LEAVES[5])


def test_a_proof_may_lack_extra_data_and_hashes() -> None:
    alone = ProofFile(0, (), Checkpoint("log.example/1", 1, LEAVES[0]).signed_by(LOG))
    assert "extra" not in str(alone)
    assert ProofFile.parse(str(alone)) == alone
    assert alone.proves(LEAVES[0])
    assert not alone.proves(LEAVES[1])


def test_no_changed_byte_of_a_proof_proves_the_leaf() -> None:
    content = str(PROOF).encode()
    extra = range(content.index(b"ZXh0"), content.index(b"\nindex"))  # which proves nothing
    for at in (each for each in range(len(content)) if each not in extra):
        changed = content[:at] + bytes([content[at] ^ 1]) + content[at + 1 :]
        try:
            proof = ProofFile.parse(changed)
            proof.note.verified_by([LOG.key])
        except (BadProofFile, UnverifiedNote):
            continue
        assert not proof.proves(LEAVES[5]), at


@pytest.mark.parametrize(
    "content",
    [
        str(PROOF).replace("@v1", "@v2"),
        str(PROOF).replace("index 5", "index 05"),
        str(PROOF).replace("index 5\n", ""),
        str(PROOF).replace("extra ZX", "extra  ZX"),
        str(PROOF).replace("\n", "\r\n"),
        str(PROOF).replace("\n\n", "\n", 1),
        str(PROOF) + "\n",
        "",
        b"\xff",
    ],
)
def test_another_content_is_no_proof_file(content: str | bytes) -> None:
    with pytest.raises(BadProofFile):
        ProofFile.parse(content)


def test_a_submission_has_the_lines_of_the_specification() -> None:
    assert str(SUBMISSION).startswith("old 7\n")
    assert Submission.parse(str(SUBMISSION)) == SUBMISSION
    first = Submission(0, (), NOTE)
    assert str(first) == "old 0\n\n" + str(NOTE)
    assert Submission.parse(str(first)) == first


@pytest.mark.parametrize(
    "content",
    [
        str(SUBMISSION).replace("old 7", "old 07"),
        str(SUBMISSION).replace("old 7", "new 7"),
        str(SUBMISSION).replace("\n\n", "\n", 1),
        "old 7\n" + "A" * 43 + "=\n" * 1 + ("A" * 43 + "=\n") * 63 + "\n" + str(NOTE),
        "old 7\nAAAA\n\n" + str(NOTE),
        "old 7\n\n" + NOTE.text,
        str(NOTE),
        b"\xff",
    ],
)
def test_another_content_is_no_submission(content: str | bytes) -> None:
    with pytest.raises(BadSubmission):
        Submission.parse(content)
