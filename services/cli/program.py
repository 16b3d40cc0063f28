"""The command tree."""

import typer

from services.cli import projector, renewals, roles
from services.cli.as_of import as_of
from services.cli.checkpoint import checkpoint
from services.cli.demo import demo
from services.cli.history import history
from services.cli.keys import keys
from services.cli.rebuild import rebuild
from services.cli.transfer import export, import_
from services.cli.verify import verify
from services.cli.verify_evidence import verify_evidence

program = typer.Typer(
    name="tallystick",
    help="A ledger of AI credits: every credit granted, spent, lapsed or given back can be explained.",
    no_args_is_help=True,
    add_completion=False,
    pretty_exceptions_enable=False,
)
for command in (roles.serve, roles.api, renewals.renewals, projector.projector, roles.migrate):
    program.command()(command)
program.command()(history)
program.command()(as_of)
program.command()(verify_evidence)
program.command()(rebuild)
program.command()(demo)
program.command()(verify)
program.command()(export)
program.command("import")(import_)
program.command()(checkpoint)
program.add_typer(keys, name="keys")


def main() -> None:
    """Run the command line."""
    program()
