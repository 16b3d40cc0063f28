"""The `keys` commands: make, list and revoke API keys."""

from typing import Annotated

import typer
from rich.table import Table

from services.bootstrap.keys import forget_first_key, open_key_ring
from services.cli.console import EXIT_USAGE, JSON, err, fail, out, plain_errors, read_settings
from services.keys import SCOPES

keys = typer.Typer(no_args_is_help=True, help="API keys: make, list, revoke.")


@keys.command()
def create(
    name: Annotated[str, typer.Option(help="Whose key it is.")],
    scope: Annotated[list[str], typer.Option(help=f"May be repeated: {', '.join(SCOPES)}.")],
) -> None:
    """Make a key. It is shown once; only its hash is kept."""
    if unknown := [each for each in scope if each not in SCOPES]:
        fail(f"No such scope: {', '.join(unknown)}. There are: {', '.join(SCOPES)}.", EXIT_USAGE)
    with plain_errors(), open_key_ring(read_settings()) as ring:
        key_id, secret = ring.create(name, scope)
        err.print(f"Key {key_id} for {name}; it is not shown again:")
        out.print(secret)


@keys.command("list")
def list_keys(
    as_json: Annotated[bool, typer.Option("--json", help="As one JSON object.")] = False,
) -> None:
    """List the keys, without their secrets."""
    table = Table("key", "name", "scopes", "created", "revoked")
    with plain_errors(), open_key_ring(read_settings()) as ring:
        keys = ring.list()
        if as_json:
            out.print(JSON.encode({"data": keys}).decode(), markup=False)
            return
        for key in keys:
            revoked = f"{key.revoked_at:%Y-%m-%d %H:%M}" if key.revoked_at else ""
            table.add_row(key.key_id, key.name, " ".join(key.scopes), f"{key.created_at:%Y-%m-%d %H:%M}", revoked)
    out.print(table)


@keys.command()
def revoke(key_id: Annotated[str, typer.Argument(help="As `keys list` shows it.")]) -> None:
    """Revoke a key, for good; API processes refuse it within seconds."""
    settings = read_settings()
    with plain_errors(), open_key_ring(settings) as ring:
        if not ring.revoke(key_id):
            fail(f"There is no key {key_id} that could be revoked.")
        out.print(f"Revoked {key_id}.")
        if forget_first_key(settings, key_id):
            out.print("Deleted the file that it was kept in.")
