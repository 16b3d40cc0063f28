"""Sessions that the server ends again and again while customers charge, as in a fail-over or by an administrator."""

from random import Random
from threading import Event, Thread
from time import sleep
from uuid import UUID

import psycopg

from services.catalogue import Catalogue
from services.ledger.ledger import Ledger
from services.ledger.records import Metadata
from services.ledger.submission import Answer, IdempotencyKey
from services.postgres.embedded import EmbeddedPostgres
from services.subscription.commands import Command
from tests.conftest import SCHEMA
from tests.faults.customers import Customers
from tests.faults.seeds import seeded
from tests.integration.ledger.books import Books

ENDED_SESSIONS = 80


class SessionKiller(Thread):
    """Ends every session of a database, in bursts, until so many have been ended."""

    def __init__(self, server: EmbeddedPostgres, database_url: str, random: Random, sessions: int) -> None:
        super().__init__()
        self._server_url = server.url
        self._database = psycopg.conninfo.conninfo_to_dict(database_url)["dbname"]
        self._random = random
        self._sessions = sessions
        self.is_done = Event()
        self.ended = 0

    def run(self) -> None:
        with psycopg.connect(self._server_url, autocommit=True) as administrator:
            while self.ended < self._sessions:
                self.ended += administrator.execute(
                    "SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE datname = %s", [self._database]
                ).rowcount
                sleep(self._random.uniform(0.0, 0.03))
        self.is_done.set()


def test_every_charge_is_made_once(postgres: EmbeddedPostgres, database_url: str, catalogue: Catalogue) -> None:
    random = seeded("killed sessions")
    with (
        Ledger(database_url, SCHEMA, catalogue, snapshot_interval=20) as one,
        Ledger(database_url, SCHEMA, catalogue, snapshot_interval=20) as another,
    ):

        def execute(id: UUID, command: Command, metadata: Metadata, key: IdempotencyKey | None) -> Answer:
            ledger = (one, another)[len(metadata.request_id) % 2]
            return ledger.execute(id, command, metadata, idempotency=key)

        with Customers(execute, seed=random.getrandbits(32), count=8) as customers:
            killer = SessionKiller(postgres, database_url, random, ENDED_SESSIONS)
            killer.start()
            while not killer.is_done.is_set():
                customers.wait_for_charges(1)
            killer.join()
            customers.wait_for_charges(100)
    print(f"{killer.ended} sessions ended; {len(customers.acknowledged)} charges; {dict(customers.answers)}")
    customers.check(Books(database_url))
