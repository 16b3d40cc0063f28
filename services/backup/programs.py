"""Runs PostgreSQL's own programs for back-ups; the password is not in the list of processes."""

import os
import subprocess
from collections.abc import Sequence
from typing import Any

from psycopg.conninfo import conninfo_to_dict, make_conninfo

from services.postgres.embedded import BIN_DIR


class ProgramFailed(RuntimeError):
    """A program of PostgreSQL's did not do what it was to do; the message has its last words."""


def run(program: str, database_url: str, *arguments: str) -> None:
    """Run a program to its end. Raises ProgramFailed."""
    command, environment = _command(program, database_url, arguments)
    ended = subprocess.run(command, env=environment, capture_output=True, text=True, check=False)  # noqa: S603
    if ended.returncode:
        raise ProgramFailed(f"{program} ended with status {ended.returncode}: {_last_words(ended.stderr)}")


def start(program: str, database_url: str, *arguments: str, **options: Any) -> "subprocess.Popen[str]":
    """Start a program that runs until it is stopped."""
    command, environment = _command(program, database_url, arguments)
    # A session of its own: a terminal's Ctrl-C is for us to turn into an orderly stop.
    return subprocess.Popen(command, env=environment, text=True, start_new_session=True, **options)  # noqa: S603


def _command(program: str, database_url: str, arguments: Sequence[str]) -> tuple[list[str], dict[str, str]]:
    parts: dict[str, Any] = conninfo_to_dict(database_url)
    password = parts.pop("password", None)
    secrets = {} if password is None else {"PGPASSWORD": str(password)}
    # Nothing else of our environment's: its PG* variables would change what the program does.
    inherited = {name: value for name, value in os.environ.items() if not name.startswith("PG")}
    command = [str(BIN_DIR / program), "--dbname", make_conninfo(**parts), "--no-password", *arguments]
    return command, {**inherited, **secrets, "LC_ALL": "C"}


def _last_words(text: str) -> str:
    lines = [line.strip() for line in text.splitlines() if line.strip()]
    return lines[-1] if lines else "it said nothing"
