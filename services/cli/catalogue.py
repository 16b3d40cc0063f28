"""The `catalogue` commands: check a catalogue, and see what it would change."""

from collections.abc import Sequence
from pathlib import Path
from typing import Annotated, Any

import typer

from services.bootstrap.ledger import compare_catalogue
from services.catalogue import CatalogueError, load_catalogue
from services.catalogue.difference import CatalogueChanges, Change
from services.cli.console import EXIT_FAILURE, EXIT_USAGE, JSON, err, fail, out, plain_errors, read_settings

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
