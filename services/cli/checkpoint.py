"""Signed checkpoints over the events."""

from typing import Annotated

import typer

from services.bootstrap.signing import open_sealer
from services.cli.console import WRONG_USE, err, out, plain_errors, settings
from services.integrity.checkpoints import Checkpoint


def checkpoint(
    rotate: Annotated[bool, typer.Option(help="Sign with a new key from now on; the old one vouches for it.")] = False,
    replace_lost_key: Annotated[
        bool, typer.Option(help="Go on with the key that is here, though the last checkpoint names another.")
    ] = False,
) -> None:
    """Cover new events with a signed checkpoint. Keep what it prints where nobody who can write the database can."""
    if rotate and replace_lost_key:
        err.print("[red]A key that is lost cannot vouch for another one: choose.")
        raise typer.Exit(WRONG_USE)
    with plain_errors(), open_sealer(settings()) as (sealer, connection):
        if rotate:
            made = sealer.rotate(connection)
        elif replace_lost_key:
            made = sealer.replace_lost_key(connection)
        else:
            made = sealer.seal(connection)
        for each in made:
            out.print(_line(each))
        if not made:
            out.print("Nothing new since the last checkpoint.")


def _line(made: Checkpoint) -> str:
    covers = f"events {made.from_position} to {made.to_position}" if made.event_count else "no new events"
    next_key = f", next key {made.next_key_id}" if made.next_public_key else ""
    return f"Checkpoint {made.number} over {covers}: {made.hash.hex()}, key {made.key_id}{next_key}"
