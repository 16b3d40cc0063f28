"""The balance over the events of a subscription: folded from them, and drawn as steps, no finer than its pixels."""

from collections.abc import Callable, Iterable, Sequence
from datetime import datetime
from uuid import UUID

from msgspec import Struct
from psycopg import Connection

from services.ledger.mapper import read_event
from services.ledger.recorder import Recorder
from services.subscription.events import PlanUpgraded
from services.subscription.state import evolve

EVENTS_MAX = 20_000
"""Of a longer history the newest are drawn."""
WIDTH, HEIGHT = 960, 200
_TOP, _BOTTOM = 14, 6


class Point(Struct, frozen=True):
    """The balance behind an event."""

    version: int
    at: datetime
    balance_credits: int
    available_credits: int
    cycle: int
    is_upgrade: bool


class Chart(Struct, frozen=True):
    """What the template draws, in pixels: the paths of steps, cycles as bands, marks, and the instant that is shown."""

    balance: str
    available: str
    """The credits that are not held; empty where none ever were."""
    bands: Sequence[tuple[float, float]]
    upgrades: Sequence[float]
    refusals: Sequence[float]
    shown_at: float
    highest: int
    first: datetime
    last: datetime


def course_of(connection: Connection[object], schema: str, id: UUID, on_step: Callable[[], None]) -> list[Point]:
    """Fold the newest events of a subscription; `on_step` is called before each.

    Raises psycopg.Error, UnreadableEvent, and what `on_step` raises.
    """
    recorder = Recorder(schema)
    newest = recorder.head(connection, id)
    if newest is None:
        return []
    begin = max(0, newest.version - EVENTS_MAX)
    before = recorder.head(connection, id, begin) if begin else None
    state, points = before.state if before else None, []
    for event in recorder.events_by_pages(connection, id, after=begin, until=newest.version):
        on_step()
        body = read_event(event).event
        state = evolve(state, body)
        points.append(
            Point(
                event.originator_version,
                event.recorded_at,
                state.balance_credits,
                state.available_credits,
                state.cycle.number,
                isinstance(body, PlanUpgraded),
            )
        )
    return points


def chart_of(points: Sequence[Point], refused_at: Iterable[datetime], shown_at: datetime, until: datetime) -> Chart:
    """Draw the course up to an instant; there is one point at least."""
    first, last = points[0].at, max(until, points[-1].at)
    highest = max(1, *(point.balance_credits for point in points))
    seconds = max(1.0, (last - first).total_seconds())

    def x(at: datetime) -> float:
        return round(WIDTH * min(1.0, max(0.0, (at - first).total_seconds() / seconds)), 1)

    def y(credits_: int) -> float:
        return round(_TOP + (HEIGHT - _TOP - _BOTTOM) * (1 - credits_ / highest), 1)

    has_holds = any(point.available_credits != point.balance_credits for point in points)
    begins = {point.cycle: x(point.at) for point in reversed(points)}
    edges = [*sorted(begins.values()), float(WIDTH)]
    return Chart(
        balance=_steps([(x(point.at), y(point.balance_credits)) for point in points]),
        available=_steps([(x(point.at), y(point.available_credits)) for point in points]) if has_holds else "",
        bands=[(left, right - left) for left, right in zip(edges[::2], edges[1::2], strict=False)],
        upgrades=[x(point.at) for point in points if point.is_upgrade],
        refusals=sorted({x(at) for at in refused_at}),
        shown_at=x(shown_at),
        highest=highest,
        first=first,
        last=last,
    )


def _steps(places: Sequence[tuple[float, float]]) -> str:
    """Write the path: of several levels at one pixel the first, the lowest, the highest and the last."""
    levels: dict[int, list[float]] = {}
    for x, y in places:
        levels.setdefault(round(x), []).append(y)
    (begin, at_begin), *rest = ((x, _distinct([ys[0], min(ys), max(ys), ys[-1]])) for x, ys in levels.items())
    path = f"M{begin} {at_begin[0]}" + "".join(f"V{y}" for y in at_begin[1:])
    return path + "".join(f"H{x}" + "".join(f"V{y}" for y in ys) for x, ys in rest) + f"H{WIDTH}"


def _distinct(levels: Sequence[float]) -> list[float]:
    return [level for place, level in enumerate(levels) if not place or level != levels[place - 1]]
