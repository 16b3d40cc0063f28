"""The `export-books` and `verify-export` commands: what each event moved, as files, and the proof of them."""

from itertools import pairwise
from pathlib import Path
from typing import Annotated

import typer

from services.bootstrap.audit import export_books, prove_books
from services.cli.console import EXIT_FAILURE, err, fail, out, plain_errors, read_settings
from services.cli.progress import progress
from services.cli.transfer import written
from services.transfer.books.form import NoParquet, NotBooks
from services.transfer.books.proving import DoesNotAgree
from services.transfer.exporting import NoSuchPosition


def export_books_(
    file: Annotated[
        Path,
        typer.Argument(help="Where to write: Parquet if the name ends so, else NDJSON; `-` is standard output."),
    ],
    force: Annotated[bool, typer.Option(help="Replace a file that is there.")] = False,
    after: Annotated[int, typer.Option(min=0, help="Go on after this position, where an earlier file ended.")] = 0,
) -> None:
    """Write what each event moved between granted, used, reversed, lapsed, held and left, up to a position."""
    settings = read_settings()
    try:
        with plain_errors(), progress() as show, written(file, may_replace=force) as opened:
            head, end = export_books(settings, opened, show, after, is_parquet=file.suffix == ".parquet")
    except (NoSuchPosition, NoParquet) as error:
        fail(str(error))
    err.print(f"Wrote {end.rows:,} movements of the events after {head.after:,}, up to {head.position:,}.")


def verify_export(
    files: Annotated[
        list[Path], typer.Argument(help="What `export-books` wrote.", exists=True, dir_okay=False, readable=True)
    ],
) -> None:
    """Prove that files of `export-books` are what the events of the ledger add up to, row by row."""
    settings, is_good, positions = read_settings(), True, list[tuple[int, int]]()
    for file in files:
        try:
            with plain_errors(), progress() as show, file.open("rb") as opened:
                head = prove_books(settings, opened, show)
        except NoParquet as error:
            fail(str(error))
        except (DoesNotAgree, NotBooks) as error:
            is_good = False
            err.print(f"{file}: {error}", style="red", markup=False)
        else:
            positions.append((head.after, head.position))
            out.print(f"{file}: every row is what its event moved, after {head.after:,} up to {head.position:,}.")
    for (_, position), (after, _) in pairwise(sorted(positions)):
        if position < after:
            is_good = False
            err.print(f"No file has the events after {position:,} up to {after:,}.", style="red")
    if not is_good:
        raise typer.Exit(EXIT_FAILURE)
