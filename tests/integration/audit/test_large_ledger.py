"""A large ledger: rebuilt while customers charge and read over HTTP, and exported into another database.

The short form is small. `pytest -m long -s tests/integration/audit/test_large_ledger.py` takes a million events, or
`TALLYSTICK_EVENTS` of them, from `TALLYSTICK_SEED`, and prints its figures.
"""

import os
import random
import subprocess
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any
from uuid import UUID

import psycopg
import pytest
from psycopg import sql

from projections.registry import PROJECTIONS
from services.migrations.migrate import migrate
from services.postgres.database import connect
from services.postgres.embedded import EmbeddedPostgres
from tests.acceptance.server import plain_client
from tests.conftest import SCHEMA
from tests.faults.seeds import seeded
from tests.integration.audit.http_load import Charging, Reading
from tests.integration.audit.large import Large
from tests.waiting import wait_until

EVENTS_A_SUBSCRIPTION = 50
CHARGING, READING = 4, 3
KEY = "a-key-with-every-scope-for-the-test-of-large-ledgers"
COPIED = ("ledger_events", "balance", "renewal", "charges", "head")
REBUILT = tuple(each.table for each in PROJECTIONS)
MEGABYTE = 2**20
SHORT, LONG = 5_000, pytest.param(int(os.environ.get("TALLYSTICK_EVENTS", "1000000")), marks=pytest.mark.long)


@pytest.fixture(scope="module")
def large(request: pytest.FixtureRequest) -> Iterator[Large]:
    """A made-up ledger of the requested size, all of its events covered by checkpoints."""
    events: int = request.param
    seed = seeded("large ledger").getrandbits(32)
    with (
        tempfile.TemporaryDirectory(prefix="tallystick-test-") as folder,
        EmbeddedPostgres(Path(folder) / "postgres", scratch=True) as server,
    ):
        migrate(server.url, SCHEMA)
        large = Large(server, Path(folder), events)
        size = ("--events", str(events), "--subscriptions", str(events // EVENTS_A_SUBSCRIPTION))
        demo = large.tallystick("demo", *size, "--seed", str(seed))
        large.tallystick("checkpoint")
        print(f"\n{demo.output.strip().splitlines()[-1]}")
        yield large


def digests(database_url: str, tables: tuple[str, ...]) -> dict[str, Any]:
    """The number of rows of each table and a sum of their hashes, in any order of the rows."""
    query = "SELECT count(*), sum(hashtextextended(t::text, 7)::numeric) FROM {} AS t"
    with connect(database_url) as connection:
        return {
            table: connection.execute(sql.SQL(query).format(sql.Identifier(SCHEMA, table))).fetchone()
            for table in tables
        }


@pytest.mark.parametrize("large", [SHORT, LONG], indirect=True)
def test_a_rebuild_under_load_loses_nothing_and_nobody_sees_the_swap(large: Large) -> None:
    headers = {"Authorization": f"Bearer {KEY}"}
    with (
        large.running("api", bootstrap_key=KEY) as api,
        large.running("projector", "--no-http"),
        plain_client(api.url, headers) as http,
    ):
        assert api.page("/livez")
        charging, reading = Charging(http, CHARGING), Reading(http, some_subscriptions(large.server.url), READING)
        reading.of_charging(charging)
        with charging.running(), reading.running():
            charging.wait_for(50 * CHARGING)
            reading.wait_for(20 * READING)
            charging.mark()
            reading.mark()
            began_at = time.perf_counter()
            stages, output = rebuild(large)
            seconds = time.perf_counter() - began_at
            during = f"{charging.since_mark(seconds)}; {reading.since_mark(seconds)}"
            charging.wait_for(50 * CHARGING)
            reading.wait_for(20 * READING)

    print(f"\n{output}\n{stages}\nmeanwhile: {during}")
    assert "No row of the tables in use differed" in output
    assert reading.errors == []
    assert charging.errors == []
    with connect(large.server.url) as connection:
        stored = connection.execute("SELECT count(*) FROM tallystick.charges WHERE generation_id LIKE 'load-%'")
        assert stored.fetchone() == (charging.charged,)
    with large.running("projector", "--no-http"):
        wait_until_caught_up(large.server.url)
    before = digests(large.server.url, REBUILT)
    _, output = rebuild(large)
    assert "No row of the tables in use differed" in output
    assert digests(large.server.url, REBUILT) == before
    assert before["charges"][0] > large.events // 2


def rebuild(large: Large) -> tuple[str, str]:
    """Rebuild everything. Returns when each stage began, in seconds, and the output."""
    began_at = time.perf_counter()
    with large.running("rebuild", "--all", stderr=subprocess.PIPE) as rebuilding:
        process = rebuilding.process
        assert process.stderr is not None
        assert process.stdout is not None
        stage_names = (line.removesuffix(" ...\n") for line in process.stderr if line.endswith(" ...\n"))
        stages = [f"{time.perf_counter() - began_at:.2f} {stage}" for stage in stage_names]
        output = process.stdout.read()
        assert process.wait() == 0, output
    return f"{', '.join(stages)}, {time.perf_counter() - began_at:.2f} the end", output


def some_subscriptions(database_url: str) -> list[UUID]:
    """Up to 50 subscriptions with charges, at random."""
    with connect(database_url) as connection:
        ids = [id for (id,) in connection.execute("SELECT DISTINCT subscription_id FROM tallystick.charges ORDER BY 1")]
    return random.Random(1).sample(ids, min(50, len(ids)))


def wait_until_caught_up(database_url: str) -> None:
    """Wait until every projection has come to the last event."""
    query = """
        SELECT bool_and(position >= (SELECT max(notification_id) FROM tallystick.ledger_events))
        FROM tallystick.projection_positions
    """
    with connect(database_url, autocommit=True) as connection:
        wait_until(lambda: connection.execute(query).fetchone() == (True,))


@pytest.mark.parametrize("large", [LONG], indirect=True)
def test_an_export_is_the_same_ledger_elsewhere(large: Large) -> None:
    with psycopg.connect(large.server.url, autocommit=True) as connection:
        connection.execute("CREATE DATABASE elsewhere")
    elsewhere = large.server.url.replace("@/tallystick?", "@/elsewhere?")
    file = large.folder / "ledger.ndjson"
    try:
        migrate(elsewhere, SCHEMA)
        exported = large.tallystick("export", str(file))
        imported = large.tallystick("import", str(file), database_url=elsewhere)
        verified = [large.tallystick("verify", database_url=url) for url in (large.server.url, elsewhere)]
        here, there = (digests(url, COPIED) for url in (large.server.url, elsewhere))
    finally:
        with psycopg.connect(large.server.url, autocommit=True) as connection:
            connection.execute("DROP DATABASE elsewhere WITH (FORCE)")

    events = here["ledger_events"][0]
    print(f"\n{events:,} events, {file.stat().st_size / MEGABYTE:,.0f} MB of text")
    for name, run in {"export": exported, "import": imported, "verify": verified[0], "there": verified[1]}.items():
        print(f"{name}: {run.seconds:.1f} s, {events / run.seconds:,.0f} events/s, {run.peak_bytes / MEGABYTE:.0f} MB")
    assert events >= large.events
    assert there == here
    assert all("Everything holds." in run.output for run in verified)
    assert exported.peak_bytes < 150 * MEGABYTE, "a page at a time, however many there are"
    assert imported.peak_bytes < 400 * MEGABYTE, "the states of all streams, and a page of events"
