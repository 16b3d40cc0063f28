"""An API process is killed in the middle of an advance: the clock has moved, and the rest is recorded later."""

from collections import Counter
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from datetime import UTC, datetime
from pathlib import Path

import httpx
import pytest

from services.clocks import Clocks, Reading
from services.ledger.ledger import Ledger
from services.postgres.database import connect
from services.renewals.worker import RenewalWorker
from tests.integration.time.fleet import BY, YEARLY, Recorded, start
from tests.processes import running
from tests.waiting import PATIENCE_SECONDS, wait_until

STARTED = datetime(2030, 1, 31, 10, tzinfo=UTC)
A_YEAR_LATER = datetime(2031, 1, 31, 10, tzinfo=UTC)
SUBSCRIPTIONS = 1_000
KEY = "a-test-key-of-forty-characters-or-so-000"


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
    stop_after_the_first_batch(database_url)
    service = running("api", folder=tmp_path, database_url=database_url, test_clocks="true", bootstrap_key=KEY)
    with service as api, ThreadPoolExecutor(1) as client:
        api.page("/readyz")
        client.submit(_advance, api.url, clock_id)
        done = wait_until(lambda: recorded.counts("CycleReset")[12])
        api.kill()
        let_go_on(database_url)
    assert done < SUBSCRIPTIONS, "it was killed in the middle"
    assert clocks.read(clock_id) == Reading(clock_id, A_YEAR_LATER)

    if by == "worker":
        worker.catch_up()
    else:
        clocks.advance(clock_id, A_YEAR_LATER, BY)

    assert recorded.counts("CycleReset") == Counter({12: SUBSCRIPTIONS})
    assert recorded.counts("TermRenewed") == Counter({1: SUBSCRIPTIONS})


def stop_after_the_first_batch(database_url: str) -> None:
    """Let no batch append its events once resets are recorded."""
    with connect(database_url) as connection:
        connection.execute("""
            CREATE FUNCTION tallystick.stop() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN
                IF EXISTS (SELECT FROM tallystick.ledger_events WHERE topic = 'CycleReset') THEN
                    PERFORM pg_sleep(60);
                END IF;
                RETURN NULL;
            END $$;
            CREATE TRIGGER stop BEFORE INSERT ON tallystick.ledger_events EXECUTE FUNCTION tallystick.stop();
        """)


def let_go_on(database_url: str) -> None:
    """End what has been stopped, and let others append."""
    with connect(database_url) as connection:
        connection.execute(
            "SELECT pg_terminate_backend(pid, 120000) FROM pg_stat_activity WHERE wait_event = 'PgSleep'"
        )
        connection.execute("DROP TRIGGER stop ON tallystick.ledger_events")


def _advance(url: str, clock_id: str) -> None:
    with suppress(httpx.TransportError):
        httpx.post(
            f"{url}/v1/test-clocks/{clock_id}/advance",
            json={"to": A_YEAR_LATER.isoformat()},
            headers={"Authorization": f"Bearer {KEY}"},
            timeout=PATIENCE_SECONDS,
        )
