"""`verify` leads on from checkpoints and keys that somebody wrote down, and says what it rests on."""

import json
import shutil
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest
from msgspec.structs import replace
from psycopg import Connection

from services.integrity.sealing.sealer import Sealer
from services.integrity.sealing.seals import Seals
from services.integrity.signing import KeyFile, SigningKey
from services.integrity.verify.trust import trust_in
from services.integrity.verify.verification import Verification, VerificationResult
from services.log.checkpoint import Checkpoint
from services.log.cosignature import cosign
from services.log.keys import KeyKind, Signer, VerifierKey
from services.log.note import Note, Signature
from services.migrations import SERVICE_ROLE
from tests.conftest import SCHEMA, SettableClock
from tests.integration.audit.sound import SealedLedger, reasons_of
from tests.processes import tallystick

NOTES = "SELECT note FROM tallystick.log_checkpoints WHERE log = %s ORDER BY number"


def notes_of(connection: Connection[Any], log: str = "events") -> list[str]:
    return [note for (note,) in connection.execute(NOTES, [log])]


def check(
    sealed: SealedLedger, connection: Connection[Any], *, notes: tuple[str, ...] = (), keys: tuple[str, ...] = ()
) -> VerificationResult:
    return Verification(SCHEMA, replace(sealed.trust(), pinned_notes=notes, pinned_keys=keys)).check(connection)


def test_a_checkpoint_of_any_size_is_reached(sealed: SealedLedger) -> None:
    with sealed.tampering() as connection:
        for note in [*notes_of(connection), *notes_of(connection, "refusals")]:
            verified = check(sealed, connection, notes=(note,))
            assert verified.findings == ()
            size = Checkpoint.parse(Note.parse(note).text).size
            assert any(ground.detail == f"of size {size}" for ground in verified.rests_on)


def test_a_history_that_was_rewritten_and_sealed_anew_is_seen_by_whoever_wrote_a_checkpoint_down(
    sealed: SealedLedger, tmp_path: Path
) -> None:
    """The attacker has database, key and seals, so the log holds."""
    shutil.copy(sealed.folder / "signing.key", tmp_path / "signing.key")
    key_file, seals = KeyFile(tmp_path / "signing.key"), Seals(tmp_path / "seals")
    with sealed.tampering() as connection:
        written_down = notes_of(connection)[0]
        origin = Checkpoint.parse(Note.parse(written_down).text).origin
        for table in ("log_checkpoints", "log_trees", "log_tiles", "log_keys", "ledger_snapshots", "refusal_numbers"):
            connection.execute(f"DELETE FROM tallystick.{table}")
        connection.execute(
            "UPDATE tallystick.ledger_events SET recorded_at = recorded_at + interval '1 microsecond'"
            " WHERE notification_id = 2"
        )
        Sealer(SCHEMA, key_file, seals, origin, lambda: datetime(2026, 1, 16, tzinfo=UTC)).seal(connection)
        key = key_file.read()
        assert key is not None
        trust = trust_in(key.public_key, seals)
        assert "log" not in reasons_of(Verification(SCHEMA, trust).check(connection))
        newest = notes_of(connection)[-1]
        assert "pinned" not in reasons_of(
            Verification(SCHEMA, replace(trust, pinned_notes=(newest,))).check(connection)
        )
        found = reasons_of(Verification(SCHEMA, replace(trust, pinned_notes=(written_down,))).check(connection))
        assert "has another root than the first" in found


def test_a_checkpoint_beyond_the_end_is_missed(sealed: SealedLedger) -> None:
    """An old back-up, or a tail that was cut off: somebody saw more."""
    with sealed.tampering() as connection:
        note = notes_of(connection)[-1]
        connection.execute("DELETE FROM tallystick.ledger_events WHERE notification_id > 100")
        connection.execute("UPDATE tallystick.head SET last_id = 100")
        size = Checkpoint.parse(Note.parse(note).text).size
        assert f"covers {size} events, and there are 100" in reasons_of(check(sealed, connection, notes=(note,)))


def test_a_checkpoint_of_another_log_or_of_nobody_is_none_of_this_one(sealed: SealedLedger) -> None:
    with sealed.tampering() as connection:
        mine = Checkpoint.parse(Note.parse(notes_of(connection)[0]).text)
        signer = SigningKey.generate().signer(mine.origin)
        forged = str(mine.signed_by(signer))
        assert "is signed by no key of the log" in reasons_of(check(sealed, connection, notes=(forged,)))
        elsewhere = SigningKey.generate().signer("tallystick/elsewhere")
        other = str(Checkpoint("tallystick/elsewhere", mine.size, mine.root).signed_by(elsewhere))
        assert "is of the log tallystick/elsewhere, and this is" in reasons_of(
            check(sealed, connection, notes=(other,))
        )


def test_the_first_checkpoint_and_key_hold_after_two_rotations(
    sealed: SealedLedger, tmp_path: Path, clock: SettableClock
) -> None:
    folder = tmp_path / "copy"
    shutil.copytree(sealed.folder, folder)
    key_file, seals = KeyFile(folder / "signing.key"), Seals(folder / "seals" / SCHEMA)
    with sealed.tampering() as connection:
        first_note = notes_of(connection)[0]
        first_key = str(sealed.trust().first_key)
        for _ in range(2):
            Sealer(SCHEMA, key_file, seals, None, clock).rotate(connection)
        key = key_file.read()
        assert key is not None
        trust = replace(trust_in(key.public_key, seals), pinned_keys=(first_key,), pinned_notes=(first_note,))
        verified = Verification(SCHEMA, trust).check(connection)
        assert verified.findings == ()
        assert len(verified.keys) == 3


def test_a_key_of_somebody_else_is_none_of_the_log(sealed: SealedLedger) -> None:
    with sealed.tampering() as connection:
        first = sealed.trust().first_key
        assert first is not None
        stranger = str(SigningKey.generate().signer(first.name).key)
        assert "is none of its keys" in reasons_of(check(sealed, connection, keys=(stranger,)))
        assert check(sealed, connection, keys=(str(first),)).holds


def witness_named(name: str) -> Signer:
    signer = SigningKey.generate().signer(name)
    key = VerifierKey(name, signer.key.public_key, KeyKind.COSIGNATURE_V1)
    return Signer(key, signer.sign)


def put_cosignature(connection: Connection[Any], number: int, line: str) -> None:
    connection.execute(
        "INSERT INTO tallystick.log_cosignatures (log, number, witness, cosigned_at, line)"
        " VALUES ('events', %s, 'a-witness', now(), %s)",
        [number, line],
    )


def test_cosignatures_are_checked_where_the_witness_is_known(sealed: SealedLedger) -> None:
    witness = witness_named("witness.example/1")
    vkey = str(witness.key)
    with sealed.tampering() as connection:
        note = Note.parse(notes_of(connection)[1])
        assert f"the witness {vkey} has cosigned no checkpoint" in reasons_of(check(sealed, connection, keys=(vkey,)))
        line = Signature(witness.key.name, witness.key.key_id, cosign(note.text, 1_800_000_000, witness)).line
        put_cosignature(connection, 2, line)
        verified = check(sealed, connection, keys=(vkey,))
        assert verified.findings == ()
        size = Checkpoint.parse(note.text).size
        assert any(ground.detail == f"witness.example/1 up to {size}" for ground in verified.rests_on)
        assert any(
            "1 by witnesses whose keys are not known" in each.detail for each in sealed.check(connection).rests_on
        )
    with sealed.tampering() as connection:
        put_cosignature(connection, 3, line)
        assert "checkpoint 3 of events: has a cosignature that is none" in reasons_of(
            check(sealed, connection, keys=(vkey,))
        )
    with sealed.tampering() as connection:
        put_cosignature(connection, 9, line)
        assert "checkpoint 9 of events: has a cosignature, and is not there" in reasons_of(sealed.check(connection))


def test_what_a_read_model_has_not_taken_yet_is_told(sealed: SealedLedger) -> None:
    """Emptied and set back, it holds nothing that is wrong, and it says how far it is behind."""
    with sealed.tampering() as connection:
        connection.execute("UPDATE tallystick.projection_positions SET position = 0 WHERE projection = 'usage'")
        assert not sealed.check(connection).holds, "its rows are not those of that position"
        connection.execute("DELETE FROM tallystick.usage")
        verified = sealed.check(connection)
        assert verified.findings == ()
        behind = f"up to event 0, {verified.events} behind"
        assert any(each.what == "read model usage" and each.detail == behind for each in verified.rests_on)


@pytest.fixture
def written_down(sealed: SealedLedger, tmp_path: Path) -> Path:
    path = tmp_path / "checkpoint"
    with sealed.tampering() as connection:
        path.write_text(notes_of(connection)[0], encoding="utf-8")
    return path


def test_the_command_takes_pins_and_prints_json(sealed: SealedLedger, written_down: Path) -> None:
    first = str(sealed.trust().first_key)
    command = ("verify", "--json", "--checkpoint", str(written_down), "--key", first)
    held = tallystick(*command, folder=sealed.folder, database_url=sealed.database_url)
    assert held.returncode == 0, held.stdout + held.stderr
    said = json.loads(held.stdout)
    assert (said["holds"], said["findings"]) == (True, [])
    grounds = {each["what"]: each["status"] for each in said["rests_on"]}
    assert grounds["log of events"] == grounds["schema"] == grounds["checkpoints of events that were written down"]
    assert grounds["cosignatures of events"] == "not_available"

    stranger = str(SigningKey.generate().signer("tallystick/stranger").key)
    not_reached = tallystick(
        "verify", "--json", "--key", stranger, folder=sealed.folder, database_url=sealed.database_url
    )
    assert not_reached.returncode == 1
    assert "none of its keys" in json.loads(not_reached.stdout)["findings"][0]["detail"]


@pytest.mark.parametrize(
    "arguments", [("--key", "no key"), ("--checkpoint", "nowhere"), ("--checkpoint", "signing.key")], ids=" ".join
)
def test_what_is_no_pin_is_wrong_use(sealed: SealedLedger, arguments: tuple[str, str]) -> None:
    name, value = arguments
    path = str(sealed.folder / value) if name == "--checkpoint" else value
    refused = tallystick("verify", name, path, folder=sealed.folder, database_url=sealed.database_url)
    assert refused.returncode == 2
    assert "Traceback" not in refused.stderr


def test_grants_are_not_available_where_there_is_no_role(sealed: SealedLedger) -> None:
    with sealed.tampering() as connection:
        connection.execute(f"ALTER ROLE {SERVICE_ROLE} RENAME TO somebody_else")
        grounds = {each.what: each.status for each in sealed.check(connection).rests_on}
        assert grounds["grants"] == "not_available"
