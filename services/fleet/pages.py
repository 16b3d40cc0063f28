"""Writes a run as CSV, and as a page that can be read and printed."""

import csv
import io
from collections.abc import Iterator
from importlib.resources import files

from jinja2 import Environment, StrictUndefined

from services.fleet.run_file import RunEntry, RunFile

COLUMNS = ("subscription_id", "difference_credits", "turned_refusals", "turned_charges", "differences")


def csv_of(run: RunFile) -> Iterator[str]:
    """Yield the run as CSV: a row for each subscription with a difference. Raises NotARun."""
    yield _row(COLUMNS)
    for each in run.entries():
        yield _row(_values(each))


def html_of(run: RunFile) -> Iterator[str]:
    """Yield the run as a page. Raises NotARun."""
    environment = Environment(autoescape=True, undefined=StrictUndefined, trim_blocks=True)
    template = environment.from_string((files("services.fleet") / "run_page.html").read_text(encoding="utf-8"))
    yield from template.generate(head=run.head, end=run.end, entries=run.entries())


def _values(entry: RunEntry) -> tuple[str, int, int, int, int]:
    return (
        str(entry.subscription_id),
        entry.difference_credits,
        entry.turned_refusals,
        entry.turned_charges,
        entry.differences,
    )


def _row(values: tuple[object, ...]) -> str:
    written = io.StringIO()
    csv.writer(written).writerow(values)
    return written.getvalue()
