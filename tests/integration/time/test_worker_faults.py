"""A renewal worker loses its connection or its claims, or fails at one subscription; the others renew."""

import threading
from collections import Counter
from contextlib import closing
from datetime import UTC, datetime

import psycopg
import pytest
import structlog

from services.clocks import Clocks
from services.ledger.ledger import Ledger
from services.postgres.database import connect
from services.renewals.claims import Claims, share_of_clock
from services.renewals.recording import Tally
from services.renewals.worker import Pass, RenewalWorker
from tests.conftest import SCHEMA, SettableClock
from tests.integration.time.conftest import OpenWorker
from tests.integration.time.fleet import YEARLY, Recorded, start

FIRST_RESET = datetime(2026, 2, 15, 12, tzinfo=UTC)
STARTED_ON_CLOCK = datetime(2030, 1, 31, 10, tzinfo=UTC)


def run_until(worker: RenewalWorker, events: int) -> None:
    """Run a worker until it has recorded so many events."""
    stop = threading.Event()
    recorded = 0

    def count(done: Pass) -> None:
        nonlocal recorded
        recorded += done.tally.events
        if recorded >= events:
            stop.set()

    worker.run(stop, count)


def test_a_share_that_another_worker_is_at_is_left_to_it_until_it_is_released(
    ledger: Ledger, clocks: Clocks, worker: RenewalWorker, database_url: str
) -> None:
    reading = clocks.create(STARTED_ON_CLOCK)
    start(ledger, 1, YEARLY, test_clock_id=reading.test_clock_id)
    with psycopg.connect(database_url, autocommit=True) as connection:
        connection.execute("UPDATE tallystick.test_clocks SET now = '2030-02-28 10:00Z'")

    with closing(connect(database_url, autocommit=True)) as other:
        claims = Claims(other, SCHEMA)
        with claims.transaction():
            claims.claim(share_of_clock(reading.test_clock_id))
            assert worker.record_pass() == Pass(listed=1, claimed=0, tally=Tally())
        assert worker.record_pass() == Pass(listed=1, claimed=1, tally=Tally(subscriptions=1, events=1))


def test_the_claims_of_a_worker_whose_connection_is_gone_are_free(
    ledger: Ledger, worker: RenewalWorker, clock: SettableClock, database_url: str
) -> None:
    start(ledger, 50)
    clock.now = FIRST_RESET
    other = connect(database_url, autocommit=True)
    claims = Claims(other, SCHEMA)
    held = claims.transaction()
    held.__enter__()
    for part in range(16):
        claims.claim(f"part {part}")
    assert worker.record_pass().claimed == 0

    with psycopg.connect(database_url, autocommit=True) as server:
        server.execute("SELECT pg_terminate_backend(%s)", [other.info.backend_pid])
    run_until(worker, events=100)  # the server releases the claims one after the other: a pass may get a few of them
    with pytest.raises(psycopg.OperationalError):
        held.__exit__(None, None, None)
    other.close()

    assert worker.catch_up() == Tally()


def test_a_worker_goes_on_when_its_connections_were_cut(
    ledger: Ledger,
    worker: RenewalWorker,
    clock: SettableClock,
    database_url: str,
    recorded: Recorded,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr("services.renewals.worker.IDLE_SECONDS", 0.05)
    start(ledger, 50, YEARLY)
    worker.record_pass()
    with psycopg.connect(database_url, autocommit=True) as server:
        server.execute(
            "SELECT pg_terminate_backend(pid) FROM pg_stat_activity "
            "WHERE datname = current_database() AND pid <> pg_backend_pid()"
        )
    clock.now = FIRST_RESET

    run_until(worker, events=50)

    assert recorded.counts("CycleReset") == Counter({1: 50})


def test_a_subscription_that_cannot_be_read_keeps_no_other_from_renewing(
    ledger: Ledger, open_worker: OpenWorker, clock: SettableClock, database_url: str, recorded: Recorded
) -> None:
    spoiled, *_sound = start(ledger, 300, YEARLY)
    with psycopg.connect(database_url, autocommit=True) as superuser:
        superuser.execute("ALTER TABLE tallystick.ledger_events DISABLE TRIGGER ledger_events_are_kept")
        superuser.execute(
            "UPDATE tallystick.ledger_events SET topic = 'Unheard' WHERE originator_id = %s AND originator_version = 2",
            [spoiled],
        )
    clock.now = FIRST_RESET

    with structlog.testing.capture_logs():
        tally = open_worker().catch_up()

    assert tally.subscriptions == 299
    assert tally.failures >= 1
    assert recorded.counts("CycleReset") == Counter({1: 299, 0: 1})
