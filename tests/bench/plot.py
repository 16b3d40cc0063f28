"""Draws how speed holds as a ledger grows: `python -m tests.bench.plot RESULT.json > docs/growth.svg`.

The result is one of `make bench ONLY=SIZES`. Every line shows the figures by size, as multiples of the figure at the
smallest size; rates are ratios to something that does not grow, measured in turns with them.
"""

import json
import math
import sys
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

WIDTH, HEIGHT, LEFT, BOTTOM, TOP, RIGHT = 760, 340, 60, 50, 30, 240
COLOURS = ("#2563eb", "#059669", "#d97706", "#7c3aed", "#dc2626")

Line = list[tuple[float, float]]


def lines_of(findings: Sequence[Mapping[str, Any]]) -> dict[str, Line]:
    """The lines by their names: events stored, and the figure as a multiple of the smallest ledger's."""
    lines: dict[str, Line] = {}
    for each in findings:
        if each["measure"] == "SIZES":
            name, _, size = each["what"].partition(", ")
            lines.setdefault(name, []).append((float(size.split()[0].replace(",", "")), each["median"]))
    return {name: [(size, value / line[0][1]) for size, value in line] for name, line in lines.items()}


def svg(lines: Mapping[str, Line]) -> str:
    """The plot as SVG: events stored (logarithmic) against the multiple (from 0)."""
    sizes = [size for line in lines.values() for size, _ in line]
    low, high = math.floor(math.log10(min(sizes))), math.ceil(math.log10(max(sizes)))
    top = math.ceil(max(multiple for line in lines.values() for _, multiple in line) * 2.1) / 2

    def x(size: float) -> float:
        return LEFT + (math.log10(size) - low) / max(1, high - low) * (WIDTH - LEFT - RIGHT)

    def y(multiple: float) -> float:
        return HEIGHT - BOTTOM - multiple / top * (HEIGHT - BOTTOM - TOP)

    parts = [
        f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {WIDTH} {HEIGHT}"'
        ' font-family="sans-serif" font-size="12">',
        f'<rect width="{WIDTH}" height="{HEIGHT}" fill="white"/>',
    ]
    for power in range(low, high + 1):
        at = x(10**power)
        parts.append(f'<line x1="{at:.1f}" y1="{TOP}" x2="{at:.1f}" y2="{HEIGHT - BOTTOM}" stroke="#e5e7eb"/>')
        parts.append(f'<text x="{at:.1f}" y="{HEIGHT - BOTTOM + 18}" text-anchor="middle">{10**power:,}</text>')
    for half in range(round(top * 2) + 1):
        at = y(half / 2)
        parts.append(f'<line x1="{LEFT}" y1="{at:.1f}" x2="{WIDTH - RIGHT}" y2="{at:.1f}" stroke="#e5e7eb"/>')
        parts.append(f'<text x="{LEFT - 8}" y="{at + 4:.1f}" text-anchor="end">{half / 2:g} ×</text>')
    for number, (name, line) in enumerate(lines.items()):
        parts += _polyline(name, [(x(size), y(multiple)) for size, multiple in line], number)
    middle = (LEFT + WIDTH - RIGHT) / 2
    parts.append(f'<text x="{middle}" y="{HEIGHT - 12}" text-anchor="middle">events stored</text>')
    return "\n".join([*parts, "</svg>\n"])


def _polyline(name: str, points: Line, number: int) -> list[str]:
    """One line with its dots, and its name in the legend."""
    colour = COLOURS[number % len(COLOURS)]
    path = " ".join(f"{x:.1f},{y:.1f}" for x, y in points)
    return [
        f'<polyline points="{path}" fill="none" stroke="{colour}" stroke-width="2"/>',
        *(f'<circle cx="{x:.1f}" cy="{y:.1f}" r="3.5" fill="{colour}"/>' for x, y in points),
        f'<text x="{WIDTH - RIGHT + 14}" y="{TOP + 18 * number + 10}" fill="{colour}">{name}</text>',
    ]


if __name__ == "__main__":
    (result,) = sys.argv[1:]
    sys.stdout.write(svg(lines_of(json.loads(Path(result).read_text())["findings"])))
