"""Measures a ledger beside the load: rebuilds, the past, and its size on disk."""

import random
import re
import statistics
import subprocess
import sys
import time
from collections.abc import Sequence
from datetime import datetime
from typing import Any
from uuid import UUID

import httpx
import psycopg

from tests.bench.load import Run, Unsound
from tests.bench.stand import ROOT, SCHEMA, Service

AS_OF_REQUESTS = 300
BOOKS_REQUESTS = 10
BOOKS = {
    "usage": ("usage", "application/json"),
    "usage by day, model and member": ("usage?group_by=day,model,member", "application/json"),
    "the figures of the statements": ("statements", "text/csv"),
    "the statement": ("statements/1", "application/json"),
    "the statement's lines": ("statements/1", "text/csv"),
    "the statement's page": ("statements/1", "text/html"),
}
"""What is read of the books: the path below the subscription, and the form."""


def rebuild_all(service: Service) -> Run:
    """`tallystick rebuild --all` while the service runs. Raises Unsound where a row differed."""
    command = [sys.executable, "-m", "services.cli", "rebuild", "--all"]
    ended = subprocess.run(command, env=service.environment, check=True, capture_output=True, text=True, cwd=ROOT)
    text = " ".join(ended.stdout.split())
    result = re.search(r"from ([\d,]+) events in ([\d.]+) s", text)
    if result is None or "No row of the tables in use differed" not in text:
        raise Unsound(ended.stdout)
    events = int(result[1].replace(",", ""))
    return Run(per_second=events / float(result[2]), count=events)


def read_as_of(service: Service, subscription_id: UUID, *, requests: int = AS_OF_REQUESTS) -> Run:
    """Read a subscription as of random instants of its life, on one connection."""
    with psycopg.connect(service.database_url) as connection:
        began_at, ended_at = _row(
            connection,
            f'SELECT min(recorded_at), max(recorded_at) FROM "{SCHEMA}".ledger_events WHERE originator_id = %s',
            [subscription_id],
        )
    path = f"/v1/subscriptions/{subscription_id}/as-of"
    instants = [began_at + (ended_at - began_at) * random.random() for _ in range(requests)]
    with httpx.Client(base_url=service.url, headers={"Authorization": f"Bearer {service.key}"}, timeout=30) as client:
        latencies_ms = sorted(_latency_ms(client, path, at) for at in instants)
    p99_ms = latencies_ms[round(0.99 * (requests - 1))]
    return Run(1e3 / statistics.mean(latencies_ms), requests, p50_ms=statistics.median(latencies_ms), p99_ms=p99_ms)


def read_books(
    service: Service, subscription_id: UUID, path: str, accept: str, *, requests: int = BOOKS_REQUESTS
) -> Run:
    """Read one resource of a subscription again and again, whole, on one connection."""
    url = f"/v1/subscriptions/{subscription_id}/{path}"
    headers = {"Authorization": f"Bearer {service.key}", "Accept": accept}
    latencies_ms = []
    with httpx.Client(base_url=service.url, headers=headers, timeout=60) as client:
        for _ in range(requests):
            started = time.perf_counter()
            client.get(url).raise_for_status()
            latencies_ms.append(1e3 * (time.perf_counter() - started))
    p50_ms, p99_ms = statistics.median(latencies_ms), max(latencies_ms)
    return Run(1e3 / statistics.mean(latencies_ms), requests, p50_ms=p50_ms, p99_ms=p99_ms)


def some_subscriptions(service: Service, count: int) -> list[UUID]:
    """The `count` subscriptions with the most events, in this order."""
    with psycopg.connect(service.database_url) as connection:
        most = f'SELECT subscription_id FROM "{SCHEMA}".balance ORDER BY version DESC LIMIT %s'
        return [id for (id,) in connection.execute(most.encode(), [count])]


def stored_charges(database_url: str) -> int:
    """The number of charges and holds in a ledger, a capture counted as well as its hold."""
    with psycopg.connect(database_url) as connection:
        (count,) = _row(connection, f'SELECT count(*) + count(captured_in_version) FROM "{SCHEMA}".charges', [])
        return int(count)


def schema_bytes(database_url: str) -> dict[str, int]:
    """The bytes of each table of the ledger with its indexes, after VACUUM."""
    with psycopg.connect(database_url, autocommit=True) as connection:
        connection.execute("VACUUM ANALYZE")
        rows = connection.execute(
            "SELECT relname, pg_total_relation_size(oid) FROM pg_class WHERE relkind = 'r'"
            " AND relnamespace = %s::regnamespace",
            [SCHEMA],
        )
        return {str(name): int(size) for name, size in rows}


def _latency_ms(client: httpx.Client, path: str, at: datetime) -> float:
    began_at = time.perf_counter()
    response = client.get(path, params={"at": at.isoformat()})
    latency_ms = (time.perf_counter() - began_at) * 1e3
    if response.status_code != 200:
        raise Unsound(response.text)
    return latency_ms


def _row(connection: psycopg.Connection[Any], query: str, arguments: Sequence[object]) -> Any:
    row = connection.execute(query.encode(), arguments).fetchone()
    assert row is not None
    return row
