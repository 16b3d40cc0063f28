"""Shared fixtures of the tests of time: workers on the test's ledger and clock."""

from collections.abc import Callable, Iterator
from contextlib import ExitStack

import pytest

from services.catalogue import Catalogue
from services.clocks import Clocks
from services.ledger.ledger import Ledger
from services.postgres.database import connect, reading_pool
from services.renewals.worker import RenewalWorker
from tests.conftest import SCHEMA, SettableClock
from tests.integration.time.fleet import Recorded

OpenWorker = Callable[[], RenewalWorker]


@pytest.fixture
def open_worker(database_url: str, catalogue: Catalogue, clock: SettableClock) -> Iterator[OpenWorker]:
    """A function that opens one more renewal worker, with a ledger of its own, as another process would."""
    with ExitStack() as parts:

        def open_one() -> RenewalWorker:
            ledger = parts.enter_context(Ledger(database_url, SCHEMA, catalogue, clock=clock))
            worker = RenewalWorker(ledger.lane, lambda: connect(database_url, autocommit=True), SCHEMA, clock)
            return parts.enter_context(worker)

        yield open_one


@pytest.fixture
def worker(open_worker: OpenWorker) -> RenewalWorker:
    """A renewal worker."""
    return open_worker()


@pytest.fixture
def clocks(database_url: str, ledger: Ledger, clock: SettableClock) -> Iterator[Clocks]:
    """The test clocks of the test's ledger."""
    with reading_pool(database_url, size=4) as connections:
        yield Clocks(ledger.lane, connections, lambda: connect(database_url, autocommit=True), SCHEMA, clock)


@pytest.fixture
def recorded(database_url: str) -> Recorded:
    """The recorded events."""
    return Recorded(database_url)
