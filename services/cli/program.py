"""The `tallystick` program: all commands in one tree, each imported when it is run."""

import ast
from collections.abc import Mapping
from dataclasses import dataclass, field
from functools import cached_property
from importlib import import_module
from importlib.metadata import version
from inspect import cleandoc
from pathlib import Path
from typing import Annotated, Any

import typer
from typer.core import TyperCommand, TyperGroup
from typer.main import get_group


@dataclass(frozen=True)
class Entry:
    """An entry of the command line: the function of a command, or the Typer of a group, in a module of this package."""

    module: str
    name: str
    context: Mapping[str, bool] = field(default_factory=dict[str, bool])

    @cached_property
    def summary(self) -> str:
        """The first line of the function's docstring, of a group the module's: read, so that nothing is imported."""
        tree = ast.parse(Path(__file__).with_name(f"{self.module}.py").read_text(encoding="utf-8"))
        functions = {node.name: node for node in tree.body if isinstance(node, ast.FunctionDef)}
        return cleandoc(ast.get_docstring(functions.get(self.name, tree)) or "").partition("\n")[0]

    def load(self, name: str) -> Any:
        """Import the command, or the group."""
        found = getattr(import_module(f"services.cli.{self.module}"), self.name)
        if isinstance(found, typer.Typer):
            return get_group(found)
        holder = typer.Typer()
        holder.command(name, context_settings=dict(self.context))(found)
        return get_group(holder).commands[name]


COMMANDS = {
    "serve": Entry("roles", "serve"),
    "api": Entry("roles", "api"),
    "renewals": Entry("roles", "renewals"),
    "projector": Entry("roles", "projector"),
    "webhooks": Entry("roles", "webhooks"),
    "witness": Entry("witness", "witness"),
    "migrate": Entry("roles", "migrate"),
    "history": Entry("history", "history"),
    "as-of": Entry("as_of", "as_of"),
    "verify-evidence": Entry("verify_evidence", "verify_evidence"),
    "verify-receipt": Entry("verify_receipt", "verify_receipt"),
    "what-if": Entry("what_if", "what_if"),
    "settle": Entry("what_if", "settle"),
    "rebuild": Entry("rebuild", "rebuild"),
    "demo": Entry("demo", "demo"),
    "verify": Entry("verify", "verify"),
    "export": Entry("transfer", "export"),
    "import": Entry("transfer", "import_"),
    "export-books": Entry("books", "export_books_"),
    "verify-export": Entry("books", "verify_export"),
    "checkpoint": Entry("checkpoint", "checkpoint"),
    "backup": Entry("backup", "backup"),
    "restore": Entry("backup", "restore_"),
    "doctor": Entry("doctor", "doctor"),
    "psql": Entry("psql", "psql", {"ignore_unknown_options": True}),
    "catalogue": Entry("catalogue", "catalogue"),
    "keys": Entry("keys", "keys"),
}
"""Every command by its name, in the order in which `--help` lists them."""


class Commands(TyperGroup):
    """The group knows its commands by name and summary, and imports the one that is run: `--help` answers at once."""

    def __init__(self, **attributes: Any) -> None:
        named = {name: TyperCommand(name, help=entry.summary) for name, entry in COMMANDS.items()}
        super().__init__(**{**attributes, "commands": named})

    def resolve_command(self, ctx: Any, args: list[str]) -> tuple[str | None, Any, list[str]]:
        """Find the command that the arguments begin with, and import it."""
        name, _, rest = super().resolve_command(ctx, args)
        return name, COMMANDS[name].load(name) if name else None, rest


program = typer.Typer(
    cls=Commands,
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


def main() -> None:
    """Run the command line."""
    program()
