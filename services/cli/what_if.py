"""The `what-if` and `settle` commands: all subscriptions replayed with a change, and the differences recorded."""

import time
from collections.abc import Callable, Iterator
from contextlib import suppress
from decimal import Decimal, InvalidOperation
from pathlib import Path
from typing import Annotated, Literal

import typer

from services.bootstrap.fleet import preview_settlement, run_what_if, settle_run
from services.catalogue import CatalogueError
from services.catalogue.policies import UpgradePolicy
from services.cli.console import EXIT_USAGE, fail, out, plain_errors, read_settings
from services.cli.progress import progress
from services.fleet.changes import BadGenerations, CatalogueText, FleetChanges, Generations, read_generations
from services.fleet.pages import csv_of, html_of
from services.fleet.run_file import NotARun, RunFile
from services.fleet.running import EmptyLedger, OtherRun, RunSummary, UnknownInRun
from services.fleet.settling import NotSettled, Settlement

Form = Literal["ndjson", "csv", "html"]
REASON_MAX = 255
_PAGES: dict[str, Callable[[RunFile], Iterator[str]]] = {"csv": csv_of, "html": html_of}


def what_if(
    *,
    out_file: Annotated[Path, typer.Option("--out", help="Where to write.", dir_okay=False)],
    everything: Annotated[bool, typer.Option("--all", help="Replay every subscription.")] = False,
    plan: Annotated[str | None, typer.Option(help="Replay only those that have this plan.")] = None,
    reprice: Annotated[
        list[str] | None, typer.Option(metavar="MODEL=CREDITS", help="A model's credits per unit. May be repeated.")
    ] = None,
    catalogue: Annotated[Path | None, typer.Option(help="Another catalogue, as if it had been in force.")] = None,
    upgrade_policy: Annotated[UpgradePolicy | None, typer.Option(help="The policy of every upgrade.")] = None,
    without: Annotated[
        Path | None, typer.Option(help="A file of generations to leave out: GENERATION, or SUBSCRIPTION GENERATION.")
    ] = None,
    form: Annotated[Form | None, typer.Option("--format", help="By default as the file's ending says.")] = None,
    resume: Annotated[bool, typer.Option(help="Go on with a run that was cut short.")] = False,
    force: Annotated[bool, typer.Option(help="Replace a file that is there.")] = False,
) -> None:
    """Replay all subscriptions with a change, and write what would be different. Records nothing.

    Every history is replayed as it was recorded up to the ledger's last position. The file has a line for each
    subscription with a difference; `settle` records those of an NDJSON file.
    """
    if not everything and plan is None:
        fail("Say --all, or name a --plan.", EXIT_USAGE)
    chosen = form or _form_of(out_file)
    changes = FleetChanges(
        reprice=dict(map(_repriced, reprice or ())),
        upgrade_policy=upgrade_policy,
        catalogue=None if catalogue is None else _other_catalogue(catalogue),
        without=Generations() if without is None else _generations(without),
        plan_id=plan,
    )
    if out_file.exists() and not force:
        _require_finished(out_file, changes, is_asked=resume and chosen == "ndjson")
        return
    written = out_file if chosen == "ndjson" else out_file.with_name(f"{out_file.name}.ndjson")
    began_at = time.monotonic()
    with plain_errors(), progress() as show:
        try:
            summary = run_what_if(read_settings(), changes, written, show, resume=resume)
            if chosen != "ndjson":
                _convert(written, out_file, _PAGES[chosen])
        except (UnknownInRun, OtherRun) as error:
            fail(str(error), EXIT_USAGE)
        except (EmptyLedger, NotARun) as error:
            fail(str(error))
    _print_summary(summary, time.monotonic() - began_at)


def settle(
    file: Annotated[Path, typer.Argument(help="What `what-if` wrote, as NDJSON.", dir_okay=False)],
    reason: Annotated[str, typer.Option(help="Why; it is recorded with every correction.")],
    dry_run: Annotated[bool, typer.Option(help="Say what would be recorded, and record nothing.")] = False,
) -> None:
    """Record the differences that a run of `what-if` found, as corrections of an operator's error. Once per run.

    Credits are given, or taken as far as they are available. What is cut short goes on when it is run again.
    """
    if not reason.strip() or len(reason) > REASON_MAX or not reason.isprintable():
        fail(f"--reason: must be 1 to {REASON_MAX} characters, without control characters.", EXIT_USAGE)
    with plain_errors(), progress() as show:
        try:
            run = RunFile(file)
            settings = read_settings()
            found = preview_settlement(settings, run, show) if dry_run else settle_run(settings, run, reason, show)
        except FileNotFoundError:
            fail(f"{file}: there is no such file.", EXIT_USAGE)
        except (NotARun, OtherRun, NotSettled) as error:
            fail(f"{file}: {error}.")
    _print_settlement(run, found, is_dry_run=dry_run)


def _require_finished(file: Path, changes: FleetChanges, *, is_asked: bool) -> None:
    """Say that the run is finished, where it was to be gone on with; any other file that is there is refused."""
    with suppress(NotARun):
        if is_asked and RunFile(file).head.run_id.startswith(changes.mark):
            out.print(f"{file} is finished already.", markup=False)
            return
    fail(f"{file} is there already; --force replaces it.", EXIT_USAGE)


def _form_of(file: Path) -> Form:
    """Return the form that the ending of a file's name says."""
    match file.suffix.lower():
        case ".csv":
            return "csv"
        case ".html" | ".htm":
            return "html"
        case _:
            return "ndjson"


def _repriced(text: str) -> tuple[str, Decimal]:
    model, _, amount = text.rpartition("=")
    try:
        credits_per_unit = Decimal(amount)
    except InvalidOperation:
        credits_per_unit = Decimal(0)
    if not model or not credits_per_unit.is_finite() or not 0 < credits_per_unit <= 1_000_000_000:
        fail(f"--reprice {text}: expected MODEL=CREDITS, with credits above 0.", EXIT_USAGE)
    return model, Decimal(f"{credits_per_unit.normalize():f}")


def _other_catalogue(file: Path) -> CatalogueText:
    found = CatalogueText(_read(file, "--catalogue"), str(file))
    try:
        found.load()
    except CatalogueError as error:
        fail(str(error), EXIT_USAGE)
    return found


def _generations(file: Path) -> Generations:
    try:
        return read_generations(_read(file, "--without"), str(file))
    except BadGenerations as error:
        fail(f"--without: {error}", EXIT_USAGE)


def _read(file: Path, option: str) -> str:
    try:
        return file.read_text(encoding="utf-8")
    except (OSError, UnicodeDecodeError) as error:
        fail(f"{option} {file}: {getattr(error, 'strerror', None) or 'is no text in UTF-8'}", EXIT_USAGE)


def _convert(written: Path, file: Path, page: Callable[[RunFile], Iterator[str]]) -> None:
    """Write the page of a run, and drop the run as NDJSON."""
    unfinished = file.with_name(f"{file.name}.unfinished")
    with unfinished.open("w", encoding="utf-8", newline="") as opened:
        opened.writelines(page(RunFile(written)))
    unfinished.replace(file)
    written.unlink()


def _print_summary(summary: RunSummary, seconds: float) -> None:
    rate = summary.events / seconds
    out.print(
        f"Run {summary.run_id}: replayed {_counted(summary.subscriptions)} up to position {summary.position:,},"
        f" {summary.events:,} events in {seconds:.1f} s ({rate:,.0f} events/s).",
        markup=False,
    )
    out.print(
        f"{_counted(summary.lines)} with a difference, {summary.difference_credits:+,} credits in sum.", markup=False
    )


def _print_settlement(run: RunFile, found: Settlement, *, is_dry_run: bool) -> None:
    if not found.recorded and found.already:
        out.print(f"Run {run.head.run_id} is settled already: nothing is recorded.", markup=False)
        return
    given, taken = ("would get", "would lose") if is_dry_run else ("got", "lost")
    out.print(f"Run {run.head.run_id}{', tried' if is_dry_run else ''}:", markup=False)
    out.print(f"  {_counted(found.given_to)} {given} {found.given_credits:,} credits")
    out.print(f"  {_counted(found.taken_from)} {taken} {found.taken_credits:,} credits")
    if found.unavailable_credits:
        out.print(f"  {found.unavailable_credits:,} credits more are not available any more")
    if found.ended:
        out.print(f"  {_counted(found.ended)} ended: nothing is recorded")
    if found.already:
        out.print(f"  {_counted(found.already)} settled already")


def _counted(subscriptions: int) -> str:
    return "1 subscription" if subscriptions == 1 else f"{subscriptions:,} subscriptions"
