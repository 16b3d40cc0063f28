"""Random histories of subscriptions, in the ledger with a renewal worker and in the API with test clocks."""

from collections.abc import Iterator

import httpx
import pytest
from hypothesis import HealthCheck, settings
from hypothesis.stateful import run_state_machine_as_test

from services.ledger.ledger import Ledger
from services.postgres.database import connect
from services.renewals.worker import RenewalWorker
from tests.acceptance.server import Listener
from tests.acceptance.time_travel import server_with_clocks
from tests.conftest import SCHEMA, SettableClock
from tests.integration.time.state_machine import SubscriptionMachine
from tests.integration.time.worlds import HttpWorld, LedgerWorld, World
from tests.unit.subscription.catalogues import odd_catalogue


@pytest.fixture
def http(listener: Listener, database_url: str, clock: SettableClock) -> Iterator[httpx.Client]:
    with server_with_clocks(listener, database_url, odd_catalogue(), clock) as (_, client):
        yield client


@pytest.mark.parametrize(("histories", "steps"), [(60, 30), pytest.param(400, 50, marks=pytest.mark.long)])
def test_the_ledger_shows_what_the_model_shows(
    database_url: str, clock: SettableClock, histories: int, steps: int
) -> None:
    with (
        connect(database_url, autocommit=True) as connection,
        Ledger(database_url, SCHEMA, odd_catalogue(), clock=clock, snapshot_interval=5) as ledger,
        RenewalWorker(ledger.lane, lambda: connect(database_url, autocommit=True), SCHEMA, clock) as worker,
    ):
        play(LedgerWorld(ledger, worker, connection, clock), histories, steps)


@pytest.mark.parametrize(("histories", "steps"), [(10, 25), pytest.param(80, 50, marks=pytest.mark.long)])
def test_the_api_shows_what_the_model_shows(http: httpx.Client, histories: int, steps: int) -> None:
    play(HttpWorld(http), histories, steps)


def play(world: World, histories: int, steps: int) -> None:
    class InWorld(SubscriptionMachine):
        def __init__(self) -> None:
            super().__init__(world)

    run_state_machine_as_test(
        InWorld,
        settings=settings(
            max_examples=histories,
            stateful_step_count=steps,
            database=None,
            suppress_health_check=list(HealthCheck),
        ),
    )
