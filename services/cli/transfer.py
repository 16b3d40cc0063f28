"""The `export` and `import` commands: a ledger as NDJSON."""

import sys
from pathlib import Path
from typing import Annotated

import typer

from services.bootstrap.audit import export_ledger, import_ledger
from services.cli.console import err, fail, plain_errors, read_settings
from services.cli.progress import progress
from services.transfer.importing import DoesNotHold, NotEmpty
from services.transfer.lines import NotAnExport

STANDARD_STREAM = Path("-")


def export(file: Annotated[Path, typer.Argument(help="Where to write; `-` is standard output.")]) -> None:
    """Write the ledger as NDJSON: every event with its stored bytes, checkpoints, refusals."""
    settings = read_settings()
    with plain_errors(), progress() as show:
        if file == STANDARD_STREAM:
            end = export_ledger(settings, sys.stdout.buffer, show)
            sys.stdout.buffer.flush()
        else:
            unfinished = file.with_name(f"{file.name}.unfinished")
            try:
                with unfinished.open("wb") as opened:
                    end = export_ledger(settings, opened, show)
                unfinished.replace(file)
            finally:
                unfinished.unlink(missing_ok=True)
    err.print(f"Wrote {end.events:,} events, {end.checkpoints:,} checkpoints and {end.refusals:,} refusals.")


def import_(file: Annotated[Path, typer.Argument(help="What `export` wrote; `-` is standard input.")]) -> None:
    """Read an exported ledger into an empty schema and verify it: all of it, or nothing."""
    settings = read_settings()
    try:
        with plain_errors(), progress() as show:
            if file == STANDARD_STREAM:
                end = import_ledger(settings, sys.stdin.buffer, show)
            else:
                with file.open("rb") as opened:
                    end = import_ledger(settings, opened, show)
    except (NotEmpty, NotAnExport, DoesNotHold) as error:
        fail(str(error))
    read = f"{end.events:,} events, {end.checkpoints:,} checkpoints and {end.refusals:,} refusals"
    err.print(f"Read {read}; all of it holds.")
