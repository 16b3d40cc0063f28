"""`tallystick renewals` as processes: several at once, killed at any point, with metrics and progress."""

import time
from collections import Counter
from contextlib import closing
from datetime import UTC, datetime, timedelta
from functools import partial
from pathlib import Path
from typing import Any

import pytest
from psycopg import Connection

from services.ledger.ledger import Ledger
from services.postgres.database import connect
from services.renewals.worker import CLAIMED_EVENTS_MAX, KEY_ID
from services.subscription.calendar import months_after
from tests.conftest import SettableClock
from tests.integration.time.fleet import YEARLY, Recorded, start
from tests.processes import running, tallystick
from tests.waiting import wait_until


@pytest.fixture
def overdue(ledger: Ledger, clock: SettableClock) -> SettableClock:
    """The ledger's clock, set so that what starts now was due a minute ago, for the first time."""
    clock.now = months_after(datetime.now(UTC) - timedelta(minutes=1), -1)
    return clock


@pytest.mark.usefixtures("overdue")
def test_once_records_what_is_due_and_says_how_much(
    ledger: Ledger, database_url: str, tmp_path: Path, recorded: Recorded
) -> None:
    start(ledger, 3)

    ended = tallystick("renewals", "--once", folder=tmp_path, database_url=database_url)

    assert (ended.returncode, ended.stdout) == (0, "Recorded 6 events of 3 subscriptions.\n")
    assert recorded.counts("TermRenewed") == Counter({1: 3})


def test_a_long_catch_up_is_shown_in_plain_lines(
    ledger: Ledger, clock: SettableClock, database_url: str, tmp_path: Path
) -> None:
    clock.now = months_after(datetime.now(UTC) - timedelta(minutes=1), -3)
    start(ledger, 1_400)

    ended = tallystick("renewals", "--once", folder=tmp_path, database_url=database_url)

    assert CLAIMED_EVENTS_MAX < 1_400 * 3 * 2, "more than one pass"
    assert ended.stdout == "Recorded 8,400 events of 1,400 subscriptions.\n"
    assert ended.stderr.startswith("Recording what is due ...\n")
    assert "\x1b" not in ended.stderr


@pytest.mark.usefixtures("overdue")
def test_it_records_what_falls_due_shows_its_lag_and_stops_when_asked(
    ledger: Ledger, database_url: str, tmp_path: Path
) -> None:
    with running("renewals", folder=tmp_path, database_url=database_url) as worker:
        assert worker.page("/livez") == "alive\n"
        assert 'tallystick_renewals_due{clock="real"} 0.0' in worker.page("/metrics")
        start(ledger, 3, YEARLY)
        wait_until(lambda: "tallystick_renewals_recorded_events_total 3.0" in worker.page("/metrics"))
        assert "tallystick_renewals_lag_seconds 0.0" in worker.page("/metrics")
        worker.stop()


@pytest.mark.usefixtures("overdue")
@pytest.mark.parametrize("kills", [1, pytest.param(40, marks=pytest.mark.long)])
def test_workers_that_are_killed_at_work_leave_nothing_undone_and_nothing_done_twice(
    ledger: Ledger, database_url: str, tmp_path: Path, recorded: Recorded, kills: int
) -> None:
    subscriptions = 2_000 * kills
    start(ledger, subscriptions, YEARLY)

    worker = partial(running, "renewals", "--no-http", folder=tmp_path, database_url=database_url)
    with closing(connect(database_url, autocommit=True)) as connection:
        for _ in range(kills):
            before = _position(connection)
            with worker(), worker():
                while _position(connection) == before < 3 * subscriptions:
                    time.sleep(0.01)
            # Both were killed with signal 9, as soon as anything more had been recorded.
    assert tallystick("renewals", "--once", folder=tmp_path, database_url=database_url).returncode == 0

    assert recorded.counts("CycleReset") == Counter({1: subscriptions})


@pytest.mark.usefixtures("overdue")
def test_serve_runs_a_worker(ledger: Ledger, database_url: str, tmp_path: Path, recorded: Recorded) -> None:
    (id,) = start(ledger, 1, YEARLY)

    with running("serve", folder=tmp_path, database_url=database_url) as service:
        wait_until(lambda: "CycleReset" in recorded.topics(id))
        service.stop()

    assert recorded.key_ids(id)[-1] == KEY_ID


def _position(connection: Connection[Any]) -> int:
    """Read the position of the last event."""
    row = connection.execute("SELECT last_id FROM tallystick.head").fetchone()
    assert row is not None
    return int(row[0])
