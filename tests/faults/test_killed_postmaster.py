"""kill -9 of a durable PostgreSQL under load: after its recovery every acknowledged charge is stored, once.

`TALLYSTICK_KILLS` kills in the long form (1,000), `TALLYSTICK_SEED` for the same choices again.
"""

import os
import signal
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path
from random import Random
from tempfile import TemporaryDirectory
from time import sleep
from uuid import UUID

import psutil
import pytest

from services.catalogue import Catalogue
from services.ledger.ledger import Ledger
from services.ledger.records import Metadata
from services.ledger.submission import Answer, IdempotencyKey
from services.migrations.migrate import migrate
from services.postgres.embedded import EmbeddedPostgres
from services.subscription.commands import Command
from tests.conftest import SCHEMA
from tests.faults.customers import Customers
from tests.faults.seeds import seeded
from tests.integration.ledger.books import Books


@pytest.fixture
def durable() -> Iterator[EmbeddedPostgres]:
    """A server of the test's own, with the settings that a service runs on."""
    with TemporaryDirectory(prefix="tallystick-durable-") as folder:
        server = EmbeddedPostgres(Path(folder) / "postgres")
        server.start()
        try:
            migrate(server.url, SCHEMA)
            yield server
        finally:
            server.stop()


def kill(server: EmbeddedPostgres, random: Random) -> None:
    """Kill the postmaster, and half of the time all its processes with it."""
    postmaster = psutil.Process(server.pid)
    victims = [postmaster]
    if random.random() < 0.5:
        victims += postmaster.children(recursive=True)
    for victim in victims:
        with suppress(psutil.NoSuchProcess):
            victim.send_signal(signal.SIGKILL)


def kill_under_load(server: EmbeddedPostgres, catalogue: Catalogue, kills: int) -> None:
    """Kill and restart this often, with two processes charging, and check everything each time."""
    random = seeded("killed postmaster")
    with Ledger(server.url, SCHEMA, catalogue) as one, Ledger(server.url, SCHEMA, catalogue) as another:

        def execute(id: UUID, command: Command, metadata: Metadata, key: IdempotencyKey | None) -> Answer:
            ledger = (one, another)[id.int % 2]
            return ledger.execute(id, command, metadata, idempotency=key)

        with Customers(execute, seed=random.getrandbits(32), count=8) as customers:
            for number in range(1, kills + 1):
                customers.wait_for_charges(random.randrange(5, 50))
                sleep(random.uniform(0.0, 0.02))
                acknowledged = dict(customers.acknowledged)
                kill(server, random)
                server.stop()
                server.start()
                assert acknowledged.items() <= Books(server.url).charged().items(), f"lost by kill {number}"
            customers.wait_for_charges(20)
    print(f"{kills} kills; {len(customers.acknowledged)} charges; {dict(customers.answers)}")
    customers.check(Books(server.url))


def test_acknowledged_charges_are_stored_once(durable: EmbeddedPostgres, catalogue: Catalogue) -> None:
    kill_under_load(durable, catalogue, kills=3)


@pytest.mark.long
def test_acknowledged_charges_are_stored_once_many_times_over(durable: EmbeddedPostgres, catalogue: Catalogue) -> None:
    kill_under_load(durable, catalogue, kills=int(os.environ.get("TALLYSTICK_KILLS", "1000")))
