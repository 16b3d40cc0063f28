"""The sealer signs what extends its seals, hands keys over, and finishes what a crash cut short."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from psycopg import Connection

from services.integrity.sealing.entries import RefusalEntries
from services.integrity.sealing.refusing import Reason, SealerRefused
from services.integrity.sealing.sealer import Sealer
from services.integrity.sealing.seals import Seals
from services.integrity.sealing.store import LogStore
from services.integrity.signing import KeyFile
from services.log.checkpoint import Checkpoint
from services.log.reading import read_consistency_proof, read_inclusion_proof
from services.log.tree import EMPTY_ROOT, is_consistent, is_included, root_of
from tests.conftest import SCHEMA, SettableClock
from tests.integration.audit.lives import Lives
from tests.integration.audit.sealing import as_owner, hashes, sealed, sealer_in


def test_checkpoints_cover_the_hashes_of_all_events_in_their_order(
    lives: Lives, sealer: Sealer, connection: Connection[Any]
) -> None:
    lives.go_on(30)
    [first] = sealer.seal(connection)
    lives.go_on(300)
    [second] = sealer.seal(connection)
    assert sealer.seal(connection) == [], "nothing is new"

    leaves, tiles = hashes(connection), LogStore(SCHEMA).tiles(connection)
    before, now = sealed(first), sealed(second)
    assert now.size == len(leaves)
    assert now.root == root_of(leaves)
    assert before.root == root_of(leaves[: before.size])
    proof = read_consistency_proof(tiles, before.size, now.size)
    assert is_consistent(before.size, now.size, proof, before.root, now.root)
    for index in (0, before.size - 1, now.size - 1):
        inclusion = read_inclusion_proof(tiles, index, now.size)
        assert is_included(leaves[index], index, now.size, inclusion, now.root)


def test_catch_up_makes_a_checkpoint_now_and_then_and_can_be_stopped_there(
    lives: Lives, sealer: Sealer, connection: Connection[Any], monkeypatch: pytest.MonkeyPatch
) -> None:
    lives.go_on(100)
    monkeypatch.setattr("services.integrity.sealing.sealer.LEAVES_A_CHECKPOINT", 20)
    [first] = sealer.seal(connection, lambda: True)
    assert sealed(first).size == 20
    rest = sealer.seal(connection)
    count = len(hashes(connection))
    assert [sealed(note).size for note in rest] == [*range(40, count, 20), count]
    assert sealed(rest[-1]).root == root_of(hashes(connection))


def test_tiles_that_were_lost_are_made_anew_from_the_events(
    lives: Lives, sealer: Sealer, connection: Connection[Any]
) -> None:
    lives.go_on(300)
    sealer.seal(connection)
    as_owner(
        connection,
        "DELETE FROM tallystick.log_tiles WHERE log = 'events'",
        "UPDATE tallystick.log_trees SET size = 0 WHERE log = 'events'",
    )
    lives.start(2)
    [note] = sealer.seal(connection)
    assert sealed(note).root == root_of(hashes(connection))


def test_a_ledger_without_events_has_a_checkpoint_of_size_0(sealer: Sealer, connection: Connection[Any]) -> None:
    [note] = sealer.seal(connection)
    assert (sealed(note).size, sealed(note).root) == (0, EMPTY_ROOT)
    assert sealer.seal(connection) == []


def test_the_seals_are_the_notes_and_are_signed_by_a_key_with_the_name_of_the_origin(
    lives: Lives, sealer: Sealer, connection: Connection[Any], tmp_path: Path
) -> None:
    notes = sealer.seal(connection)
    lives.go_on(5)
    notes += sealer.seal(connection)
    life = Seals(tmp_path / "seals").life()
    assert life is not None
    assert life.files["events"].notes() == notes
    assert all(note.is_signed_by(life.first_key) for note in notes)
    assert life.origin == sealed(notes[0]).origin
    assert life.origin.startswith("tallystick/")


def test_the_origin_can_be_chosen_when_the_ledger_is_made_and_not_later(
    lives: Lives, connection: Connection[Any], tmp_path: Path, clock: SettableClock
) -> None:
    [note] = sealer_in(tmp_path, clock, "ledger.example/a").seal(connection)
    assert sealed(note).origin == "ledger.example/a"
    with pytest.raises(SealerRefused, match=r"ledger\.example/b") as refused:
        sealer_in(tmp_path, clock, "ledger.example/b").seal(connection)
    assert refused.value.reason == Reason.OTHER_LEDGER
    assert sealer_in(tmp_path, clock).seal(connection) == []


def test_a_hand_over_is_signed_by_both_keys_and_the_next_note_by_the_new_one(
    lives: Lives, sealer: Sealer, connection: Connection[Any], tmp_path: Path, clock: SettableClock
) -> None:
    sealer.seal(connection)
    lives.go_on(5)
    hand_over = sealer.rotate(connection)
    lives.go_on(5)
    [after] = sealer_in(tmp_path, clock).seal(connection)

    old, new = LogStore(SCHEMA).keys(connection, sealed(after).origin)
    assert sealed(hand_over).next_key == new
    assert hand_over.verified_by([old, new]) == [old, new]
    assert after.verified_by([old, new]) == [new]
    assert [each.handover for each in LogStore(SCHEMA).newest_first(connection, limit=9)] == [False, True, False, False]
    refusals = LogStore(SCHEMA, "refusals")
    assert len(refusals.keys(connection, f"{sealed(after).origin}/refusals")) == 2


@pytest.mark.parametrize("crash_after", [0, 1, 2])
def test_a_hand_over_that_was_cut_short_is_brought_to_its_end(
    lives: Lives,
    sealer: Sealer,
    connection: Connection[Any],
    tmp_path: Path,
    clock: SettableClock,
    monkeypatch: pytest.MonkeyPatch,
    crash_after: int,
) -> None:
    sealer.seal(connection)
    done = iter(range(9))
    hand_over = Sealer._hand_over

    def crash(self: Any, *arguments: Any) -> None:
        if next(done) == crash_after:
            raise KeyboardInterrupt
        hand_over(self, *arguments)

    with monkeypatch.context() as patch:
        patch.setattr(Sealer, "_hand_over", crash)
        if crash_after == 2:
            patch.setattr(KeyFile, "adopt", crash)
        with pytest.raises(KeyboardInterrupt):
            sealer.rotate(connection)
    lives.go_on(5)
    again = sealer_in(tmp_path, clock)
    [note] = again.seal(connection)
    keys = LogStore(SCHEMA).keys(connection, sealed(note).origin)
    assert note.verified_by(keys) == [keys[-1]]
    assert len(keys) == (1 if crash_after == 0 else 2)
    lives.go_on(1)
    assert again.rotate(connection).verified_by(LogStore(SCHEMA).keys(connection, sealed(note).origin))


@pytest.mark.parametrize("count", [1, 2])
def test_a_note_that_a_crash_kept_from_the_database_is_stored_by_the_next_run(
    lives: Lives,
    connection: Connection[Any],
    tmp_path: Path,
    clock: SettableClock,
    monkeypatch: pytest.MonkeyPatch,
    count: int,
) -> None:
    sealer = sealer_in(tmp_path, clock)
    if count == 2:
        sealer.seal(connection)
        lives.go_on(3)

    def crash(*_: Any) -> int:
        raise KeyboardInterrupt

    with monkeypatch.context() as patch:
        patch.setattr(LogStore, "insert", crash)
        with pytest.raises(KeyboardInterrupt):
            sealer.seal(connection)
    again = sealer_in(tmp_path, clock)
    assert again.seal(connection) == [], "it is signed already"
    stored = LogStore(SCHEMA).latest(connection)
    assert stored is not None
    assert stored.signed_note == str(again.newest())


def test_a_seal_that_was_cut_short_is_written_anew(
    lives: Lives, connection: Connection[Any], tmp_path: Path, clock: SettableClock
) -> None:
    sealer_in(tmp_path, clock).seal(connection)
    with (tmp_path / "seals" / "1" / "events").open("ab") as file:
        file.write(b"tallystick/00\n12\nAAAA")
    lives.go_on(3)
    [note] = sealer_in(tmp_path, clock).seal(connection)
    assert sealer_in(tmp_path, clock).newest() == note


def test_a_folder_without_seals_is_refused_at_a_ledger_that_has_checkpoints_until_it_adopts_a_note(
    lives: Lives, sealer: Sealer, connection: Connection[Any], tmp_path: Path, clock: SettableClock
) -> None:
    lives.go_on(10)
    [kept] = sealer.seal(connection)
    lives.go_on(10)
    sealer.rotate(connection)
    lives.go_on(10)
    sealer.seal(connection)
    (tmp_path / "seals").rename(tmp_path / "lost")
    again = sealer_in(tmp_path, clock)
    with pytest.raises(SealerRefused, match="--adopt FILE") as refused:
        again.seal(connection)
    assert refused.value.reason == Reason.NO_SEALS

    lives.go_on(10)
    assert sealed(again.adopt(connection, kept)).size == len(hashes(connection))
    assert again.seal(connection) == []
    life = Seals(tmp_path / "seals").life()
    assert life is not None
    assert life.files["events"].notes()[0] == kept
    lives.go_on(10)
    assert sealer_in(tmp_path, clock).seal(connection)


def test_a_note_of_another_ledger_or_of_another_tree_is_not_adopted(
    lives: Lives, sealer: Sealer, connection: Connection[Any], tmp_path: Path, clock: SettableClock
) -> None:
    lives.go_on(10)
    [kept] = sealer.seal(connection)
    (tmp_path / "seals").rename(tmp_path / "lost")
    checkpoint = sealed(kept)
    stranger = KeyFile(tmp_path / "stranger.key").read_or_make().signer(checkpoint.origin)
    with pytest.raises(SealerRefused, match="none of this ledger"):
        sealer.adopt(connection, checkpoint.signed_by(stranger))
    own = KeyFile(tmp_path / "signing.key").read_or_make().signer(checkpoint.origin)
    other = Checkpoint(checkpoint.origin, checkpoint.size, bytes(32)).signed_by(own)
    with pytest.raises(SealerRefused, match="does not begin with that of the note"):
        sealer.adopt(connection, other)
    assert Seals(tmp_path / "seals").life() is None


def test_a_new_ledger_has_another_origin_and_is_vouched_for_by_the_old_key(
    lives: Lives, sealer: Sealer, connection: Connection[Any], tmp_path: Path, clock: SettableClock
) -> None:
    lives.go_on(10)
    [old] = sealer.seal(connection)
    [old_key] = LogStore(SCHEMA).keys(connection, sealed(old).origin)
    as_owner(connection, "DELETE FROM tallystick.log_checkpoints")
    first = sealer.begin_again(connection)

    assert sealed(first).origin != sealed(old).origin
    [new_key] = LogStore(SCHEMA).keys(connection, sealed(first).origin)
    assert first.verified_by([old_key, new_key]) == [new_key, old_key]
    assert sealed(first).root == root_of(hashes(connection))
    lives.go_on(10)
    for each in (sealer, sealer_in(tmp_path, clock)):
        each.seal(connection)
    assert sealed(sealer.newest()).size == len(hashes(connection))


def test_refusals_are_a_log_of_their_own_in_the_order_in_which_they_were_made(
    lives: Lives, sealer: Sealer, connection: Connection[Any], read_refusals: Callable[[], list[bytes]]
) -> None:
    lives.go_on(200)
    sealer.seal(connection)
    first = read_refusals()
    lives.go_on(200)
    sealer.seal(connection)
    second = read_refusals()

    assert 0 < len(first) < len(second)
    assert second[: len(first)] == first
    store = LogStore(SCHEMA, "refusals")
    latest = store.latest(connection)
    assert latest is not None
    assert latest.origin.endswith("/refusals")
    assert latest.root == root_of(second)


def test_refusals_from_before_they_had_ids_come_first(
    lives: Lives, sealer: Sealer, connection: Connection[Any], read_refusals: Callable[[], list[bytes]]
) -> None:
    lives.go_on(200)
    as_owner(connection, "UPDATE tallystick.refusals SET refusal_id = NULL")
    count = RefusalEntries(SCHEMA).count(connection)
    lives.go_on(200)
    sealer.seal(connection)
    assert 0 < count < len(read_refusals())
    as_owner(connection, "DELETE FROM tallystick.refusals WHERE refusal_id IS NULL")
    lives.go_on(100)
    sealer.seal(connection)  # what is in tiles already is for `verify` to find


@pytest.fixture
def read_refusals(connection: Connection[Any]) -> Callable[[], list[bytes]]:
    def read() -> list[bytes]:
        entries = RefusalEntries(SCHEMA)
        return entries.leaves(connection, 0, entries.count(connection))

    return read
