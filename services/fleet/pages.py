"""Writes a run as CSV, and as a page that can be read and printed."""

import csv
import io
from collections.abc import Iterator
from html import escape

from services.fleet.run_file import RunEntry, RunFile

COLUMNS = ("subscription_id", "difference_credits", "turned_refusals", "turned_charges", "differences")
_STYLE = (
    "body{font:15px/1.5 system-ui,sans-serif;margin:2rem auto;max-width:60rem;padding:0 1rem}"
    "table{border-collapse:collapse;width:100%;font-variant-numeric:tabular-nums}"
    "th,td{padding:.25rem .75rem;border-bottom:1px solid #ccc;text-align:right}"
    "th:first-child,td:first-child{text-align:left;font-family:ui-monospace,monospace}"
    "dt{font-weight:600}dd{margin:0 0 .5rem}"
)


def csv_of(run: RunFile) -> Iterator[str]:
    """Yield the run as CSV: a row for each subscription with a difference. Raises NotARun."""
    yield _row(COLUMNS)
    for each in run.entries():
        yield _row(_values(each))


def html_of(run: RunFile) -> Iterator[str]:
    """Yield the run as a page. Raises NotARun."""
    head, end = run.head, run.end
    facts = {
        "Run": head.run_id,
        "Up to position": f"{head.position:,}, recorded {head.recorded_at:%Y-%m-%d %H:%M:%S} UTC",
        "Changes": ", ".join(f"{name}: {value}" for name, value in head.changes.items()) or "none",
        "Plan": head.plan_id or "every plan",
        "Subscriptions with a difference": f"{end.lines:,}",
        "Credits in sum": f"{end.difference_credits:+,}",
    }
    yield f'<!doctype html>\n<html lang="en"><meta charset="utf-8"><title>What if: {escape(head.run_id)}</title>\n'
    yield f"<style>{_STYLE}</style>\n<h1>What if</h1>\n<dl>\n"
    yield from (f"<dt>{escape(name)}</dt><dd>{escape(value)}</dd>\n" for name, value in facts.items())
    yield "</dl>\n<table>\n<thead><tr><th>Subscription</th><th>Credits</th><th>Refusals that would be paid</th>"
    yield "<th>Charges that would be refused</th><th>Differences</th></tr></thead>\n<tbody>\n"
    for each in run.entries():
        id, credits_, *counts = _values(each)
        cells = [str(id), f"{credits_:+,}", *(f"{count:,}" for count in counts)]
        yield f"<tr>{''.join(f'<td>{escape(cell)}</td>' for cell in cells)}</tr>\n"
    yield "</tbody>\n</table>\n</html>\n"


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
