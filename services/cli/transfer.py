"""The `export` and `import` commands: a ledger as NDJSON."""

import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Annotated, BinaryIO

import typer

from services.bootstrap.audit import export_ledger, import_ledger
from services.cli.console import EXIT_USAGE, err, fail, plain_errors, read_settings
from services.cli.progress import progress
from services.transfer.exporting import NoSuchPosition
from services.transfer.importing import DoesNotHold, NotEmpty, NotNext
from services.transfer.lines import NotAnExport

STANDARD_STREAM = Path("-")


def export(
    file: Annotated[Path, typer.Argument(help="Where to write; `-` is standard output.")],
    force: Annotated[bool, typer.Option(help="Replace a file that is there.")] = False,
    after: Annotated[int, typer.Option(min=0, help="Go on after this position, where an earlier export ended.")] = 0,
) -> None:
    """Write the ledger as NDJSON: every event with its stored bytes, and the refusals."""
    settings = read_settings()
    try:
        with plain_errors(), progress() as show, written(file, may_replace=force) as opened:
            end = export_ledger(settings, opened, show, after)
    except NoSuchPosition as error:
        fail(str(error))
    err.print(f"Wrote {end.events:,} events and {end.refusals:,} refusals.")


@contextmanager
def written(file: Path, *, may_replace: bool) -> Iterator[BinaryIO]:
    """Open what is to be written. A file has its name once it is whole; a pipe or a device is written to as it is.

    A link stays, and what it leads to is written.
    """
    target = file.resolve()
    if file == STANDARD_STREAM:
        yield sys.stdout.buffer
        sys.stdout.buffer.flush()
    elif target.is_dir():
        fail(f"{file} is a folder.", EXIT_USAGE)
    elif target.exists() and not target.is_file():
        with target.open("wb") as opened:
            yield opened
    elif target.exists() and not may_replace:
        fail(f"{file} is there already; --force replaces it.", EXIT_USAGE)
    else:
        unfinished = target.with_name(f"{target.name}.unfinished")
        try:
            with unfinished.open("wb") as opened:
                yield opened
            unfinished.replace(target)
        finally:
            unfinished.unlink(missing_ok=True)


def import_(file: Annotated[Path, typer.Argument(help="What `export` wrote; `-` is standard input.")]) -> None:
    """Read an exported ledger into an empty schema, or go on where it ends, and verify it: all of it, or nothing."""
    settings = read_settings()
    try:
        with plain_errors(), progress() as show:
            if file == STANDARD_STREAM:
                end = import_ledger(settings, sys.stdin.buffer, show)
            else:
                with file.open("rb") as opened:
                    end = import_ledger(settings, opened, show)
    except (NotEmpty, NotNext, NotAnExport, DoesNotHold) as error:
        fail(str(error))
    read = f"{end.events:,} events and {end.refusals:,} refusals"
    err.print(f"Read {read}; all of it holds.")
