"""What does not extend its seals, the sealer refuses, whoever owns the database."""

from pathlib import Path
from typing import Any

import pytest
from psycopg import Connection

from services.integrity.sealing.refusing import Reason, SealerRefused
from services.integrity.sealing.sealer import Sealer
from services.integrity.signing import KeyFile
from tests.conftest import SettableClock
from tests.integration.audit.lives import Lives
from tests.integration.audit.sealing import as_owner, sealer_in

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
