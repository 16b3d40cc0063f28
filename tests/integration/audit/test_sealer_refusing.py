"""What does not extend its seals, the sealer refuses, whoever owns the database."""

import shutil
from pathlib import Path
from typing import Any

import pytest
from psycopg import Connection

from services.integrity.sealing.refusing import Reason, SealerRefused
from services.integrity.sealing.sealer import Sealer
from services.integrity.sealing.store import LogStore
from services.integrity.signing import KeyFile
from services.log.note import Note
from tests.conftest import SCHEMA, SettableClock
from tests.integration.audit.lives import Lives
from tests.integration.audit.sealing import as_owner, sealed, sealer_in

REWRITE = """UPDATE tallystick.ledger_events
    SET state = convert_to(replace(convert_from(state, 'UTF8'), '"account_id":"', '"account_id":"x'), 'UTF8')"""
CLEAR_LOG = """DELETE FROM tallystick.log_tiles; DELETE FROM tallystick.log_trees;
    DELETE FROM tallystick.log_keys; DELETE FROM tallystick.refusal_numbers"""


@pytest.mark.parametrize(
    ("attack", "reason"),
    [
        pytest.param(f"{REWRITE}; DELETE FROM tallystick.log_checkpoints", Reason.NO_CHECKPOINT, id="a: rewrite"),
        pytest.param("DELETE FROM tallystick.log_checkpoints", Reason.NO_CHECKPOINT, id="c: delete the checkpoints"),
        pytest.param(
            f"DELETE FROM tallystick.log_checkpoints; {CLEAR_LOG}; DELETE FROM tallystick.ledger_events;"
            "UPDATE tallystick.head SET last_id = 0",
            Reason.OTHER_LEDGER,
            id="d: delete everything",
        ),
        pytest.param(
            """DELETE FROM tallystick.log_checkpoints
            WHERE number = (SELECT max(number) FROM tallystick.log_checkpoints)""",
            Reason.OTHER_CHECKPOINT,
            id="an older newest checkpoint",
        ),
        pytest.param(
            "UPDATE tallystick.log_checkpoints SET note = replace(note, '=', '')",
            Reason.OTHER_CHECKPOINT,
            id="b: other notes",
        ),
        pytest.param(
            f"{REWRITE}; DELETE FROM tallystick.log_tiles; UPDATE tallystick.log_trees SET size = 0",
            Reason.OTHER_TREE,
            id="rewrite, and let the tiles be made anew",
        ),
        pytest.param(
            "UPDATE tallystick.log_tiles SET hashes = set_byte(hashes, 0, 255 - get_byte(hashes, 0))",
            Reason.OTHER_TREE,
            id="tiles that were swapped",
        ),
        pytest.param("DELETE FROM tallystick.log_tiles WHERE level = 0", Reason.OTHER_TREE, id="tiles that are gone"),
        pytest.param(
            """DELETE FROM tallystick.ledger_events WHERE notification_id > 5; DELETE FROM tallystick.log_tiles;
            UPDATE tallystick.head SET last_id = 5; UPDATE tallystick.log_trees SET size = 0""",
            Reason.SMALLER_TREE,
            id="a tail that was cut off",
        ),
        pytest.param(
            "DELETE FROM tallystick.ledger_events WHERE notification_id = (SELECT last_id FROM tallystick.head)",
            Reason.BAD_ENTRY,
            id="a new event that is gone",
        ),
        pytest.param(
            "UPDATE tallystick.log_trees SET origin = 'tallystick/0'", Reason.OTHER_LEDGER, id="another origin"
        ),
    ],
)
def test_what_the_owner_of_the_database_rewrote_is_not_signed(
    lives: Lives,
    sealer: Sealer,
    connection: Connection[Any],
    tmp_path: Path,
    clock: SettableClock,
    attack: str,
    reason: Reason,
) -> None:
    lives.go_on(300)
    sealer.seal(connection)
    lives.go_on(20)
    sealer.seal(connection)
    lives.go_on(20)
    as_owner(connection, *attack.split(";"))
    seals = tmp_path / "seals" / "1" / "events"
    before = seals.read_bytes()

    for each in (sealer, sealer_in(tmp_path, clock)):  # the one that runs, and one that is started anew
        for _ in range(2):
            with pytest.raises(SealerRefused) as refused:
                each.seal(connection)
            assert refused.value.reason == reason, refused.value
    assert seals.read_bytes() == before


def test_another_key_signs_nothing(
    lives: Lives, sealer: Sealer, connection: Connection[Any], tmp_path: Path, clock: SettableClock
) -> None:
    sealer.seal(connection)
    (tmp_path / "signing.key").unlink()
    with pytest.raises(SealerRefused, match="no key") as refused:
        sealer_in(tmp_path, clock).seal(connection)
    assert refused.value.reason == Reason.OTHER_KEY
    KeyFile(tmp_path / "signing.key").read_or_make()
    with pytest.raises(SealerRefused, match="another one"):
        sealer_in(tmp_path, clock).seal(connection)


def test_changed_seals_are_refused(
    lives: Lives, sealer: Sealer, connection: Connection[Any], tmp_path: Path, clock: SettableClock
) -> None:
    sealer.seal(connection)
    path = tmp_path / "seals" / "1" / "events"
    text = path.read_text()
    for changed in (text.replace("\n6\n", "\n5\n"), text.replace("— ", "- "), text.replace("tallystick/", "tally/")):
        path.write_text(changed)
        with pytest.raises(SealerRefused) as refused:
            sealer_in(tmp_path, clock).seal(connection)
        assert refused.value.reason == Reason.BAD_SEALS


def refusal_of(sealer: Sealer, connection: Connection[Any]) -> Reason:
    with pytest.raises(SealerRefused) as refused:
        sealer.seal(connection)
    return refused.value.reason


OF_THE_LEDGER = "ledger_events head log_checkpoints log_trees log_tiles log_keys refusals refusal_numbers".split()


def test_an_old_back_up_of_the_database_is_not_extended(
    lives: Lives, sealer: Sealer, connection: Connection[Any], tmp_path: Path, clock: SettableClock
) -> None:
    lives.go_on(100)
    sealer.seal(connection)
    as_owner(connection, *(f"CREATE TABLE kept_{table} AS TABLE tallystick.{table}" for table in OF_THE_LEDGER))
    lives.go_on(20)
    sealer.seal(connection)
    for table in OF_THE_LEDGER:
        as_owner(connection, f"DELETE FROM tallystick.{table}", f"INSERT INTO tallystick.{table} TABLE kept_{table}")
    assert refusal_of(sealer, connection) == Reason.OTHER_CHECKPOINT
    assert refusal_of(sealer_in(tmp_path, clock), connection) == Reason.OTHER_CHECKPOINT


@pytest.mark.parametrize("named_alike", [False, True])
def test_the_log_of_another_sealer_is_not_extended(
    lives: Lives,
    sealer: Sealer,
    connection: Connection[Any],
    tmp_path: Path,
    clock: SettableClock,
    named_alike: bool,
) -> None:
    lives.go_on(50)
    [note] = sealer.seal(connection)
    as_owner(connection, "DELETE FROM tallystick.log_checkpoints", *CLEAR_LOG.split(";"))
    origin = sealed(note).origin if named_alike else None
    sealer_in(tmp_path / "other", clock, origin).seal(connection)
    expected = Reason.OTHER_CHECKPOINT if named_alike else Reason.OTHER_LEDGER
    assert refusal_of(sealer, connection) == expected
    assert refusal_of(sealer_in(tmp_path, clock), connection) == expected


def test_a_forged_hand_over_hands_nothing_over(
    lives: Lives, sealer: Sealer, connection: Connection[Any], tmp_path: Path, clock: SettableClock
) -> None:
    lives.go_on(50)
    [note] = sealer.seal(connection)
    own = KeyFile(tmp_path / "own.key").read_or_make().signer(sealed(note).origin)
    forged = sealed(note).handing_over_to(own.key)
    signatures = (*note.signatures, *forged.signed_by(own).signatures)  # his own beside one of the true key
    LogStore(SCHEMA).insert(connection, Note(forged.text, signatures), clock())
    assert refusal_of(sealer, connection) == Reason.OTHER_CHECKPOINT
    assert refusal_of(sealer_in(tmp_path, clock), connection) == Reason.OTHER_CHECKPOINT


def test_an_old_back_up_of_the_seals_is_refused_until_the_newest_note_is_adopted(
    lives: Lives, sealer: Sealer, connection: Connection[Any], tmp_path: Path, clock: SettableClock
) -> None:
    lives.go_on(20)
    sealer.seal(connection)
    shutil.copytree(tmp_path / "seals", tmp_path / "kept")
    lives.go_on(20)
    [newest] = sealer.seal(connection)
    shutil.rmtree(tmp_path / "seals")
    shutil.move(tmp_path / "kept", tmp_path / "seals")
    again = sealer_in(tmp_path, clock)
    assert refusal_of(again, connection) == Reason.OTHER_CHECKPOINT
    again.adopt(connection, newest)
    lives.go_on(20)
    assert sealer_in(tmp_path, clock).seal(connection)
