"""`verify` passes a sound ledger and names the first thing that does not hold, whoever changed it."""

import os
import random
import shutil
from datetime import UTC, datetime
from pathlib import Path

import psycopg
import pytest
from psycopg import sql

from services.integrity.sealing.sealer import Sealer
from services.integrity.sealing.seals import Seals
from services.integrity.signing import KeyFile
from services.integrity.verify.trust import Trust, trust_in
from services.integrity.verify.verification import Verification
from services.postgres.database import connect
from tests.conftest import SCHEMA, SettableClock
from tests.integration.audit.sound import SealedLedger, first_of, reasons_of
from tests.integration.audit.tampers import Tampers
from tests.processes import tallystick

SHORT_CAMPAIGN = 200


def test_a_sound_ledger_holds(sealed: SealedLedger) -> None:
    with sealed.tampering() as connection:
        verified = sealed.check(connection)
        topics = {topic for (topic,) in connection.execute("SELECT DISTINCT topic FROM tallystick.ledger_events")}
        counted = connection.execute(
            "SELECT count(*), (SELECT count(*) FROM tallystick.ledger_snapshots) > 3,"
            " (SELECT count(*) FROM tallystick.disputes) > 3 FROM tallystick.ledger_events"
        ).fetchone()

    assert verified.findings == ()
    assert verified.holds
    assert verified.checkpoints == 3
    assert counted == (verified.events, True, True)
    assert verified.covered == verified.events
    assert {"GenerationCharged", "CycleReset", "PlanUpgraded", "ChargeReversed", "DisputeResolved"} <= topics


def test_several_processes_come_to_the_same(sealed: SealedLedger) -> None:
    reports: list[tuple[int, int]] = []
    in_one = Verification(SCHEMA, sealed.trust()).run(sealed.database_url, processes=1)
    in_three = Verification(SCHEMA, sealed.trust(), lambda _stage, *counts: reports.append(counts)).run(
        sealed.database_url, processes=3
    )
    assert in_three == in_one
    assert reports[-1] == (2 * in_one.events, 2 * in_one.events)


def test_every_tamper_of_a_campaign_is_found(sealed: SealedLedger) -> None:
    """TALLYSTICK_TAMPERS and TALLYSTICK_SEED repeat a longer or a certain one."""
    run_campaign(sealed, SHORT_CAMPAIGN)


@pytest.mark.long
def test_every_tamper_of_a_long_campaign_is_found(sealed: SealedLedger) -> None:
    run_campaign(sealed, int(os.environ.get("TALLYSTICK_TAMPERS", "10000")))


def run_campaign(sealed: SealedLedger, count: int) -> None:
    seed = int(os.environ.get("TALLYSTICK_SEED", random.SystemRandom().randrange(10**9)))
    print(f"{count} tampers from seed {seed}")
    missed = []
    for number in range(count):
        with sealed.tampering() as connection:
            tampers = Tampers(connection, seed + number)
            tamper = f"seed {seed + number}: {tampers.draw()}"
            verified = sealed.check(connection)
            if verified.holds:
                missed.append(tamper)
            elif tampers.positions and verified.findings[0].position not in tampers.positions:
                missed.append(f"{tamper}, which is not named first: {verified.findings[0]}")
    assert not missed, "\n".join(missed)


@pytest.mark.parametrize("column", ["state", "topic", "recorded_at", "previous_hash"])
def test_the_event_that_was_changed_is_named_wherever_it_is(sealed: SealedLedger, column: str) -> None:
    """Even the last of its stream, to which no other is chained: the checkpoint covers it."""
    changes = {
        "state": "set_byte(state, length(state) - 5, 65)",
        "topic": "topic || 'x'",
        "recorded_at": "recorded_at + interval '1 microsecond'",
        "previous_hash": "set_byte(previous_hash, 7, get_byte(previous_hash, 7) # 1)",
    }
    change = sql.SQL("UPDATE tallystick.ledger_events SET {} = {} WHERE notification_id = %s")
    with connect(sealed.database_url) as reading:
        last = reading.execute(
            "SELECT max(notification_id) FROM tallystick.ledger_events GROUP BY originator_id ORDER BY 1"
        ).fetchall()
    for position in {1, 2, 50, *(position for (position,) in last)}:
        with sealed.tampering() as connection:
            statement = change.format(sql.Identifier(column), sql.SQL(changes[column]))
            connection.execute(statement, [position])
            assert first_of(sealed.check(connection)).startswith(f"event {position} (")


@pytest.mark.parametrize("position", [1, 2, 77, 150])
def test_an_event_that_was_deleted_is_named(sealed: SealedLedger, position: int) -> None:
    with sealed.tampering() as connection:
        connection.execute("DELETE FROM tallystick.ledger_events WHERE notification_id = %s", [position])
        assert first_of(sealed.check(connection)) == f"event {position}: not there, though later ones are"


def test_a_tail_that_was_cut_off_is_named_though_head_and_balances_were_mended(sealed: SealedLedger) -> None:
    with sealed.tampering() as connection:
        (last,) = connection.execute("SELECT last_id FROM tallystick.head").fetchone() or (0,)
        connection.execute("DELETE FROM tallystick.ledger_events WHERE notification_id = %s", [last])
        connection.execute("UPDATE tallystick.head SET last_id = %s", [last - 1])
        findings = [str(finding) for finding in sealed.check(connection).findings]
        assert f"checkpoint 3 of events: covers {last} events, and there are {last - 1}" in findings


def test_checkpoints_that_were_taken_away_are_missed(sealed: SealedLedger) -> None:
    """The log put back as it was at an earlier checkpoint: only the seals show it."""
    with sealed.tampering() as connection:
        connection.execute("DELETE FROM tallystick.log_checkpoints WHERE number = 3")
        assert "was sealed here, and it is not there" in reasons_of(sealed.check(connection))
        assert Verification(SCHEMA, Trust()).check(connection).holds, "without the seals"


def test_a_log_that_was_taken_away_is_missed(sealed: SealedLedger) -> None:
    with sealed.tampering() as connection:
        for table in ("log_checkpoints", "log_trees", "log_tiles", "log_keys"):
            connection.execute(f"DELETE FROM tallystick.{table}")
        assert "the log of events: it is not there" in reasons_of(sealed.check(connection))


def test_a_ledger_that_was_signed_anew_by_another_key_is_found(sealed: SealedLedger, tmp_path: Path) -> None:
    """Who owns the database can rewrite all of it, the log included, but not sign it with the key kept here."""
    with sealed.tampering() as connection:
        for table in ("log_checkpoints", "log_trees", "log_tiles", "log_keys"):
            connection.execute(f"DELETE FROM tallystick.{table}")
        trust = sealed.trust()
        assert trust.first_key is not None
        now = datetime(2026, 1, 16, tzinfo=UTC)
        Sealer(SCHEMA, KeyFile(tmp_path / "key"), Seals(tmp_path), trust.first_key.name, lambda: now).seal(connection)
        found = reasons_of(sealed.check(connection))
        assert "the key that is kept here is another one" in found
        assert "was sealed here, and it is not there" in found
        assert "another one" in reasons_of(Verification(SCHEMA, Trust(trust.public_key)).check(connection))
        assert Verification(SCHEMA, Trust()).check(connection).holds


def test_a_note_that_was_forged_is_found(sealed: SealedLedger) -> None:
    with sealed.tampering() as connection:
        connection.execute("UPDATE tallystick.log_checkpoints SET root = sha256(root) WHERE number = 2")
        assert "its columns are not what its note says" in reasons_of(sealed.check(connection))
    with sealed.tampering() as connection:
        connection.execute(
            "UPDATE tallystick.log_checkpoints SET note = regexp_replace(note, 'tallystick/.', 'tallystick/x')"
        )
        assert "its columns are not what its note says" in reasons_of(sealed.check(connection))


def test_tiles_that_are_not_those_of_the_events_are_named(sealed: SealedLedger) -> None:
    with sealed.tampering() as connection:
        connection.execute(
            "UPDATE tallystick.log_tiles SET hashes = set_byte(hashes, 65, 255 - get_byte(hashes, 65))"
            " WHERE log = 'events' AND level = 0 AND tile = 0"
        )
        assert "the log of events: its tile 0/000" in first_of(sealed.check(connection))


def test_refusals_that_were_changed_or_taken_away_are_found(sealed: SealedLedger) -> None:
    with sealed.tampering() as connection:
        connection.execute("UPDATE tallystick.refusals SET balance_credits = balance_credits + 1")
        assert "refusal 1: is not what the log has in its place" in reasons_of(sealed.check(connection))
    with sealed.tampering() as connection:
        connection.execute("DELETE FROM tallystick.refusals")
        assert "refusal 1 is not there any more" in reasons_of(sealed.check(connection))


def test_a_rotated_key_holds(sealed: SealedLedger, tmp_path: Path, clock: SettableClock) -> None:
    folder = tmp_path / "copy"
    shutil.copytree(sealed.folder, folder)
    key_file, seals = KeyFile(folder / "signing.key"), Seals(folder / "seals" / SCHEMA)
    with sealed.tampering() as connection:
        Sealer(SCHEMA, key_file, seals, None, clock).rotate(connection)
        key = key_file.read()
        assert key is not None
        verified = Verification(SCHEMA, trust_in(key.public_key, seals)).check(connection)
        assert verified.findings == ()
        assert verified.checkpoints == 4
        assert len(verified.keys) == 2
        assert not sealed.check(connection).holds, "to whom the hand-over was not sealed"


@pytest.mark.parametrize(
    ("change", "reason"),
    [
        ("UPDATE tallystick.balance SET used_credits = used_credits + 150", "used_credits is "),
        ("DELETE FROM tallystick.balance", "not there"),
        ("UPDATE tallystick.renewal SET account_id = 'mallory'", "account_id is mallory, not account-"),
        ("UPDATE tallystick.charges SET generation_id = generation_id || 'x'", "its charges row is of generation "),
        ("DELETE FROM tallystick.charges", "has no row in charges"),
        ("INSERT INTO tallystick.charges SELECT gen_random_uuid(), 'x', 3", "no event is behind it"),
        ("UPDATE tallystick.usage SET credits = credits + 1", "credits is "),
        ("UPDATE tallystick.disputes SET status = 'closed'", "status is closed, not "),
        ("UPDATE tallystick.ledger_snapshots SET state = state || ' '", "state is "),
        ("UPDATE tallystick.head SET last_id = last_id + 1", "the head row says that the last event is "),
        ("INSERT INTO tallystick.head VALUES (false, 3)", ""),
        ("UPDATE tallystick.projection_positions SET position = 10^9", "says that it has taken event 1000000000"),
    ],
)
def test_rows_that_do_not_follow_from_the_events_are_named(sealed: SealedLedger, change: str, reason: str) -> None:
    with sealed.tampering() as connection:
        try:
            with connection.transaction():
                connection.execute(change)
        except psycopg.errors.CheckViolation:
            return
        verified = sealed.check(connection)
        assert any(reason in finding.reason for finding in verified.findings), verified.findings[:3]


def test_a_price_that_does_not_come_to_its_credits_is_named(sealed: SealedLedger) -> None:
    with connect(sealed.database_url) as reading:
        (position,) = reading.execute(
            "SELECT min(notification_id) FROM tallystick.ledger_events WHERE topic = 'GenerationCharged'"
        ).fetchone() or (0,)
    for credits_per_unit, reason in (("149", "but it comes to"), ("1E+9999", "no catalogue can have given")):
        with sealed.tampering() as connection:
            connection.execute("DELETE FROM tallystick.log_trees")
            connection.execute(
                "UPDATE tallystick.ledger_events SET state = convert_to(regexp_replace(convert_from(state, 'UTF8'),"
                " '\"credits_per_unit\":[0-9]+', '\"credits_per_unit\":' || %s), 'UTF8') WHERE notification_id = %s",
                [credits_per_unit, position],
            )
            verified = Verification(SCHEMA, Trust()).check(connection)
            assert first_of(verified).startswith(f"event {position} (GenerationCharged")
            assert reason in first_of(verified)


@pytest.mark.parametrize(
    "change",
    [
        "recorded_at = 'infinity'",
        "recorded_at = '-infinity'",
        "recorded_at = '200000-01-01'",
        "previous_hash = ''",
        "originator_version = -1",
        "originator_version = 9223372036854775807",
        "notification_id = -9223372036854775807",
        "state = ''",
        "state = decode('ff', 'hex')",
        "topic = repeat('x', 100000)",
        "topic = 'DisputeOpened'",
    ],
)
def test_values_that_no_event_can_have_do_not_stop_the_check(sealed: SealedLedger, change: str) -> None:
    with sealed.tampering() as connection:
        connection.execute("ALTER TABLE tallystick.ledger_events DROP CONSTRAINT ledger_events_check")
        connection.execute(f"UPDATE tallystick.ledger_events SET {change} WHERE notification_id = 60")
        assert not sealed.check(connection).holds


def test_the_command_ends_with_0_or_1_and_says_why(sealed: SealedLedger) -> None:
    sound = tallystick("verify", folder=sealed.folder, database_url=sealed.database_url)
    assert sound.returncode == 0, sound.stdout + sound.stderr
    assert "Everything holds." in sound.stdout
    assert "3 checkpoints cover " in sound.stdout

    with connect(sealed.database_url) as connection:
        connection.execute("SET session_replication_role = replica")
        before = connection.execute("SELECT state FROM tallystick.ledger_events WHERE notification_id = 9").fetchone()
        connection.execute("UPDATE tallystick.ledger_events SET state = state || ' ' WHERE notification_id = 9")
    try:
        in_two = Verification(SCHEMA, sealed.trust()).run(sealed.database_url, processes=2)
        assert first_of(in_two).startswith("event 9 (")
        assert in_two.findings == Verification(SCHEMA, sealed.trust()).run(sealed.database_url, processes=1).findings
        damaged = tallystick("verify", folder=sealed.folder, database_url=sealed.database_url)
        assert damaged.returncode == 1
        assert "The first that does not hold: event 9 (" in damaged.stdout
        assert "Traceback" not in damaged.stderr
    finally:
        assert before is not None
        with connect(sealed.database_url) as connection:
            connection.execute("SET session_replication_role = replica")
            connection.execute("UPDATE tallystick.ledger_events SET state = %s WHERE notification_id = 9", before)

    elsewhere = sealed.folder / "elsewhere"
    elsewhere.mkdir()
    keyless = tallystick("verify", folder=elsewhere, database_url=sealed.database_url)
    assert keyless.returncode == 0
    assert "No signing key is kept here" in keyless.stderr
