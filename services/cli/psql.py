"""The `psql` command: a shell in the ledger's database."""

import os
from typing import Annotated

import typer

from services.bootstrap.database import shell_of
from services.cli.console import plain_errors, read_settings


def psql(
    arguments: Annotated[list[str] | None, typer.Argument(help="Handed on to psql, such as -c QUERY.")] = None,
) -> None:
    """Open a shell in the ledger's database, by PostgreSQL's own psql."""
    with plain_errors():
        shell = shell_of(read_settings())
        os.execve(shell.program, [*shell.command, *(arguments or [])], {**os.environ, **shell.secrets})  # noqa: S606
