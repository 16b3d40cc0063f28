"""`make bench`: the measures of `docs/performance.md`, both sides on this machine in one run.

make bench                  every measure
make bench ONLY=P1,P9       some of them
make bench ONLY=SIZES       ledgers of 10 thousand, 1 million and 10 million events, or of others (SIZES=10000,1000000);
                            half an hour, and not part of "every measure"
make bench QUICK=1          one short round of each: a look, not a result
make bench BENCH_WORKERS=4  with so many processes of the API (default: that of the service, 1)
"""

import json
import os
import platform
import sys
from contextlib import ExitStack
from dataclasses import replace
from datetime import UTC, datetime

from rich.console import Console

from tests.bench.figures import Measurement, table
from tests.bench.load import NoLoadGenerator, Unsound
from tests.bench.measures import FULL, MEASURES, QUICK, Bench, Pace
from tests.bench.stand import HERE, ROOT, open_stand

out = Console(width=max(Console().width, 130))


def main() -> int:
    """Measure, print and save. 0: goals met; 1: some missed, or a run unsound; 2: wrong use, or no load generator."""
    requested = [name for name in os.environ.get("ONLY", "").upper().split(",") if name]
    requested = requested or [name for name in MEASURES if name != "SIZES"]
    if unknown := [name for name in requested if name not in MEASURES]:
        out.print(f"[red]No such measure: {', '.join(unknown)}. There are: {', '.join(MEASURES)}.")
        return 2
    pace = _pace()
    processes = int(os.environ.get("WORKERS") or 1)
    started_at, load_at_start = datetime.now(UTC), os.getloadavg()[0]
    measurements: list[Measurement] = []
    is_sound = True
    try:
        with ExitStack() as parts:
            bench = Bench(parts.enter_context(open_stand(processes)), pace, parts)
            for measure in dict.fromkeys(MEASURES[name] for name in requested):
                out.print(f"[dim]{(measure.__doc__ or '').splitlines()[0]}")
                try:
                    measurements += [each for each in measure(bench) if each.measure in requested]
                except Unsound as error:
                    is_sound = False
                    out.print(f"[red]{measure.__name__} gave no figures: {error}", markup=True)
    except NoLoadGenerator as error:
        out.print(f"[red]{error}")
        return 2
    out.print(table(measurements))
    machine = {
        "cores": os.cpu_count(),
        "python": platform.python_version(),
        "system": platform.platform(),
        "api_processes": processes,
        "load_at_start": load_at_start,
    }
    run = {"started_at": started_at.isoformat(), "machine": machine, "rounds": pace.rounds, "seconds": pace.seconds}
    path = HERE / "results" / f"{started_at:%Y%m%dT%H%M%S}.json"
    path.parent.mkdir(exist_ok=True)
    path.write_text(json.dumps({**run, "findings": [each.as_json() for each in measurements]}, indent=1) + "\n")
    out.print(f"Load before the run {load_at_start:.1f}; kept in {path.relative_to(ROOT)}")
    return 0 if is_sound and all(each.is_met for each in measurements) else 1


def _pace() -> Pace:
    pace = QUICK if os.environ.get("QUICK", "") not in {"", "0"} else FULL
    return replace(
        pace,
        rounds=int(os.environ.get("ROUNDS") or pace.rounds),
        seconds=float(os.environ.get("SECONDS") or pace.seconds),
        grown_events=int(os.environ.get("GROWN") or pace.grown_events),
        sizes=tuple(int(size) for size in os.environ.get("SIZES", "").split(",") if size) or pace.sizes,
    )


sys.exit(main())
