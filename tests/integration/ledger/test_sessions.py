"""The statements of the write path: no table locks, no notifications, no session state that outlives a transaction.

So appends of several processes do not queue for a table, and a pooler in transaction mode may stand between.
"""

import re
from collections.abc import Callable, Iterator
from pathlib import Path
from threading import Thread

import psycopg
import pytest

from services.ledger.ledger import Ledger
from services.ledger.submission import IdempotencyKey
from services.postgres.database import connect
from services.postgres.session import Session
from services.postgres.sessions import NEEDED
from services.subscription.commands import RecordDue, StartSubscription, UpgradePlan
from tests.integration.ledger.books import Books, tally
from tests.integration.ledger.lanes import BY, STARTER, charge, in_one_batch, start, track
from tests.waiting import wait_until

_PARSE_MESSAGE = re.compile(r'\tParse\t \S+ "(?P<statement>.*?)" \d+ ?[\d ]*$', re.MULTILINE | re.DOTALL)


@pytest.fixture
def statements(ledger: Ledger, database_url: str, tmp_path: Path) -> Iterator[Callable[[], list[str]]]:
    """A function that stops the lane and returns the statements that it has sent."""
    with (tmp_path / "trace").open("w+b") as trace:

        def traced() -> Session:
            connection = connect(database_url)
            connection.pgconn.trace(trace.fileno())
            return Session(connection)

        def read() -> list[str]:
            ledger.lane.stop()
            return [
                match["statement"]
                for match in _PARSE_MESSAGE.finditer((tmp_path / "trace").read_text(errors="replace"))
            ]

        ledger.lane._connect = traced
        yield read


def work(ledger: Ledger) -> None:
    """Put commands of every kind, often enough for every statement to be used again."""
    key = IdempotencyKey("key", b"request", lambda _: b"answer")
    for _ in range(8):
        id = start(ledger)
        in_one_batch(ledger, (id, track("track-1")), (id, UpgradePlan("max-pro-240000-yearly"), key), (id, RecordDue()))
        for number in range(3):
            charge(ledger, id, f"track-{number}")
        ledger.execute(id, StartSubscription("someone else", STARTER), BY)


def test_it_sends_only_the_verbs_of_its_sql_files(ledger: Ledger, statements: Callable[[], list[str]]) -> None:
    work(ledger)

    verbs = {statement.split()[0].upper() for statement in statements()}
    assert verbs == {"BEGIN", "SELECT", "WITH", "INSERT", "UPDATE", "DELETE", "COMMIT"}


def test_it_changes_settings_for_the_transaction_only_and_locks_no_table(
    ledger: Ledger, statements: Callable[[], list[str]]
) -> None:
    work(ledger)

    sent = statements()
    assert len(sent) >= 10
    for statement in sent:
        assert not re.search(
            r"\b(LOCK\s+TABLE|NOTIFY|LISTEN|PREPARE|DECLARE|TEMP|advisory)\b", statement, re.IGNORECASE
        )
        settings = statement.count("set_config(")
        assert settings == len(re.findall(r", true\s*\)", statement)), "for this transaction only"


def test_its_session_has_no_state_between_transactions(ledger: Ledger) -> None:
    work(ledger)

    assert ledger.lane._session is not None
    connection = ledger.lane._session.connection
    with connection.transaction():
        listening = connection.execute("SELECT pg_listening_channels()").fetchall()
        locks = connection.execute("SELECT mode FROM pg_locks WHERE locktype = 'advisory'").fetchall()
        tables = connection.execute("SELECT relname FROM pg_class WHERE relpersistence = 't'").fetchall()
        changed = connection.execute("SELECT name FROM pg_settings WHERE source = 'session'").fetchall()
    assert (listening, locks, tables) == ([], [], [])
    assert {name for (name,) in changed} <= NEEDED.keys(), "what every session has from its beginning"


def test_an_append_locks_rows_and_no_table(ledger: Ledger, database_url: str) -> None:
    """Its locks are observed while it waits for the head row, which another session holds."""
    id = start(ledger)
    with psycopg.connect(database_url) as another_session:
        another_session.execute("SELECT FROM tallystick.head FOR UPDATE")
        waiting = Thread(target=charge, args=(ledger, id, "track-1"))
        waiting.start()
        modes = _table_locks_of_waiting_session(database_url)
        another_session.rollback()
        waiting.join()

    assert modes == {"RowShareLock", "RowExclusiveLock"}
    assert charge(ledger, id, "track-1").is_replay


def _table_locks_of_waiting_session(database_url: str) -> set[str]:
    """Return the modes of the table locks that the session holds which waits for a row."""
    query = (
        "SELECT l.mode FROM pg_stat_activity AS a JOIN pg_locks AS l USING (pid)"
        " JOIN pg_class AS c ON c.oid = l.relation JOIN pg_namespace AS n ON n.oid = c.relnamespace"
        " WHERE a.wait_event_type = 'Lock' AND a.datname = current_database() AND n.nspname = 'tallystick'"
        " AND c.relkind = 'r' AND l.locktype = 'relation'"
    )
    with psycopg.connect(database_url, autocommit=True) as connection:
        rows = wait_until(lambda: connection.execute(query.encode()).fetchall())
    return {mode for (mode,) in rows}


def test_a_locked_head_row_delays_neither_reads_nor_replays_nor_refusals(
    ledger: Ledger, database_url: str, books: Books
) -> None:
    """It delays appends, and nothing else."""
    id = start(ledger)
    first = charge(ledger, id, "track-1")
    with psycopg.connect(database_url) as another_session:
        another_session.execute("SELECT FROM tallystick.head FOR UPDATE")

        assert len(books.events()) == 3
        assert charge(ledger, id, "track-1").charge == first.charge
        refused = ledger.execute(id, StartSubscription("someone else", STARTER), BY)
        assert tally([refused]) == {"subscription_exists": 1}
