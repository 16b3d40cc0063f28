"""A witness cosigns what extends the newest tree that it saw of a log, and answers as C2SP tlog-witness says."""

import pytest

from services.log.checkpoint import Checkpoint
from services.log.growing import MemoryTiles
from services.log.keys import Signer
from services.log.note import Note
from services.log.reading import read_consistency_proof, read_root
from services.log.submission import Submission
from services.log.tree import EMPTY_ROOT
from services.log.witness import (
    Accepted,
    Refused,
    Submitted,
    Witnessed,
    decide,
    read_submission,
    with_configured_keys,
)
from tests.unit.log.plain_tree import leaves_of
from tests.unit.log.signers import signer, witness

ORIGIN = "log.example/1"
LOG, NEXT, STRANGER = signer(ORIGIN), signer(ORIGIN, "next"), signer(ORIGIN, "stranger")
WITNESS = witness()
TILES = MemoryTiles(leaves_of(300))
OTHER = MemoryTiles(leaves_of(300)[1:])
NEW = Witnessed((LOG.key,))


def at(size: int, tiles: MemoryTiles = TILES) -> Checkpoint:
    return Checkpoint(ORIGIN, size, read_root(tiles.read, size))


def submit(
    known: Witnessed | None, old: int, note: Note, proof: list[bytes] | None = None, tiles: MemoryTiles = TILES
) -> Accepted | Refused:
    size = Checkpoint.parse(note.text).size
    if proof is None:
        proof = read_consistency_proof(tiles.read, old, size) if old <= size else []
    submitted = read_submission(str(Submission(old, tuple(proof), note)).encode())
    assert isinstance(submitted, Submitted)
    return decide(submitted, known, WITNESS, 1_700_000_000)


def accepted(answer: Accepted | Refused) -> Witnessed:
    assert isinstance(answer, Accepted), answer
    return answer.witnessed


def test_checkpoints_that_extend_one_another_are_cosigned() -> None:
    known = NEW
    for old, size in [(0, 0), (0, 3), (3, 3), (3, 256), (256, 300)]:
        answer = submit(known, old, at(size).signed_by(LOG))
        known = accepted(answer)
        assert isinstance(answer, Accepted)
        assert known.note is not None
        assert known.note.verified_by([LOG.key, WITNESS.key]) == [LOG.key, WITNESS.key]
        assert known.note.signatures[-1].line == answer.line
        assert (known.size, known.root) == (size, at(size).root)


AT_100 = accepted(submit(NEW, 0, at(100).signed_by(LOG)))


@pytest.mark.parametrize(
    ("known", "old", "note", "proof", "status"),
    [
        pytest.param(None, 0, at(3).signed_by(LOG), [], 404, id="an unknown origin"),
        pytest.param(NEW, 0, at(3).signed_by(STRANGER), [], 403, id="an unknown key"),
        pytest.param(AT_100, 200, at(150).signed_by(LOG), [], 400, id="an old size above the new one"),
        pytest.param(AT_100, 99, at(150).signed_by(LOG), None, 409, id="an older old size"),
        pytest.param(AT_100, 101, at(150).signed_by(LOG), None, 409, id="a newer old size"),
        pytest.param(AT_100, 0, at(150).signed_by(LOG), None, 409, id="no old size"),
        pytest.param(AT_100, 50, at(60).signed_by(LOG), None, 409, id="a tree that was rolled back"),
        pytest.param(AT_100, 100, at(150, OTHER).signed_by(LOG), None, 422, id="another tree"),
        pytest.param(AT_100, 100, at(100, OTHER).signed_by(LOG), [], 422, id="another tree of the same size"),
        pytest.param(AT_100, 100, at(150).signed_by(LOG), [], 422, id="no proof"),
        pytest.param(AT_100, 100, at(100).signed_by(LOG), [bytes(32)], 422, id="a proof that is not needed"),
        pytest.param(NEW, 0, at(150).signed_by(LOG), [bytes(32)], 422, id="a proof from nothing"),
        pytest.param(NEW, 0, Checkpoint(ORIGIN, 0, bytes(32)).signed_by(LOG), [], 422, id="another empty tree"),
    ],
)
def test_nothing_else_is(known: Witnessed | None, old: int, note: Note, proof: list[bytes] | None, status: int) -> None:
    answer = submit(known, old, note, proof)
    assert isinstance(answer, Refused)
    assert answer.status == status
    if status == 409:
        assert (answer.body, answer.content_type) == ("100\n", "text/x.tlog.size")


def test_a_wrong_signature_of_a_known_key_is_refused_though_another_is_right() -> None:
    liar = Signer(LOG.key, lambda _: bytes(64))
    known = Witnessed((LOG.key, NEXT.key))
    answer = submit(known, 0, at(3).signed_by(liar, NEXT))
    assert isinstance(answer, Refused)
    assert answer.status == 403


@pytest.mark.parametrize("body", [b"", b"old 3\n", b"old -1\n\nx", b"\xff", b"old 0\n\n" + b"a\n1\nx\n\n- b c\n"])
def test_what_is_no_submission_is_a_bad_request(body: bytes) -> None:
    answer = read_submission(body)
    assert isinstance(answer, Refused)
    assert answer.status == 400


def test_a_key_is_trusted_as_soon_as_one_that_is_hands_over_to_it_and_that_one_no_longer() -> None:
    known = accepted(submit(AT_100, 100, at(150).handing_over_to(NEXT.key).signed_by(LOG, NEXT)))
    assert known.keys == (NEXT.key,)
    assert accepted(submit(known, 150, at(160).signed_by(NEXT))).size == 160
    assert isinstance(submit(known, 150, at(160).signed_by(LOG)), Refused)
    assert with_configured_keys({ORIGIN: known}, [LOG.key]) == {ORIGIN: known}


def test_a_second_signature_alone_hands_nothing_over() -> None:
    known = accepted(submit(AT_100, 100, at(150).signed_by(LOG, STRANGER)))
    assert known.keys == (LOG.key,)
    known = accepted(submit(AT_100, 100, at(150).handing_over_to(NEXT.key).signed_by(LOG)))
    assert known.keys == (LOG.key,)


def test_an_operator_names_the_keys_of_logs() -> None:
    logs = with_configured_keys({ORIGIN: AT_100}, [LOG.key, NEXT.key, signer("log.example/2").key])
    assert logs[ORIGIN].keys == (LOG.key, NEXT.key)
    assert (logs[ORIGIN].size, logs[ORIGIN].root) == (100, AT_100.root)
    assert logs["log.example/2"] == Witnessed((signer("log.example/2").key,))
    assert NEW.root == EMPTY_ROOT
