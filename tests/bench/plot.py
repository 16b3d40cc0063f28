"""Draws how speed holds as a ledger grows: `python -m tests.bench.plot RESULT.json ... > docs/growth.svg`.

Each result file is a run with its own GROWN; what is drawn is the median of each measure over the ledger's size.
"""

import json
import math
import re
import sys
from collections.abc import Sequence
from pathlib import Path

WIDTH, HEIGHT, LEFT, BOTTOM, TOP, RIGHT = 720, 340, 60, 50, 30, 190
COLOURS = ("#2563eb", "#059669", "#d97706", "#7c3aed")
MEASURES = {"P5": "rebuild, events/s ÷ SQL ledger", "P7": ""}

Line = list[tuple[float, float]]


def lines_of(results: Sequence[dict[str, object]]) -> dict[str, Line]:
    """By what was measured: the events stored, and the ratio."""
    lines: dict[str, Line] = {}
    for result in results:
        findings = result["findings"]
        assert isinstance(findings, list)
        for found in findings:
            if found["measure"] in MEASURES and (size := re.search(r"([\d,]+) events", found["what"])):
                name = MEASURES[found["measure"]] or f"{found['what'].split(',')[0]} ÷ empty ledger"
                lines.setdefault(name, []).append((float(size[1].replace(",", "")), found["median"]))
    return {name: sorted(line) for name, line in lines.items()}


def svg(lines: dict[str, Line]) -> str:
    """The plot: events stored (logarithmic) and ratio (from 0)."""
    sizes = [size for line in lines.values() for size, _ in line]
    low, high = math.floor(math.log10(min(sizes))), math.ceil(math.log10(max(sizes)))
    top = math.ceil(max(ratio for line in lines.values() for _, ratio in line) * 1.1)

    def x(size: float) -> float:
        return LEFT + (math.log10(size) - low) / max(1, high - low) * (WIDTH - LEFT - RIGHT)

    def y(ratio: float) -> float:
        return HEIGHT - BOTTOM - ratio / top * (HEIGHT - BOTTOM - TOP)

    parts = [
        f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {WIDTH} {HEIGHT}"'
        ' font-family="sans-serif" font-size="12">',
        f'<rect width="{WIDTH}" height="{HEIGHT}" fill="white"/>',
    ]
    for power in range(low, high + 1):
        at = x(10**power)
        parts.append(f'<line x1="{at:.1f}" y1="{TOP}" x2="{at:.1f}" y2="{HEIGHT - BOTTOM}" stroke="#e5e7eb"/>')
        parts.append(f'<text x="{at:.1f}" y="{HEIGHT - BOTTOM + 18}" text-anchor="middle">{10**power:,}</text>')
    for step in range(5):
        ratio = top * step / 4
        parts.append(
            f'<line x1="{LEFT}" y1="{y(ratio):.1f}" x2="{WIDTH - RIGHT}" y2="{y(ratio):.1f}" stroke="#e5e7eb"/>'
        )
        parts.append(f'<text x="{LEFT - 8}" y="{y(ratio) + 4:.1f}" text-anchor="end">{ratio:g} ×</text>')
    for number, (name, line) in enumerate(lines.items()):
        colour = COLOURS[number % len(COLOURS)]
        points = " ".join(f"{x(size):.1f},{y(ratio):.1f}" for size, ratio in line)
        parts.append(f'<polyline points="{points}" fill="none" stroke="{colour}" stroke-width="2"/>')
        for size, ratio in line:
            parts.append(f'<circle cx="{x(size):.1f}" cy="{y(ratio):.1f}" r="3.5" fill="{colour}"/>')
        parts.append(f'<text x="{WIDTH - RIGHT + 12}" y="{TOP + 18 * number + 10}" fill="{colour}">{name}</text>')
    middle = (LEFT + WIDTH - RIGHT) / 2
    parts.append(f'<text x="{middle}" y="{HEIGHT - 12}" text-anchor="middle">events stored</text>')
    return "\n".join([*parts, "</svg>\n"])


if __name__ == "__main__":
    sys.stdout.write(svg(lines_of([json.loads(Path(name).read_text()) for name in sys.argv[1:]])))
