"""Positions: gapless and in commit order, so that a reader who follows them misses no event."""

from functools import partial
from threading import Event, Thread

import psycopg

from services.catalogue import Catalogue
from services.ledger.ledger import Ledger
from services.postgres.database import connect
from tests.conftest import SCHEMA
from tests.integration.ledger.books import Books, tally
from tests.integration.ledger.breaking import break_commits
from tests.integration.ledger.lanes import BY, concurrently, in_one_batch, start, track

WRITERS = 6

# Every seventh event delays its transaction between the last statement and the commit.
SLOW_COMMITS = """
CREATE FUNCTION tallystick.delay() RETURNS trigger LANGUAGE plpgsql AS
    'BEGIN PERFORM pg_sleep(random() * 0.004); RETURN NULL; END';
CREATE CONSTRAINT TRIGGER delay AFTER INSERT ON tallystick.ledger_events DEFERRABLE INITIALLY DEFERRED
    FOR EACH ROW WHEN (NEW.notification_id % 7 = 0) EXECUTE FUNCTION tallystick.delay();
"""


class TailingReader(Thread):
    """Follows the positions as a projection does: reads the events above the last one that it has seen."""

    def __init__(self, database_url: str) -> None:
        super().__init__()
        self._database_url = database_url
        self._is_finishing = Event()
        self.seen: list[int] = []

    def run(self) -> None:
        with connect(self._database_url, autocommit=True) as connection:
            while True:
                is_finishing = self._is_finishing.is_set()
                last = self.seen[-1] if self.seen else 0
                rows = connection.execute(
                    "SELECT notification_id FROM tallystick.ledger_events"
                    " WHERE notification_id > %s ORDER BY notification_id LIMIT 50",
                    [last],
                ).fetchall()
                self.seen += [position for (position,) in rows]
                if is_finishing and not rows:
                    return

    def finish(self) -> list[int]:
        """Read to the end; return all positions in the order in which they were seen."""
        self._is_finishing.set()
        self.join()
        return self.seen


def test_a_tailing_reader_misses_no_event_of_six_writers(database_url: str, catalogue: Catalogue, books: Books) -> None:
    with psycopg.connect(database_url, autocommit=True) as connection:
        connection.execute(SLOW_COMMITS)
    reader = TailingReader(database_url)
    reader.start()
    ledgers = [Ledger(database_url, SCHEMA, catalogue) for _ in range(WRITERS)]
    for each in ledgers:
        each.__enter__()
    try:
        ids = [start(ledgers[0]) for _ in range(12)]
        calls = [
            partial(ledgers[number % WRITERS].execute, ids[number % 12], track(f"track-{number}"), BY)
            for number in range(900)
        ]
        assert tally(concurrently(calls, clients=24)) == {"Charged": 900}
    finally:
        for each in ledgers:
            each.__exit__()
        seen = reader.finish()

    assert seen == list(range(1, 24 + 900 + 1))
    books.check()


def test_a_lost_transaction_leaves_no_gap(ledger: Ledger, database_url: str, books: Books) -> None:
    fates = break_commits(ledger, database_url)
    id = start(ledger)
    fates.schedule("answered", "not stored", "not stored", "not stored")

    in_one_batch(ledger, *[(id, track(f"track-{number}")) for number in range(20)])

    assert fates.losses == 3
    assert [each.position for each in books.events()] == list(range(1, 23))
