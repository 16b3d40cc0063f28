"""`make bench`: the measures of DESIGN §8, both sides on this machine in one run.

make bench                  every measure
make bench ONLY=P1,P9       some of them
make bench QUICK=1          one short round of each: a look, not a result
make bench BENCH_WORKERS=4  with so many processes of the API (default: one a core, at most 2)
"""

import json
import os
import platform
import sys
from contextlib import ExitStack
from datetime import UTC, datetime

from rich.console import Console

from tests.bench.figures import Finding, table
from tests.bench.load import NoLoadGenerator, Unsound
from tests.bench.measures import FULL, MEASURES, QUICK, Bench
from tests.bench.stand import HERE, ROOT, open_stand

out = Console(width=max(Console().width, 130))


def main() -> int:
    """Measure, show, keep. 0: every goal met; 1: some missed; 2: wrong use or nothing to measure with."""
    wanted = [name for name in os.environ.get("ONLY", "").upper().split(",") if name] or list(MEASURES)
    if unknown := [name for name in wanted if name not in MEASURES]:
        out.print(f"[red]No such measure: {', '.join(unknown)}. There are: {', '.join(MEASURES)}.")
        return 2
    pace = QUICK if os.environ.get("QUICK", "") not in {"", "0"} else FULL
    processes = int(os.environ.get("WORKERS") or min(2, os.cpu_count() or 1))
    started_at, load_at_start = datetime.now(UTC), os.getloadavg()[0]
    findings: list[Finding] = []
    try:
        with ExitStack() as parts:
            bench = Bench(parts.enter_context(open_stand(processes)), pace, parts)
            for measure in dict.fromkeys(MEASURES[name] for name in wanted):
                out.print(f"[dim]{(measure.__doc__ or '').splitlines()[0]}")
                findings += [found for found in measure(bench) if found.measure in wanted]
    except (NoLoadGenerator, Unsound) as error:
        out.print(f"[red]{error}")
        return 2
    out.print(table(findings))
    machine = {
        "cores": os.cpu_count(),
        "python": platform.python_version(),
        "system": platform.platform(),
        "api_processes": processes,
        "load_at_start": load_at_start,
    }
    kept = {"started_at": started_at.isoformat(), "machine": machine, "rounds": pace.rounds, "seconds": pace.seconds}
    path = HERE / "results" / f"{started_at:%Y%m%dT%H%M%S}.json"
    path.parent.mkdir(exist_ok=True)
    path.write_text(json.dumps({**kept, "findings": [found.as_json() for found in findings]}, indent=1) + "\n")
    out.print(f"Load before the run {load_at_start:.1f}; kept in {path.relative_to(ROOT)}")
    return 0 if all(found.is_met for found in findings) else 1


sys.exit(main())
