"""The `checkpoint` command: seals what is recorded so far, and prints the newest note."""

import sys
from pathlib import Path
from typing import Annotated

import typer

from services.bootstrap.signing import open_sealer
from services.cli.console import EXIT_USAGE, fail, plain_errors, read_settings
from services.log.note import BadNote, Note


def checkpoint(
    rotate: Annotated[
        bool, typer.Option("--rotate", help="Let a new key sign from now on; the old one vouches for it.")
    ] = False,
    new_ledger: Annotated[
        bool,
        typer.Option("--new-ledger", help="Begin a new log, with a new origin and key, over what is recorded."),
    ] = False,
    adopt: Annotated[
        Path | None,
        typer.Option(metavar="FILE", help="Go on from a note of this ledger, where the seals are gone or older."),
    ] = None,
) -> None:
    """Seal what is recorded so far, and print the newest note. Keep it where nobody who runs the database can write."""
    if rotate + new_ledger + (adopt is not None) > 1:
        fail("--rotate, --new-ledger and --adopt exclude one another.", EXIT_USAGE)
    adopted = _read_note(adopt) if adopt else None
    with plain_errors(), open_sealer(read_settings()) as (sealer, connection):
        if rotate:
            newest: Note | None = sealer.rotate(connection)
        elif new_ledger:
            newest = sealer.begin_again(connection)
        elif adopted is not None:
            newest = sealer.adopt(connection, adopted)
        else:
            sealer.seal(connection)
            newest = sealer.newest()
    assert newest is not None, "something was sealed"
    sys.stdout.write(str(newest))


def _read_note(path: Path) -> Note:
    try:
        return Note.parse(path.read_bytes())
    except OSError as error:
        fail(f"{path} cannot be read: {error.strerror}", EXIT_USAGE)
    except BadNote as error:
        fail(f"{path}: {error}", EXIT_USAGE)
