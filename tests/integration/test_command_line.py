"""What every command line has: a version, lists as JSON, one line for what is wrong, and a quick `--help`."""

import json
import re
import socket
import subprocess
import sys
from importlib.metadata import version
from pathlib import Path
from typing import Any

import psycopg
import pytest

from services.cli.program import COMMANDS
from tests.processes import CHECKOUT, tallystick


def test_the_version(tmp_path: Path) -> None:
    assert tallystick("--version", folder=tmp_path).stdout == f"tallystick {version('tallystick')}\n"


def test_the_list_of_commands_needs_none_of_them() -> None:
    listed = subprocess.run(
        [sys.executable, "-X", "importtime", "-m", "services.cli", "--help"],
        cwd=CHECKOUT, capture_output=True, text=True, check=True,
    )  # fmt: skip

    assert all(name in listed.stdout for name in COMMANDS)
    assert not {"psycopg", "fastapi", "services.config"} & {line.split()[-1] for line in listed.stderr.splitlines()}


@pytest.mark.parametrize("name", COMMANDS)
def test_every_command_has_a_summary_and_a_help(name: str) -> None:
    command = COMMANDS[name].load(name)

    assert COMMANDS[name].summary.endswith(".")
    assert command.help


def test_keys_are_listed_as_json(tmp_path: Path, database_url: str) -> None:
    tallystick("keys", "create", "--name", "backend", "--scope", "read", folder=tmp_path, database_url=database_url)

    listed = tallystick("keys", "list", "--json", folder=tmp_path, database_url=database_url)

    (key,) = json.loads(listed.stdout)["data"]
    assert (key["name"], key["scopes"], key["revoked_at"]) == ("backend", ["read"], None)


def test_a_key_is_made_rotated_and_revoked(tmp_path: Path, database_url: str) -> None:
    def keys(*arguments: str) -> Any:
        done = tallystick("keys", *arguments, folder=tmp_path, database_url=database_url)
        assert done.returncode == 0, done.stderr
        return json.loads(done.stdout) if "--json" in arguments else done.stdout

    subscription_id = "0f8fad5b-d9cb-469f-a165-70867728950e"
    confinement = ("--account", "a-1", "--account", "a-2", "--subscription", subscription_id)
    alone = keys("create", "--name", "backend", "--scope", "charge")
    made = keys(
        "create", "--name", "shop", "--scope", "read", "--scope", "charge", "--expires-in", "60", *confinement, "--json"
    )
    rotated = keys("rotate", made["key_id"], "--overlap", "0", "--json")
    rotated_alone = keys("rotate", made["key_id"])
    keys("revoke", made["key_id"])

    assert re.fullmatch(r"tsk_[a-z2-7]{8}_[0-9A-Za-z]{38}\n", alone)
    assert re.fullmatch(rf"tsk_{made['key_id']}_[0-9A-Za-z]{{38}}\n", rotated_alone)
    assert made == {
        "key_id": made["key_id"],
        "key": made["key"],
        "name": "shop",
        "scopes": ["read", "charge"],
        "expires_at": made["expires_at"],
        "account_ids": ["a-1", "a-2"],
        "subscription_ids": [subscription_id],
    }
    assert rotated == {**made, "key": rotated["key"]}
    (record,) = [each for each in keys("list", "--json")["data"] if each["key_id"] == made["key_id"]]
    assert {"created_at", "created_by", "expires_at", "revoked_at", "last_used_at"} <= record.keys()
    history = [each for each in keys("history", "--json")["data"] if each["key_id"] == made["key_id"]]
    assert [each["action"] for each in history] == ["created", "rotated", "rotated", "revoked"]
    assert {each["by"] for each in history} == {record["created_by"]}
    assert record["created_by"].endswith(f"@{socket.gethostname()}")


@pytest.mark.parametrize(
    ("arguments", "status"),
    [
        (["create", "--name", "x", "--scope", "all"], 2),
        (["create", "--name", "x", "--scope", "read", "--subscription", "1"], 2),
        (["create", "--name", "x", "--scope", "read", "--account", ""], 2),
        (["create", "--name", "x", "--scope", "read", "--expires-in", "0"], 2),
        (["rotate", "nobody"], 1),
        (["rotate", "nobody", "--overlap", "-1"], 2),
        (["revoke", "nobody"], 1),
    ],
)
def test_a_key_that_cannot_be_made_or_changed(
    tmp_path: Path, database_url: str, arguments: list[str], status: int
) -> None:
    ended = tallystick("keys", *arguments, folder=tmp_path, database_url=database_url)

    assert (ended.returncode, ended.stdout) == (status, "")
    assert "Traceback" not in ended.stderr


def test_rotating_the_first_key_keeps_its_file(tmp_path: Path, database_url: str) -> None:
    key_file = tmp_path / "bootstrap.key"
    key_file.write_text("tsk_bootstrap_x")
    with psycopg.connect(database_url) as connection:
        connection.execute(
            "INSERT INTO tallystick.api_keys (key_id, key_hash, name, scopes, created_at)"
            " VALUES ('bootstrap', 'x', 'bootstrap', '{read}', now())"
        )

    rotated = tallystick("keys", "rotate", "bootstrap", folder=tmp_path, database_url=database_url)

    assert rotated.stdout == key_file.read_text()
    assert (rotated.returncode, key_file.stat().st_mode & 0o777) == (0, 0o600)


def test_the_file_of_the_first_key_goes_with_the_key(tmp_path: Path, database_url: str) -> None:
    key_file = tmp_path / "bootstrap.key"
    key_file.write_text("ts_bootstrap_x")
    with psycopg.connect(database_url) as connection:
        connection.execute(
            "INSERT INTO tallystick.api_keys (key_id, key_hash, name, scopes, created_at)"
            " VALUES ('bootstrap', 'x', 'bootstrap', '{read}', now())"
        )

    revoked = tallystick("keys", "revoke", "bootstrap", folder=tmp_path, database_url=database_url)

    assert revoked.returncode == 0, revoked.stderr
    assert not key_file.exists()


def test_a_wrong_setting_takes_a_line(tmp_path: Path) -> None:
    ended = tallystick("serve", folder=tmp_path, bootstrap_key="x")

    assert (ended.returncode, ended.stderr.count("\n")) == (2, 1)
    assert ended.stderr.startswith("TALLYSTICK_BOOTSTRAP_KEY: a key is 32 to 512 visible")


def test_a_python_that_there_is_not_is_named_though_all_is_set_up() -> None:
    ended = subprocess.run(["make", "setup", "PYTHON=/nope"], cwd=CHECKOUT, capture_output=True, text=True, check=False)

    assert ended.returncode != 0
    assert "there is no /nope" in ended.stdout


def test_a_shell_in_the_database(tmp_path: Path, database_url: str) -> None:
    query = "SELECT count(*) FROM tallystick.head"
    shell = tallystick("psql", "-A", "-t", "-c", query, folder=tmp_path, database_url=database_url)

    assert (shell.returncode, shell.stdout) == (0, "1\n"), shell.stderr
