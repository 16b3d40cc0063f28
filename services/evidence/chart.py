"""Draws the balance over a cycle as an SVG: a step at each event, and a mark where the disputed charge is."""

from collections.abc import Sequence
from datetime import datetime, timedelta

from services.evidence.case import BalancePoint
from services.subscription.calendar import Period

WIDTH, HEIGHT = 720, 260
LEFT, RIGHT, TOP, BOTTOM = 72, 16, 16, 36
_INK, _SOFT, _GRID, _LINE = "#1d2433", "#5b6478", "#d9dee8", "#2456c4"
_CROWDED = 0.2
"""A smaller part of the cycle than this, with all events in it, is shown alone."""
_LEAST_SHOWN = timedelta(seconds=1)
_PLOT_WIDTH, _PLOT_HEIGHT = WIDTH - LEFT - RIGHT, HEIGHT - TOP - BOTTOM


def balance_chart(
    course: Sequence[BalancePoint],
    cycle: Period,
    charge_version: int,
    marks: Sequence[tuple[int, str]],
    until: datetime,
) -> str:
    """Draw the chart of a cycle, up to `until` where the cycle is still running, and of as much of it as shows steps.

    `marks` are versions within the course to point out, each with a word; the charge's is drawn from the balance before
    it to the one after it.
    """
    highest = max(1, *(point.balance_credits for point in course))
    shown = _shown(course, cycle, until)
    axes = _Axes(shown, highest)
    by_version = {point.version: point for point in course}
    last = max(course[-1].at, min(until, shown.ends_at))
    parts = [
        _frame(axes),
        f'<path d="{_steps(axes, course, last)}" fill="none" stroke="{_LINE}" stroke-width="2"/>',
        *(_mark(axes, by_version[v], word, row) for row, (v, word) in enumerate(marks) if v in by_version),
    ]
    charge = by_version[charge_version]
    about = f"The balance over cycle {cycle.number}. After the disputed charge: {charge.balance_credits:,} credits."
    return (
        f'<svg viewBox="0 0 {WIDTH} {HEIGHT}" width="100%" role="img" aria-label="{about}" fill="{_SOFT}"'
        ' font-family="system-ui, sans-serif" font-size="12">'
        f"<title>{about}</title>{''.join(parts)}</svg>"
    )


def _shown(course: Sequence[BalancePoint], cycle: Period, until: datetime) -> Period:
    """Choose what to draw: all of the cycle, or its beginning, where all that happened would else be a dot."""
    span = max(course[-1].at - cycle.starts_at, _LEAST_SHOWN)
    is_crowded = span < _CROWDED * (cycle.ends_at - cycle.starts_at)
    return (
        Period(cycle.number, cycle.starts_at, min(cycle.ends_at, cycle.starts_at + span * 5 / 4))
        if is_crowded
        else cycle
    )


class _Axes:
    def __init__(self, cycle: Period, highest: int) -> None:
        self.cycle = cycle
        self.highest = highest
        self._seconds = max(1.0, (cycle.ends_at - cycle.starts_at).total_seconds())

    def x(self, at: datetime) -> float:
        share = (at - self.cycle.starts_at).total_seconds() / self._seconds
        return round(LEFT + _PLOT_WIDTH * min(1.0, max(0.0, share)), 1)

    def y(self, balance_credits: int) -> float:
        return round(TOP + _PLOT_HEIGHT * (1 - balance_credits / self.highest), 1)


def _steps(axes: _Axes, course: Sequence[BalancePoint], last: datetime) -> str:
    """Draw a step for each distinct place on the axis; of several events at one place, the last."""
    levels = {axes.x(point.at): axes.y(point.balance_credits) for point in course}
    (x, y), *others = levels.items()
    return f"M{x} {y}{''.join(f'H{x}V{y}' for x, y in others)}H{axes.x(last)}"


def _frame(axes: _Axes) -> str:
    bottom, right = axes.y(0), WIDTH - RIGHT
    lines = "".join(
        f'<line x1="{LEFT}" y1="{axes.y(level)}" x2="{right}" y2="{axes.y(level)}" stroke="{_GRID}"/>'
        f'<text x="{LEFT - 8}" y="{axes.y(level) + 4}" text-anchor="end">{level:,}</text>'
        for level in sorted({0, axes.highest // 2, axes.highest})
    )
    is_short = axes.cycle.ends_at - axes.cycle.starts_at < timedelta(days=2)
    begin, end = (
        f"{at:%-d %b %Y, %H:%M:%S}" if is_short else f"{at:%-d %b %Y}"
        for at in (axes.cycle.starts_at, axes.cycle.ends_at)
    )
    return (
        f'{lines}<text x="{LEFT}" y="{bottom + 22}">{begin}</text>'
        f'<text x="{right}" y="{bottom + 22}" text-anchor="end">{end}</text>'
    )


def _mark(axes: _Axes, point: BalancePoint, word: str, row: int) -> str:
    """Draw a mark with its word at the top, each in a row of its own, so that no two words overlap."""
    x, y = axes.x(point.at), axes.y(point.balance_credits)
    is_right = x > LEFT + _PLOT_WIDTH / 2
    anchor, text_x = ("end", x - 8) if is_right else ("start", x + 8)
    text_y = TOP + 14 + 18 * row
    return (
        f'<line x1="{x}" y1="{TOP}" x2="{x}" y2="{TOP + _PLOT_HEIGHT}" stroke="{_INK}" stroke-dasharray="3 3"/>'
        f'<circle cx="{x}" cy="{y}" r="4" fill="{_INK}"/>'
        f'<text x="{round(text_x, 1)}" y="{text_y}" text-anchor="{anchor}" fill="{_INK}" font-weight="600"'
        f' stroke="#fff" stroke-width="4" paint-order="stroke">{word}</text>'
    )
