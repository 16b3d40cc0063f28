"""What the write path says to the server: no table locks, no notifications, nothing that outlives a transaction.

So that appends of several processes do not queue for a table, and a pooler in transaction mode may stand between.
"""

import re
from collections.abc import Callable, Iterator
from pathlib import Path
from threading import Thread
from time import sleep

import psycopg
import pytest

from services.ledger.ledger import Ledger
from services.ledger.submission import IdempotencyKey
from services.postgres.database import connect
from services.postgres.session import Session
from services.subscription.commands import RecordDue, StartSubscription, UpgradePlan
from tests.integration.ledger.books import Books, tally
from tests.integration.ledger.lanes import BY, STARTER, charge, start, together, track

_PARSED = re.compile(r'\tParse\t \S+ "(?P<statement>.*?)" \d+ ?[\d ]*$', re.MULTILINE | re.DOTALL)

_LASTING = re.compile(r"\b(LOCK\s+TABLE|NOTIFY|LISTEN|PREPARE|DECLARE|TEMP|advisory)\b", re.IGNORECASE)


@pytest.fixture
def said(ledger: Ledger, database_url: str, tmp_path: Path) -> Iterator[Callable[[], list[str]]]:
    """The statements that the ledger's lane has sent so far."""
    with (tmp_path / "trace").open("w+b") as trace:

        def traced() -> Session:
            connection = connect(database_url)
            connection.pgconn.trace(trace.fileno())
            return Session(connection)

        def read() -> list[str]:
            ledger.lane.stop()
            return [match["statement"] for match in _PARSED.finditer((tmp_path / "trace").read_text(errors="replace"))]

        ledger.lane._connect = traced
        yield read


def work(ledger: Ledger) -> None:
    """Something of everything, often enough for statements to be prepared."""
    key = IdempotencyKey("key", b"request", lambda _: b"answer")
    for _ in range(8):
        id = start(ledger)
        together(ledger, (id, track("track-1")), (id, UpgradePlan("max-pro-240000-yearly"), key), (id, RecordDue()))
        for number in range(3):
            charge(ledger, id, f"track-{number}")
        ledger.execute(id, StartSubscription("someone else", STARTER), BY)


def test_it_says_nothing_but_what_its_sql_files_say(ledger: Ledger, said: Callable[[], list[str]]) -> None:
    work(ledger)

    verbs = {statement.split()[0].upper() for statement in said()}
    assert verbs == {"BEGIN", "SELECT", "WITH", "INSERT", "UPDATE", "COMMIT"}


def test_it_sets_nothing_beyond_the_transaction_and_locks_no_table(
    ledger: Ledger, said: Callable[[], list[str]]
) -> None:
    work(ledger)

    statements = said()
    assert len(statements) >= 10
    for statement in statements:
        assert not re.search(
            r"\b(LOCK\s+TABLE|NOTIFY|LISTEN|PREPARE|DECLARE|TEMP|advisory)\b", statement, re.IGNORECASE
        )
        settings = statement.count("set_config(")
        assert settings == len(re.findall(r", true\s*\)", statement)), "for this transaction only"


def test_its_session_is_as_it_was_between_transactions(ledger: Ledger) -> None:
    work(ledger)

    assert ledger.lane._session is not None
    connection = ledger.lane._session.connection
    with connection.transaction():
        listening = connection.execute("SELECT pg_listening_channels()").fetchall()
        locks = connection.execute("SELECT mode FROM pg_locks WHERE locktype = 'advisory'").fetchall()
        tables = connection.execute("SELECT relname FROM pg_class WHERE relpersistence = 't'").fetchall()
        changed = connection.execute("SELECT name FROM pg_settings WHERE source = 'session'").fetchall()
    assert (listening, locks, tables, changed) == ([], [], [], [])


def test_an_append_locks_rows_and_no_table(ledger: Ledger, database_url: str) -> None:
    """Seen while it waits for the head row, which someone else holds."""
    id = start(ledger)
    with psycopg.connect(database_url) as someone_else:
        someone_else.execute("SELECT FROM tallystick.head FOR UPDATE")
        waiting = Thread(target=charge, args=(ledger, id, "track-1"))
        waiting.start()
        modes = _locks_of_the_waiting(database_url)
        someone_else.rollback()
        waiting.join()

    assert modes == {"RowShareLock", "RowExclusiveLock"}
    assert charge(ledger, id, "track-1").is_replay


def _locks_of_the_waiting(database_url: str) -> set[str]:
    """The kinds of table locks of the session that waits for a row."""
    with psycopg.connect(database_url, autocommit=True) as connection:
        while True:
            rows = connection.execute(
                "SELECT l.mode FROM pg_stat_activity AS a JOIN pg_locks AS l USING (pid)"
                " JOIN pg_class AS c ON c.oid = l.relation JOIN pg_namespace AS n ON n.oid = c.relnamespace"
                " WHERE a.wait_event_type = 'Lock' AND a.datname = current_database() AND n.nspname = 'tallystick'"
                " AND c.relkind = 'r' AND l.locktype = 'relation'"
            ).fetchall()
            if rows:
                return {mode for (mode,) in rows}
            sleep(0.005)


def test_reads_and_other_ledgers_rows_are_not_kept_waiting(ledger: Ledger, database_url: str, books: Books) -> None:
    """A transaction that has the head row stops appends, and nothing else."""
    id = start(ledger)
    first = charge(ledger, id, "track-1")
    with psycopg.connect(database_url) as someone_else:
        someone_else.execute("SELECT FROM tallystick.head FOR UPDATE")

        assert len(books.events()) == 3
        assert charge(ledger, id, "track-1").charge == first.charge
        refused = ledger.execute(id, StartSubscription("someone else", STARTER), BY)
        assert tally([refused]) == {"subscription_exists": 1}
