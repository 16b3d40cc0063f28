"""A hundred thousand subscriptions fall due at the same instant, while customers go on charging.

`pytest -m long -s tests/integration/time/test_everyone_at_once.py` prints the rate and the latencies;
`TALLYSTICK_SUBSCRIPTIONS` chooses another number.
"""

import os
import random
import tempfile
import threading
import time
from collections import Counter
from collections.abc import Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing, contextmanager
from datetime import UTC, datetime, timedelta
from functools import partial
from itertools import count
from pathlib import Path
from statistics import quantiles
from uuid import UUID

import pytest

from projections.renewal.due import DueQueries
from services.catalogue import Catalogue
from services.ledger.ledger import Ledger
from services.ledger.submission import Charged
from services.migrations.migrate import migrate
from services.postgres.database import connect
from services.postgres.embedded import EmbeddedPostgres
from services.subscription.calendar import months_after
from services.subscription.commands import ChargeGeneration
from tests.conftest import SCHEMA, SettableClock
from tests.integration.time.fleet import BY, YEARLY, Recorded, start
from tests.processes import running

CLIENTS = 8
PAUSE_SECONDS = 0.02


@pytest.fixture
def durable_database() -> Iterator[str]:
    """A migrated database on a server that flushes every commit, as in production."""
    with (
        tempfile.TemporaryDirectory(prefix="tallystick-test-") as folder,
        EmbeddedPostgres(Path(folder) / "postgres", scratch=True) as server,
    ):
        migrate(server.url, SCHEMA)
        yield server.url


def backlog(database_url: str) -> int:
    """Count the subscriptions that are due and not reset yet."""
    with closing(connect(database_url, autocommit=True)) as connection:
        return DueQueries(SCHEMA).backlog(connection, datetime.now(UTC)).due


class Customers:
    """Clients that charge one subscription after another, and measure the latency of each charge."""

    def __init__(self, ledger: Ledger, ids: Sequence[UUID]) -> None:
        self._ledger = ledger
        self._ids = ids
        self._numbers = count()
        self.cycles: Counter[int] = Counter()
        self.latencies_seconds: list[float] = []

    @contextmanager
    def charging(self) -> Iterator[None]:
        """Charge as long as this context lasts."""
        stop = threading.Event()
        with ThreadPoolExecutor(CLIENTS) as clients:
            working = [clients.submit(self._charge_until, stop) for _ in range(CLIENTS)]
            try:
                yield
            finally:
                stop.set()
        for each in working:
            each.result()

    def _charge_until(self, stop: threading.Event) -> None:
        while not stop.wait(PAUSE_SECONDS):
            command = ChargeGeneration(f"track-{next(self._numbers)}", "lyria-3")
            sent_at = time.perf_counter()
            answer = self._ledger.execute(random.choice(self._ids), command, BY)
            self.latencies_seconds.append(time.perf_counter() - sent_at)
            assert isinstance(answer, Charged)
            self.cycles[answer.charge.cycle_number] += 1

    def latency(self) -> str:
        """Write the percentiles of latency, in milliseconds."""
        percentiles = quantiles(self.latencies_seconds, n=100)
        p50, p95, p99 = (percentiles[each - 1] * 1000 for each in (50, 95, 99))
        worst = max(self.latencies_seconds) * 1000
        answered = len(self.latencies_seconds)
        return f"{answered:,} charges, p50 {p50:.1f} ms, p95 {p95:.1f} ms, p99 {p99:.1f} ms, worst {worst:.0f} ms"


@pytest.mark.long
def test_everyone_is_reset_and_charges_go_on(durable_database: str, catalogue: Catalogue, tmp_path: Path) -> None:
    subscriptions = int(os.environ.get("TALLYSTICK_SUBSCRIPTIONS", "100000"))
    clock = SettableClock(months_after(datetime.now(UTC) - timedelta(seconds=1), -1))
    recorded = Recorded(durable_database)
    with Ledger(durable_database, SCHEMA, catalogue, clock=clock) as ledger:
        ids = start(ledger, subscriptions, YEARLY)
        quiet = Customers(ledger, ids)
        with quiet.charging():
            time.sleep(5)
        clock.now = datetime.now(UTC)
        busy = Customers(ledger, ids)
        worker = partial(running, "renewals", "--no-http", folder=tmp_path, database_url=durable_database)
        with worker(), worker(), busy.charging():
            while (due := backlog(durable_database)) > 0.99 * len(ids):
                time.sleep(0.02)
            began_at, due_at_first = time.perf_counter(), due
            while backlog(durable_database):
                time.sleep(0.1)
            duration_seconds = time.perf_counter() - began_at

    print(f"\n{len(ids):,} resets by two workers: {due_at_first / duration_seconds:,.0f} a second")
    print(f"before:    {quiet.latency()}")
    print(f"meanwhile: {busy.latency()}")
    assert recorded.counts("CycleReset") == Counter({1: len(ids)})
    assert (set(quiet.cycles), set(busy.cycles)) == ({1}, {2})
