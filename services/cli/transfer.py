"""Ledgers as text: out of a schema, and into an empty one."""

import sys
from contextlib import suppress
from pathlib import Path
from typing import Annotated

import typer

from services.bootstrap.audit import export_ledger, import_ledger
from services.cli.console import FOUND_WRONG, err, plain_errors, settings
from services.cli.progress import progress
from services.transfer.importing import DoesNotHold, NotEmpty
from services.transfer.lines import NotAnExport

STANDARD = Path("-")


def export(file: Annotated[Path, typer.Argument(help="Where to write; `-` is standard output.")]) -> None:
    """Write the ledger as NDJSON: every event with its stored bytes, checkpoints, refusals."""
    configured = settings()
    with plain_errors(), progress() as show:
        if file == STANDARD:
            end = export_ledger(configured, sys.stdout.buffer, show)
            sys.stdout.buffer.flush()
        else:
            unfinished = file.with_name(f"{file.name}.unfinished")
            try:
                with unfinished.open("wb") as opened:
                    end = export_ledger(configured, opened, show)
                unfinished.replace(file)
            finally:
                with suppress(FileNotFoundError):
                    unfinished.unlink()
    err.print(f"Wrote {end.events:,} events, {end.checkpoints:,} checkpoints and {end.refusals:,} refusals.")


def import_(file: Annotated[Path, typer.Argument(help="What `export` wrote; `-` is standard input.")]) -> None:
    """Read an exported ledger into an empty schema and verify it: all of it, or nothing."""
    configured = settings()
    try:
        with plain_errors(), progress() as show:
            if file == STANDARD:
                end = import_ledger(configured, sys.stdin.buffer, show)
            else:
                with file.open("rb") as opened:
                    end = import_ledger(configured, opened, show)
    except (NotEmpty, NotAnExport, DoesNotHold) as error:
        err.print(f"[red]{error}")
        raise typer.Exit(FOUND_WRONG) from None
    read = f"{end.events:,} events, {end.checkpoints:,} checkpoints and {end.refusals:,} refusals"
    err.print(f"Read {read}; all of it holds.")
