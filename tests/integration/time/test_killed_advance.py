"""An API process is killed in the middle of an advance: the clock has moved, and the rest is recorded later."""

import os
import signal
import subprocess
import sys
import threading
import time
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from datetime import UTC, datetime
from pathlib import Path

import httpx
import pytest

from services.clocks import Clocks, Reading
from services.ledger.ledger import Ledger
from services.renewals.worker import RenewalWorker
from tests.integration.time.fleet import BY, YEARLY, Recorded, start
from tests.integration.time.processes import free_port, page

STARTED = datetime(2030, 1, 31, 10, tzinfo=UTC)
A_YEAR_LATER = datetime(2031, 1, 31, 10, tzinfo=UTC)
SUBSCRIPTIONS = 1_000
KEY = "a-test-key-of-forty-characters-or-so-000"


@contextmanager
def api(database_url: str, folder: Path, port: int) -> Iterator[subprocess.Popen[bytes]]:
    environment = {
        **os.environ,
        "TALLYSTICK_DATABASE_URL": database_url,
        "TALLYSTICK_DATA_DIR": str(folder),
        "TALLYSTICK_PORT": str(port),
        "TALLYSTICK_TEST_CLOCKS": "true",
        "TALLYSTICK_BOOTSTRAP_KEY": KEY,
    }
    with subprocess.Popen([sys.executable, "-m", "services.cli", "api"], env=environment, cwd=folder) as process:
        try:
            page(port, "/readyz")
            yield process
        finally:
            process.kill()


@pytest.mark.parametrize("by", ["worker", "the same advance again"])
def test_the_rest_is_recorded(
    ledger: Ledger,
    clocks: Clocks,
    worker: RenewalWorker,
    recorded: Recorded,
    database_url: str,
    tmp_path: Path,
    by: str,
) -> None:
    clock_id = clocks.create(STARTED).test_clock_id
    start(ledger, SUBSCRIPTIONS, YEARLY, test_clock_id=clock_id)
    port = free_port()
    with api(database_url, tmp_path, port) as process:
        advancing = threading.Thread(target=_advance, args=(port, clock_id))
        advancing.start()
        while not (done := recorded.counts("CycleReset")[12]):
            time.sleep(0.01)
        process.send_signal(signal.SIGKILL)
        advancing.join()
    assert done < SUBSCRIPTIONS, "it was killed in the middle"
    assert clocks.read(clock_id) == Reading(clock_id, A_YEAR_LATER)

    if by == "worker":
        worker.catch_up()
    else:
        clocks.advance(clock_id, A_YEAR_LATER, BY)

    assert recorded.counts("CycleReset") == Counter({12: SUBSCRIPTIONS})
    assert recorded.counts("TermRenewed") == Counter({1: SUBSCRIPTIONS})


def _advance(port: int, clock_id: str) -> None:
    url = f"http://127.0.0.1:{port}/v1/test-clocks/{clock_id}/advance"
    with suppress(httpx.TransportError):
        httpx.post(
            url,
            json={"to": A_YEAR_LATER.isoformat()},
            headers={"Authorization": f"Bearer {KEY}"},
            timeout=60,
        )
