"""The `rebuild` command: read models made anew from the events."""

import time
from typing import Annotated

import typer

from projections.rebuilding.rebuild import RebuildResult, UnknownProjection
from services.bootstrap.audit import rebuild_projections
from services.cli.console import EXIT_USAGE, fail, out, plain_errors, read_settings
from services.cli.progress import progress

_MEANING = {
    "missing": "had not been there",
    "surplus": "had been there without an event",
    "changed": "had been different",
}


def rebuild(
    projection: Annotated[list[str] | None, typer.Argument(help="balance, renewal, charges, usage, ...")] = None,
    everything: Annotated[bool, typer.Option("--all", help="Every projection, in one go.")] = False,
) -> None:
    """Rebuild read models from the events while writes go on, and say what was wrong with the old ones."""
    if bool(projection) == everything:
        fail("Name projections, or say --all.", EXIT_USAGE)
    began_at = time.monotonic()
    with plain_errors(), progress() as show:
        try:
            rebuilt = rebuild_projections(read_settings(), projection or (), show)
        except UnknownProjection as error:
            fail(f"{error}.", EXIT_USAGE)
    _print_result(rebuilt, time.monotonic() - began_at)


def _print_result(rebuilt: RebuildResult, seconds: float) -> None:
    names = ", ".join(rebuilt.projections)
    rate = rebuilt.events / seconds
    out.print(f"Rebuilt {names} from {rebuilt.events:,} events in {seconds:.1f} s ({rate:,.0f} events/s).")
    for each in rebuilt.differences:
        rows = "1 row" if each.rows == 1 else f"{each.rows:,} rows"
        out.print(f"[yellow]{each.table}: {rows} {_MEANING[each.kind]}, first {each.first_key}", soft_wrap=True)
    for table in rebuilt.uncompared:
        out.print(f"[yellow]{table}: was too far behind the events to be compared")
    if not rebuilt.differences and not rebuilt.uncompared:
        out.print("No row of the tables in use differed from what the events say.")
