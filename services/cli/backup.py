"""The `backup` and `restore` commands."""

import signal
from datetime import datetime
from pathlib import Path
from threading import Event
from typing import Annotated

import typer

from services.backup.archive import Manifest
from services.backup.recovering import Target
from services.bootstrap.audit import verify_ledger
from services.bootstrap.backup import back_up, restore
from services.bootstrap.database import NotMigrated
from services.cli.console import EXIT_FAILURE, EXIT_USAGE, err, fail, out, plain_errors, read_settings
from services.cli.progress import progress
from services.cli.verify import print_result
from services.evidence.lineage import Pins


def backup(
    folder: Annotated[Path, typer.Argument(metavar="DIR", help="A new folder, on another disk.")],
    follow: Annotated[
        bool, typer.Option("--follow", help="Go on, and keep what is recorded from then on, until SIGTERM.")
    ] = False,
) -> None:
    """Back up the ledger: database, keys and seals. It has secrets in it, as the data directory has."""
    settings, stopped = read_settings(), Event()
    if folder.exists() and (not folder.is_dir() or any(folder.iterdir())):
        fail(f"{folder} is not an empty folder: each back-up has one of its own.", EXIT_USAGE)
    for number in (signal.SIGTERM, signal.SIGINT):
        signal.signal(number, lambda _number, _frame: stopped.set())

    def say(manifest: Manifest) -> None:
        out.print(f"Backed up to {folder}, up to position {manifest.position:,}.", markup=False)
        if follow:
            out.print("following: what is recorded from now on is kept there too, until this is stopped (SIGTERM)")
        out.file.flush()

    with plain_errors():
        back_up(settings, folder, follow=follow, is_stopped=stopped.is_set, on_base=say)
    if follow:
        out.print(f"Stopped. {folder} has all that was committed by then.", markup=False)


def restore_(
    folder: Annotated[Path, typer.Argument(metavar="DIR", help="The folder of a back-up.")],
    to: Annotated[
        str | None,
        typer.Option(
            metavar="INSTANT|POSITION",
            help="Stop at the commit of this position, or at the last one at or before an instant.",
        ),
    ] = None,
) -> None:
    """Restore a back-up into an empty TALLYSTICK_DATA_DIR, and check the whole ledger."""
    settings, target = read_settings(), _target(to)
    if settings.url is not None:
        fail("TALLYSTICK_DATABASE_URL is set: a restore makes an embedded database.", EXIT_USAGE)
    if settings.data_dir.exists() and any(settings.data_dir.iterdir()):
        fail(f"{settings.data_dir} is not empty: a restore fills an empty data directory.", EXIT_USAGE)
    with plain_errors(), restore(settings, folder, target, err.print) as restored:
        out.print(f"Restored to {settings.data_dir}, up to position {restored.position:,}.", markup=False)
        for log, sizes in restored.set_aside.items():
            if sizes:
                named = ", ".join(f"{size:,}" for size in sizes[-10:])
                out.print(
                    f"Set aside {len(sizes):,} later seals of {log}, over {named}: nothing is sealed until "
                    "`tallystick checkpoint --new-ledger`.",
                    markup=False,
                )
        try:
            with progress() as show:
                verified = verify_ledger(settings, show, Pins())
        except NotMigrated as error:
            fail(f"It is restored, and was not checked: {error}; then `tallystick verify`.", EXIT_FAILURE)
        print_result(verified)
    if not verified.holds:
        raise typer.Exit(EXIT_FAILURE)


def _target(to: str | None) -> Target:
    if to is None:
        return Target()
    if to.isdecimal():
        return (
            Target(position=int(to)) if 0 < int(to) < 2**63 else fail("--to must be a position from 1 on.", EXIT_USAGE)
        )
    try:
        at = datetime.fromisoformat(to)
    except ValueError:
        fail(f"--to {to} is neither a position nor an instant, such as 2026-01-31T10:00:00Z.", EXIT_USAGE)
    if at.tzinfo is None:
        fail("--to needs an instant with its offset from UTC, such as 2026-01-31T10:00:00Z.", EXIT_USAGE)
    return Target(at=at)
