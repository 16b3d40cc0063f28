"""What an operator sees of a renewal worker that is behind, stuck or absent."""

import re
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta

import httpx
import pytest
from prometheus_client import CollectorRegistry
from rich.console import Console

from services.catalogue import Catalogue
from services.cli.progress import progress
from services.clocks import Clocks
from services.http import freshness
from services.ledger.ledger import Ledger
from services.process.status_page import status_page
from services.renewals.role import SILENCE_SECONDS, RenewalRole
from services.renewals.worker import RenewalWorker
from tests.acceptance.server import Listener
from tests.acceptance.time_travel import server_with_clocks
from tests.conftest import SettableClock
from tests.integration.time.fleet import start
from tests.processes import free_port
from tests.waiting import PATIENCE_SECONDS

FIRST_RESET = datetime(2026, 2, 15, 12, tzinfo=UTC)


@pytest.fixture
def http(listener: Listener, database_url: str, catalogue: Catalogue, clock: SettableClock) -> Iterator[httpx.Client]:
    with server_with_clocks(listener, database_url, catalogue, clock) as (_, client):
        yield client


@pytest.fixture
def role(worker: RenewalWorker) -> RenewalRole:
    return RenewalRole(worker, CollectorRegistry(), lambda: progress(Console(quiet=True)))


def test_the_api_shows_the_lag_of_recording(
    ledger: Ledger,
    clocks: Clocks,
    worker: RenewalWorker,
    clock: SettableClock,
    http: httpx.Client,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(freshness, "FRESH_SECONDS", -1.0)
    start(ledger, 3)
    start(ledger, 2, test_clock_id=clocks.create(clock.now).test_clock_id)
    assert "tallystick_renewals_lag_seconds 0.0" in http.get("/metrics").text

    clock.now = FIRST_RESET + timedelta(seconds=90)
    behind = http.get("/metrics").text
    assert 'tallystick_renewals_due{clock="real"} 3.0' in behind
    assert 'tallystick_renewals_due{clock="test"} 0.0' in behind
    assert "tallystick_renewals_lag_seconds 90.0" in behind

    worker.catch_up()
    assert "tallystick_renewals_lag_seconds 0.0" in http.get("/metrics").text


def test_a_worker_that_gets_nowhere_is_not_alive(worker: RenewalWorker, role: RenewalRole) -> None:
    with status_page("127.0.0.1", free_port(), role.registry, role.find_trouble) as port:
        livez = f"http://127.0.0.1:{port}/livez"
        assert httpx.get(livez, timeout=PATIENCE_SECONDS).status_code == 200

        worker.active_at -= SILENCE_SECONDS + 1
        stuck = httpx.get(livez, timeout=PATIENCE_SECONDS)
        assert stuck.status_code == 503
        assert re.fullmatch(r"no progress for \d+ seconds\n", stuck.text)

        role.record_all()
        assert httpx.get(livez, timeout=PATIENCE_SECONDS).status_code == 200


def test_what_was_recorded_is_counted(ledger: Ledger, role: RenewalRole, clock: SettableClock) -> None:
    start(ledger, 3)
    clock.now = FIRST_RESET

    role.record_all()

    assert role.registry.get_sample_value("tallystick_renewals_recorded_subscriptions_total") == 3
    assert role.registry.get_sample_value("tallystick_renewals_recorded_events_total") == 6
    assert role.registry.get_sample_value("tallystick_renewals_failures_total") == 0
