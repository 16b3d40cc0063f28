"""Checkpoints are those of C2SP tlog-checkpoint; a key of a log is reached from an older one by hand-overs alone."""

import pytest

from services.log.checkpoint import BadCheckpoint, Checkpoint, open_checkpoint, read_checkpoint
from services.log.keys import KeyKind, VerifierKey
from services.log.note import Note, UnverifiedNote, sign_note
from services.log.succession import BrokenSuccession, Succession, follow
from services.log.tree import EMPTY_ROOT
from tests.unit.log.signers import signer

ORIGIN = "log.example/1"
OLD, NEW, NEWEST = signer(ORIGIN, "old"), signer(ORIGIN, "new"), signer(ORIGIN, "newest")
# From C2SP tlog-checkpoint.md.
EXAMPLE = """example.com/behind-the-sofa
20852163
CsUYapGGPo4dkMgIAUqom/Xajj7h2fB2MPA3j2jxq2I=

— example.com/behind-the-sofa \
Az3grlgtzPICa5OS8npVmf1Myq/5IZniMp+ZJurmRDeOoRDe4URYN7u5/Zhcyv2q1gGzGku9nTo+zyWE+xeMcTOAYQ8=
"""
ROOT_LINE = "CsUYapGGPo4dkMgIAUqom/Xajj7h2fB2MPA3j2jxq2I="


def at(size: int) -> Checkpoint:
    return Checkpoint(ORIGIN, size, bytes([size]) * 32)


def test_the_example_of_the_specification_is_a_checkpoint() -> None:
    note, checkpoint = read_checkpoint(EXAMPLE)
    assert (checkpoint.origin, checkpoint.size) == ("example.com/behind-the-sofa", 20_852_163)
    assert checkpoint.root.hex() == "0ac5186a91863e8e1d90c808014aa89bf5da8e3ee1d9f07630f0378f68f1ab62"
    assert checkpoint.text == note.text


@pytest.mark.parametrize(
    "text",
    [
        f"o\n1\n{ROOT_LINE}",
        f"o\n01\n{ROOT_LINE}\n",
        f"o\n+1\n{ROOT_LINE}\n",
        f"o\n-1\n{ROOT_LINE}\n",
        f"o\n1 \n{ROOT_LINE}\n",
        f"o\n١\n{ROOT_LINE}\n",
        f"o\n{2**63}\n{ROOT_LINE}\n",
        f"o\n{'9' * 5_000}\n{ROOT_LINE}\n",
        f"\n1\n{ROOT_LINE}\n",
        f"o\n1\n{ROOT_LINE}\n\n",
        f"o\n1\n\n{ROOT_LINE}\n",
        f"o\n1\n{ROOT_LINE[:-1]}\n",
        "o\n1\nAAAA\n",
        f"o\n1\n{ROOT_LINE.replace('2I=', '2J=')}\n",
        "o\n1\n",
        "",
    ],
)
def test_another_text_is_none(text: str) -> None:
    with pytest.raises(BadCheckpoint):
        Checkpoint.parse(text)


def test_the_largest_size_and_further_lines_are_read() -> None:
    assert Checkpoint.parse(f"o\n{2**63 - 1}\n{ROOT_LINE}\na\nb c\n").extensions == ("a", "b c")


def test_a_checkpoint_is_opened_by_a_key_of_its_own_origin_only() -> None:
    note = at(3).signed_by(OLD)
    assert open_checkpoint(note, [OLD.key]) == at(3)
    other = sign_note(at(3).text, [signer("log.example/2", "old")])
    with pytest.raises(UnverifiedNote):
        open_checkpoint(other, [signer("log.example/2", "old").key])


def test_the_empty_tree_has_one_root() -> None:
    assert open_checkpoint(Checkpoint(ORIGIN, 0, EMPTY_ROOT).signed_by(OLD), [OLD.key]).size == 0
    with pytest.raises(BadCheckpoint):
        open_checkpoint(at(0).signed_by(OLD), [OLD.key])


def test_an_older_key_reaches_a_newer_one_by_hand_overs() -> None:
    first = at(3).handing_over_to(NEW.key).signed_by(OLD, NEW)
    second = at(5).handing_over_to(NEWEST.key).signed_by(NEW, NEWEST)
    [succession] = follow([OLD.key], [first, at(4).signed_by(NEW), second])

    assert succession.keys == (OLD.key, NEW.key, NEWEST.key)
    assert succession.current == NEWEST.key
    assert follow([NEW.key], [first, second])[0].keys == (NEW.key, NEWEST.key)
    assert [[key == OLD.key for key in succession.signing_at(size)] for size in (2, 3, 4)] == [
        [True],
        [True, False],
        [False],
    ]


def test_after_its_hand_over_a_key_signs_no_more() -> None:
    succession = Succession.of(OLD.key).hand_over(at(3).handing_over_to(NEW.key).signed_by(OLD, NEW))
    assert succession.open(at(3).signed_by(OLD)) == at(3)
    assert succession.open(at(4).signed_by(NEW)) == at(4)
    with pytest.raises(UnverifiedNote):
        succession.open(at(4).signed_by(OLD))
    with pytest.raises(UnverifiedNote):
        succession.open(at(2).signed_by(NEW))


@pytest.mark.parametrize(
    ("note", "reason"),
    [
        (at(3).signed_by(OLD, NEW), "not one line"),
        (at(3).handing_over_to(NEW.key).signed_by(OLD), "has not signed"),
        (at(3).handing_over_to(NEW.key).signed_by(NEW), "no key that is trusted"),
        (at(3).handing_over_to(NEW.key).signed_by(OLD, NEWEST), "has not signed"),
        (at(3).handing_over_to(OLD.key).signed_by(OLD), "not one line"),
        (
            Checkpoint(ORIGIN, 3, bytes(32), (f"next {NEW.key}", f"next {NEWEST.key}")).signed_by(OLD, NEW),
            "not one line",
        ),
        (Checkpoint(ORIGIN, 3, bytes(32), ("next of kin",)).signed_by(OLD, NEW), "not one line"),
        (at(3).handing_over_to(signer("log.example/2", "new").key).signed_by(OLD, NEW), "not one line"),
        (
            at(3).handing_over_to(VerifierKey(ORIGIN, NEW.key.public_key, KeyKind.COSIGNATURE_V1)).signed_by(OLD, NEW),
            "not one line",
        ),
    ],
)
def test_nothing_else_hands_over(note: Note, reason: str) -> None:
    with pytest.raises(BrokenSuccession, match=reason):
        Succession.of(OLD.key).hand_over(note)


def test_hand_overs_do_not_go_back() -> None:
    succession = Succession.of(OLD.key).hand_over(at(3).handing_over_to(NEW.key).signed_by(OLD, NEW))
    with pytest.raises(BrokenSuccession, match="after one at size 3"):
        succession.hand_over(at(2).handing_over_to(NEWEST.key).signed_by(NEW, NEWEST))
    with pytest.raises(BrokenSuccession, match="new key"):
        succession.hand_over(at(4).handing_over_to(OLD.key).signed_by(NEW, OLD))
