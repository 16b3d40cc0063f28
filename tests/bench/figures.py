"""Figures of a measure against its goal: rounds of pairs, a median and a spread."""

import statistics
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any, Literal

from rich.table import Table


@dataclass(frozen=True)
class Goal:
    """The bound that a measure has to keep, as `docs/performance.md` gives it."""

    bound: float
    direction: Literal["at least", "at most"]
    unit: str = "×"

    def is_met_by(self, value: float) -> bool:
        """Whether the value is on the right side of the bound."""
        return value >= self.bound if self.direction == "at least" else value <= self.bound

    def __str__(self) -> str:
        return f"{self.direction} {self.bound:g} {self.unit}"


@dataclass(frozen=True)
class Measurement:
    """One line of the table. `ours` and `theirs` are the two sides of each round, measured one after the other."""

    measure: str
    what: str
    goal: Goal | None
    ours: Sequence[float]
    theirs: Sequence[float] = ()
    unit: str = "/s"
    remarks: dict[str, Any] = field(default_factory=dict)

    @property
    def values(self) -> list[float]:
        """The values that the goal bounds, one for each round: ratios of pairs where there are two sides."""
        if not self.theirs:
            return list(self.ours)
        return [ours / theirs for ours, theirs in zip(self.ours, self.theirs, strict=True)]

    @property
    def median(self) -> float:
        """The median of the values."""
        return statistics.median(self.values)

    @property
    def is_met(self) -> bool:
        """Whether the median meets the goal, or there is none."""
        return self.goal is None or self.goal.is_met_by(self.median)

    def as_json(self) -> dict[str, Any]:
        """All fields and what follows from them, for the results file."""
        return {
            "measure": self.measure,
            "what": self.what,
            "goal": str(self.goal) if self.goal else None,
            "is_met": self.is_met,
            "median": self.median,
            "values": self.values,
            "ours": list(self.ours),
            "theirs": list(self.theirs),
            "unit": self.unit,
            "remarks": self.remarks,
        }


def table(measurements: Sequence[Measurement]) -> Table:
    """The measurements for a person: medians, and in brackets the lowest and the highest round."""
    rows = Table("", "measure", "ours", "theirs", "result", "goal", "", title="Speed, both sides in turns")
    for each in measurements:
        rows.add_row(
            each.measure,
            each.what,
            _spread(each.ours, each.unit),
            _spread(each.theirs, each.unit) if each.theirs else "",
            _spread(each.values, "×" if each.theirs else each.unit),
            str(each.goal or ""),
            "" if each.goal is None else "[green]met" if each.is_met else "[red]missed",
        )
    return rows


def _spread(values: Sequence[float], unit: str) -> str:
    low, middle, high = min(values), statistics.median(values), max(values)
    return f"{_number(middle)} {unit} [dim]({_number(low)}–{_number(high)})[/]"


def _number(value: float) -> str:
    return f"{value:,.0f}" if value >= 100 else f"{value:.1f}" if value >= 10 else f"{value:.2f}"
