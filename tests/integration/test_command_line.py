"""What every command line has: a version, lists as JSON, one line for what is wrong, and a quick `--help`."""

import json
import subprocess
import sys
from importlib.metadata import version
from pathlib import Path

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
