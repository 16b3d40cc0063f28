"""The `checkpoint` command: signed checkpoints over the events."""

from typing import Annotated

import typer

from services.bootstrap.signing import open_sealer
from services.cli.console import EXIT_USAGE, fail, out, plain_errors, read_settings
from services.integrity.checkpoints import Checkpoint


def checkpoint(
    rotate: Annotated[bool, typer.Option(help="Sign with a new key from now on; the old one vouches for it.")] = False,
    replace_lost_key: Annotated[
        bool, typer.Option(help="Go on with the key that is here, though the last checkpoint names another.")
    ] = False,
) -> None:
    """Cover new events with a signed checkpoint. Keep what it prints where nobody who can write the database can."""
    if rotate and replace_lost_key:
        fail("A key that is lost cannot vouch for another one: choose.", EXIT_USAGE)
    with plain_errors(), open_sealer(read_settings()) as (sealer, connection):
        if rotate:
            checkpoints = sealer.rotate(connection)
        elif replace_lost_key:
            checkpoints = sealer.replace_lost_key(connection)
        else:
            checkpoints = sealer.seal(connection)
        for each in checkpoints:
            out.print(_line(each))
        if not checkpoints:
            out.print("Nothing new since the last checkpoint.")


def _line(each: Checkpoint) -> str:
    covers = f"events {each.from_position} to {each.to_position}" if each.event_count else "no new events"
    next_key = f", next key {each.next_key_id}" if each.next_public_key else ""
    return f"Checkpoint {each.number} over {covers}: {each.hash.hex()}, key {each.key_id}{next_key}"
