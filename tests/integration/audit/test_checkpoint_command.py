"""`tallystick checkpoint` prints the newest note and nothing else, or says why it refuses."""

import subprocess
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from functools import partial
from pathlib import Path
from typing import Any

import psycopg
import pytest
from psycopg import Connection

from services.integrity.sealing.store import LogStore
from services.log.checkpoint import Checkpoint
from services.log.note import Note
from services.log.succession import follow
from tests.conftest import SCHEMA
from tests.integration.audit.lives import Lives
from tests.integration.audit.sealing import as_owner
from tests.processes import tallystick

Run = Callable[..., subprocess.CompletedProcess[str]]


@pytest.fixture
def checkpoint(lives: Lives, database_url: str, tmp_path: Path) -> Run:
    lives.go_on(10)
    return partial(tallystick, "checkpoint", folder=tmp_path, database_url=database_url)


def note_of(run: subprocess.CompletedProcess[str]) -> Note:
    assert run.returncode == 0, run.stderr
    assert run.stderr == ""
    return Note.parse(run.stdout)


def test_it_seals_and_prints_the_newest_note(checkpoint: Run, lives: Lives, connection: Connection[Any]) -> None:
    first = note_of(checkpoint())
    assert note_of(checkpoint()) == first, "nothing is new"
    lives.go_on(10)
    second = note_of(checkpoint())
    stored = LogStore(SCHEMA).latest(connection)
    assert stored is not None
    assert stored.note == second
    (count,) = connection.execute("SELECT last_id FROM tallystick.head").fetchone() or (None,)
    assert Checkpoint.parse(second.text).size == count


def test_it_hands_over_to_a_new_key(checkpoint: Run, lives: Lives, connection: Connection[Any]) -> None:
    origin = Checkpoint.parse(note_of(checkpoint()).text).origin
    hand_overs = [note_of(checkpoint("--rotate")), note_of(checkpoint("--rotate"))]
    lives.go_on(10)
    newest = note_of(checkpoint())
    keys = LogStore(SCHEMA).keys(connection, origin)
    [succession] = follow(keys[:1], hand_overs)
    assert succession.keys == tuple(keys)
    assert succession.open(newest).origin == origin


def test_it_says_why_it_refuses(checkpoint: Run, connection: Connection[Any], tmp_path: Path) -> None:
    note = note_of(checkpoint())
    (tmp_path / "seals").rename(tmp_path / "lost")
    refused = checkpoint()
    assert (refused.returncode, refused.stdout) == (1, "")
    assert "--adopt FILE" in refused.stderr
    assert "--new-ledger" in refused.stderr
    assert "Traceback" not in refused.stderr

    (tmp_path / "kept").write_text(str(note))
    assert note_of(checkpoint("--adopt", tmp_path / "kept")) == note
    assert note_of(checkpoint()) == note
    as_owner(connection, "DELETE FROM tallystick.log_checkpoints")
    assert checkpoint().returncode == 1
    anew = note_of(checkpoint("--new-ledger"))
    assert Checkpoint.parse(anew.text).origin != Checkpoint.parse(note.text).origin
    assert note_of(checkpoint()) == anew


@pytest.mark.parametrize(
    ("arguments", "reason"),
    [
        (["--rotate", "--new-ledger"], "exclude one another"),
        (["--adopt", "nowhere"], "nowhere cannot be read"),
        (["--adopt", "signing.key"], "no signed note"),
    ],
)
def test_wrong_use(checkpoint: Run, arguments: list[str], reason: str) -> None:
    note_of(checkpoint())
    wrong = checkpoint(*arguments)
    assert (wrong.returncode, wrong.stdout) == (2, "")
    assert reason in wrong.stderr


def test_the_origin_can_be_named(checkpoint: Run) -> None:
    assert checkpoint(log_origin="a b").returncode == 2
    assert note_of(checkpoint(log_origin="ledger.example/1")).text.startswith("ledger.example/1\n")
    assert checkpoint(log_origin="ledger.example/2").returncode == 1


def test_a_key_made_by_openssl_signs(checkpoint: Run, tmp_path: Path) -> None:
    path = tmp_path / "made.pem"
    subprocess.run(["openssl", "genpkey", "-algorithm", "ed25519", "-out", path], check=True, capture_output=True)
    note_of(checkpoint(signing_key=path))
    path.write_text("no key")
    assert checkpoint(signing_key=path).returncode == 1


def test_many_at_once_make_one_log(checkpoint: Run, lives: Lives, connection: Connection[Any]) -> None:
    with ThreadPoolExecutor(3) as pool:
        runs = [pool.submit(checkpoint) for _ in range(3)]
        lives.go_on(50)
        assert all(note_of(run.result()) for run in runs)
    checkpoints = LogStore(SCHEMA).newest_first(connection, limit=99)
    assert [each.number for each in checkpoints] == list(range(len(checkpoints), 0, -1))
    sizes = [each.size for each in checkpoints]
    assert sizes == sorted(set(sizes), reverse=True)


@pytest.mark.parametrize("table", ["log_checkpoints", "log_keys", "log_cosignatures", "refusal_numbers"])
@pytest.mark.parametrize("change", ["UPDATE {} SET number = 0", "DELETE FROM {}", "TRUNCATE {}"])
def test_what_was_signed_cannot_be_changed_in_the_database(
    lives: Lives, connection: Connection[Any], table: str, change: str
) -> None:
    with pytest.raises(psycopg.errors.IntegrityError, match="refused"):
        connection.execute(change.format(f"tallystick.{table}"))
