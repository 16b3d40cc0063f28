"""Makes the load: pgbench on the SQL ledger, wrk on the service, and charges in process. Each run gives one `Run`."""

import json
import re
import shutil
import statistics
import subprocess
import sys
import tempfile
from dataclasses import dataclass
from itertools import count as count_from
from pathlib import Path
from uuid import UUID

import psycopg

from services.postgres.embedded import BIN_DIR
from services.postgres.sql import load_queries
from tests.bench.stand import HERE, ROOT, SCHEMA, Service, Stand, own_children_cpu_seconds

SUBSCRIPTIONS = 1_000
CLIENTS = 32
_run_numbers = count_from(1)


class NoLoadGenerator(RuntimeError):
    """wrk, which makes the HTTP load, is not installed. On Debian and Ubuntu: `apt-get install wrk`; on a Mac:
    `brew install wrk`. Measures that need no HTTP run without it: `make bench ONLY=P3,P8`."""


class Unsound(RuntimeError):
    """A request of the run failed, so its figures mean nothing."""


@dataclass(frozen=True)
class Run:
    """The figures of one run of one side."""

    per_second: float
    count: int = 0
    cpu_microseconds: float = 0.0
    """The CPU time of one charge or request, of the service (or pgbench) and PostgreSQL together."""
    postgres_cpu_microseconds: float = 0.0
    """PostgreSQL's part of that CPU time."""
    p50_ms: float = 0.0
    p99_ms: float = 0.0


def subscription_id(number: int) -> UUID:
    """The id of the benchmark's subscription of a number, from 1; `requests.lua` makes the same ids."""
    return UUID(f"00000000-0000-4000-8000-{number:012x}")


def create_sql_ledger(database_url: str) -> None:
    """Create the SQL ledger's tables, with as many balances as the service has subscriptions."""
    queries = load_queries(__file__, "sql_ledger.sql", schema=SCHEMA)
    with psycopg.connect(database_url) as connection:
        connection.execute(queries["create"])
        connection.execute(queries["fill"], {"subscriptions": SUBSCRIPTIONS})


def pgbench(
    stand: Stand,
    database_url: str,
    script: str,
    *,
    seconds: float,
    clients: int = CLIENTS,
    mode: str = "simple",
    with_median: bool = False,
) -> Run:
    """Run a script of pgbench. The median latency needs a log of every transaction. Raises Unsound."""
    stand.checkpoint()
    with tempfile.TemporaryDirectory(prefix="tallystick-pgbench-") as folder:
        command = [BIN_DIR / "pgbench", "-n", "-c", clients, "-j", min(2, clients), "-T", round(seconds)]
        command += ["-M", mode, "-D", f"subscriptions={SUBSCRIPTIONS}", "-f", HERE / script]
        command += ["-l"] if with_median else []
        cpu = stand.postgres_cpu_seconds() + own_children_cpu_seconds()
        ended = subprocess.run(
            [str(part) for part in (*command, database_url)], cwd=folder, check=True, capture_output=True, text=True
        )
        cpu = stand.postgres_cpu_seconds() + own_children_cpu_seconds() - cpu
        latencies = [float(line.split()[2]) / 1e3 for log in Path(folder).iterdir() for line in log.open()]
    if int(_match(r"number of failed transactions: (\d+)", ended.stdout)):
        raise Unsound(ended.stdout)
    count = int(_match(r"number of transactions actually processed: (\d+)", ended.stdout))
    return Run(
        per_second=float(_match(r"tps = ([\d.]+)", ended.stdout)),
        count=count,
        cpu_microseconds=cpu / count * 1e6,
        p50_ms=statistics.median(latencies) if latencies else 0.0,
    )


def wrk(
    stand: Stand,
    url: str,
    what: str,
    *,
    connections: int,
    seconds: float,
    key: str = "",
    service: Service | None = None,
    subscriptions: int = SUBSCRIPTIONS,
    batch_size: int = 1,
) -> Run:
    """Run wrk with keep-alive connections. Raises NoLoadGenerator; Unsound where any request did not succeed."""
    program = shutil.which("wrk")
    if program is None:
        raise NoLoadGenerator(NoLoadGenerator.__doc__)
    threads = min(2, connections)
    command = [program, "-t", threads, "-c", connections, "-d", f"{round(seconds)}s", "--timeout", "10s"]
    command += ["-s", HERE / "requests.lua", "-H", f"Authorization: Bearer {key}"]
    command += ["-H", "Content-Type: application/json", url, "--"]
    command += [what, f"r{next(_run_numbers)}", subscriptions, batch_size]
    stand.checkpoint()
    postgres_cpu, service_cpu = stand.postgres_cpu_seconds(), service.cpu_seconds() if service else 0.0
    ended = subprocess.run([str(part) for part in command], check=True, capture_output=True, text=True)
    postgres_cpu = stand.postgres_cpu_seconds() - postgres_cpu
    service_cpu = (service.cpu_seconds() if service else 0.0) - service_cpu
    summary = json.loads(ended.stdout.strip().splitlines()[-1])
    if summary["refused"] or summary["broken"] or not summary["requests"]:
        raise Unsound(ended.stdout)
    pieces = summary["requests"] * batch_size
    return Run(
        per_second=pieces / summary["seconds"],
        count=pieces,
        cpu_microseconds=(service_cpu + postgres_cpu) / pieces * 1e6,
        postgres_cpu_microseconds=postgres_cpu / pieces * 1e6,
        p50_ms=summary["p50_ms"],
        p99_ms=summary["p99_ms"],
    )


def start_subscriptions(database_url: str) -> None:
    """Start the benchmark's subscriptions in a migrated ledger."""
    subprocess.run([sys.executable, "-m", "tests.bench.in_process", database_url, "0", "0"], check=True, cwd=ROOT)


def in_process(stand: Stand, database_url: str, *, charges: int, processes: int, only: int = 0) -> Run:
    """Charge through the ledger's own lane, without HTTP, from some processes; `only` one subscription, or all (0)."""
    stand.checkpoint()
    command = [sys.executable, "-m", "tests.bench.in_process", database_url, str(charges // processes), str(only)]
    children = [
        subprocess.Popen(command, cwd=ROOT, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)
        for _ in range(processes)
    ]
    try:
        for child in children:
            _line(child)  # ready: everything is imported and made
        cpu = stand.postgres_cpu_seconds()
        for child in children:
            assert child.stdin is not None
            child.stdin.write("go\n")
            child.stdin.flush()
        times = [json.loads(_line(child)) for child in children]
        cpu = stand.postgres_cpu_seconds() - cpu + sum(each["cpu_seconds"] for each in times)
    finally:
        for child in children:
            child.communicate()
    count = charges // processes * processes
    return Run(
        per_second=count / max(each["seconds"] for each in times),
        count=count,
        cpu_microseconds=cpu / count * 1e6,
    )


def _line(child: "subprocess.Popen[str]") -> str:
    assert child.stdout is not None
    line = child.stdout.readline()
    if not line:
        raise Unsound("a process of the in-process run ended early")
    return line


def _match(pattern: str, text: str) -> str:
    match = re.search(pattern, text)
    if match is None:
        raise Unsound(text)
    return match[1]
