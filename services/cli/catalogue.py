"""The `catalogue` commands: check a catalogue, see what it would change, let subscribers take its terms."""

from collections.abc import Sequence
from pathlib import Path
from typing import Annotated, Any

import typer

from services.bootstrap.fleet import adopt_terms
from services.bootstrap.ledger import compare_catalogue
from services.catalogue import CatalogueError, load_catalogue
from services.catalogue.difference import CatalogueChanges, Change
from services.cli.console import EXIT_FAILURE, EXIT_USAGE, JSON, err, fail, out, plain_errors, read_settings
from services.cli.progress import progress
from services.fleet.adopting import NotAdopted, UnknownPlanToAdopt

catalogue = typer.Typer(no_args_is_help=True, help="A catalogue, before it is put in use: check it, compare it.")

FILE = typer.Argument(help="A catalogue in TOML.", dir_okay=False)


@catalogue.command()
def check(file: Annotated[Path, FILE]) -> None:
    """Check a catalogue by itself, without a ledger. The first fault is told with its line."""
    try:
        found = load_catalogue(_read(file), str(file))
    except CatalogueError as error:
        fail(str(error))
    out.print(f"{len(found.plans)} plans and {len(found.rate_cards)} rate cards: good.")


@catalogue.command()
def diff(
    file: Annotated[Path, FILE],
    as_json: Annotated[bool, typer.Option("--json", help="As one JSON object.")] = False,
) -> None:
    """Show what a catalogue would change against the configured one, and for how many subscriptions.

    Subscriptions keep the terms of their plan until they move to another one or adopt the new ones. The exit status is
    1 where the service would not start on it, with the reasons.
    """
    _read(file)
    with plain_errors():
        found = compare_catalogue(read_settings(), file)
    if as_json:
        out.print(JSON.encode(found).decode(), markup=False)
    else:
        _show(found)
    if found.refused:
        raise typer.Exit(EXIT_FAILURE)


@catalogue.command()
def adopt(
    plan: Annotated[str, typer.Argument(help="The id of a plan of the configured catalogue.")],
    dry_run: Annotated[bool, typer.Option(help="Say who would take them, and record nothing.")] = False,
) -> None:
    """Let the subscribers of a plan take its present terms, each at the end of the present term.

    Neither the present cycle changes nor what is scheduled already: who cancelled, or moves to another plan, is left
    out. Run again, it schedules only for those who do not wait for these terms yet.
    """
    with plain_errors(), progress() as show:
        try:
            found = adopt_terms(read_settings(), plan, show, is_dry_run=dry_run)
        except UnknownPlanToAdopt as error:
            fail(f"{error}.", EXIT_USAGE)
        except NotAdopted as error:
            fail(f"{error}.")
    verb = "would take" if dry_run else "take"
    out.print(f"At the end of their term, {found.scheduled:,} {verb} the present terms of {plan}.", markup=False)
    out.print(f"  {found.agreed:,} more have them, or wait for them already")
    out.print(f"  {found.leaving:,} more end then, or move to another plan")


def _read(file: Path) -> str:
    try:
        return file.read_text(encoding="utf-8")
    except (OSError, UnicodeDecodeError) as error:
        fail(f"{file}: {getattr(error, 'strerror', None) or 'is no text in UTF-8'}", EXIT_USAGE)


def _show(found: CatalogueChanges) -> None:
    for reason in found.refused:
        err.print(reason, style="red", markup=False)
    for plan in found.plans:
        out.print(f"{plan.plan_id}, which {plan.subscriptions:,} subscriptions have:", markup=False)
        _show_changes(plan.changes)
    for card in found.rate_cards:
        out.print(f"rate card {card.version}, in force from {card.effective_from:%Y-%m-%dT%H:%M:%SZ}:", markup=False)
        _show_changes(card.changes)
    if not (found.refused or found.plans or found.rate_cards):
        out.print("Nothing would change.")


def _show_changes(changes: Sequence[Change]) -> None:
    for change in changes:
        if change.before is None or change.after is None:
            verb = "comes" if change.before is None else "goes"
            out.print(f"  {change.what} {verb}: {_text(change.after or change.before)}", markup=False)
        else:
            out.print(f"  {change.what}: {_text(change.before)} becomes {_text(change.after)}", markup=False)


def _text(value: Any) -> str:
    return value if isinstance(value, str) else JSON.encode(value).decode()
