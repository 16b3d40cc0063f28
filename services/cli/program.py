"""The `tallystick` program: all commands in one tree."""

from collections.abc import Callable
from importlib.metadata import version
from typing import Annotated

import typer

from services.cli.as_of import as_of
from services.cli.checkpoint import checkpoint
from services.cli.demo import demo
from services.cli.history import history
from services.cli.keys import keys
from services.cli.psql import psql
from services.cli.rebuild import rebuild
from services.cli.roles import api, migrate, projector, renewals, serve
from services.cli.transfer import export, import_
from services.cli.verify import verify
from services.cli.verify_evidence import verify_evidence

ROLES: tuple[Callable[..., None], ...] = (serve, api, renewals, projector, migrate)
LEDGER: tuple[Callable[..., None], ...] = (history, as_of, verify_evidence, rebuild, demo, verify, export)

program = typer.Typer(
    name="tallystick",
    help="A ledger of AI credits: every credit granted, spent, lapsed or given back can be explained.",
    no_args_is_help=True,
    add_completion=False,
    pretty_exceptions_enable=False,
)


def _show_version(is_asked: bool) -> None:
    if is_asked:
        typer.echo(f"tallystick {version('tallystick')}")
        raise typer.Exit


@program.callback()
def _options(
    _version: Annotated[
        bool, typer.Option("--version", callback=_show_version, is_eager=True, help="Show the version, and end.")
    ] = False,
) -> None:
    """A ledger of AI credits: every credit granted, spent, lapsed or given back can be explained."""


for command in ROLES + LEDGER:
    program.command()(command)
program.command("import")(import_)
program.command()(checkpoint)
program.command(context_settings={"ignore_unknown_options": True})(psql)
program.add_typer(keys, name="keys")


def main() -> None:
    """Run the command line."""
    program()
