"""A ledger is a schema: two in one database do not touch each other, and one migrator at a time makes one."""

from concurrent.futures import ThreadPoolExecutor
from functools import partial
from pathlib import Path
from uuid import UUID

import psycopg
import pytest
from alembic.config import Config
from alembic.script import ScriptDirectory

from services import migrations
from services.catalogue import Catalogue
from services.ledger.ledger import Ledger
from services.ledger.submission import Charged
from services.migrations.migrate import migrate
from services.migrations.revisions import missing_revisions
from services.subscription.commands import StartSubscription
from tests.conftest import SCHEMA, SettableClock
from tests.integration.ledger.books import Books, tally
from tests.integration.ledger.lanes import BY, STARTER, charge, concurrently, track

SECOND = "second"


def test_two_ledgers_in_one_database_do_not_touch_each_other(
    ledger: Ledger, database_url: str, catalogue: Catalogue, clock: SettableClock
) -> None:
    """The same subscriptions, generations and keys in both, at once."""
    migrate(database_url, SECOND)
    ids = [UUID(int=number) for number in range(1, 5)]
    with Ledger(database_url, SECOND, catalogue, clock=clock, snapshot_interval=10) as second:
        both = (ledger, second)
        for each in both:
            for id in ids:
                each.execute(id, StartSubscription("account-1", STARTER), BY)
        calls = [
            partial(both[number % 2].execute, ids[number // 2 % 4], track(f"track-{number // 8}"), BY)
            for number in range(8 * 40)
        ]
        answers = concurrently(calls)

    assert tally(answers) == {"Charged": 320}
    assert not any(answer.is_replay for answer in answers if isinstance(answer, Charged))
    first_books, second_books = Books(database_url, SCHEMA), Books(database_url, SECOND)
    for books in (first_books, second_books):
        books.check()
        assert len(books.charged()) == 160
    assert first_books.count("ledger_snapshots") == 0
    assert second_books.count("ledger_snapshots") > 0


def test_a_ledger_does_not_wait_for_locks_of_another(ledger: Ledger, database_url: str, catalogue: Catalogue) -> None:
    migrate(database_url, SECOND)
    with (
        psycopg.connect(database_url) as another_session,
        Ledger(database_url, SECOND, catalogue) as second,
    ):
        another_session.execute("LOCK TABLE tallystick.ledger_events, tallystick.head, tallystick.balance")
        id = UUID(int=1)
        second.execute(id, StartSubscription("account-1", STARTER), BY)
        assert not charge(second, id, "track-1").is_replay


def test_of_many_concurrent_migrators_one_migrates(database_url: str) -> None:
    with ThreadPoolExecutor(6) as migrators:
        applied = list(migrators.map(lambda _: migrate(database_url, "fresh"), range(6)))

    assert len([revisions for revisions in applied if revisions]) == 1
    assert missing_revisions(database_url, "fresh") == []


def test_the_revisions_are_those_of_alembic(database_url: str) -> None:
    config = Config()
    config.set_main_option("script_location", str(Path(migrations.__file__).parent))
    newest_first = [script.revision for script in ScriptDirectory.from_config(config).walk_revisions()]

    assert missing_revisions(database_url, "fresh") == newest_first[::-1]
    assert migrate(database_url, "fresh") == newest_first[::-1]
    with psycopg.connect(database_url) as connection:
        connection.execute("UPDATE fresh.alembic_version SET version_num = %s", newest_first[1:2])
    assert missing_revisions(database_url, "fresh") == newest_first[:1]


def test_many_processes_start_concurrently_on_a_fresh_ledger(database_url: str, catalogue: Catalogue) -> None:
    """They create nothing: parallel creation of functions makes the starts of the stock library fail."""

    def open_and_start(number: int) -> object:
        with Ledger(database_url, SCHEMA, catalogue) as ledger:
            return ledger.execute(UUID(int=number), StartSubscription("account-1", STARTER), BY)

    with ThreadPoolExecutor(12) as processes:
        answers = list(processes.map(open_and_start, range(1, 13)))

    assert tally(answers) == {"Done": 12}
    books = Books(database_url)
    books.check()
    assert books.query("SELECT count(*) FROM pg_proc WHERE proname LIKE 'es_insert%%'") == [(0,)]


@pytest.mark.parametrize("schema", ["a b", 'a"b', "Upper", "a;b", "", "x" * 64])
def test_a_schema_has_a_plain_name(catalogue: Catalogue, schema: str) -> None:
    with pytest.raises(ValueError, match="schema"):
        Ledger("postgresql://nobody@127.0.0.1:1/nowhere", schema, catalogue)
