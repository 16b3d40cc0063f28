"""The points at which the event-sourcing library is extended, some of them underscored: what we rely on still holds."""

from collections.abc import Iterator
from uuid import UUID

import psycopg
import pytest
from eventsourcing.persistence import PersistenceError, StoredEvent

from services.catalogue import Catalogue
from services.ledger import lane
from services.ledger.application import LedgerApplication
from services.ledger.ledger import Ledger
from services.ledger.library import LedgerFactory, SnapshotRecorder
from services.ledger.mapper import EventMapper, UnreadableEvent
from services.ledger.recorder import LedgerRecorder
from services.ledger.records import Recorded
from services.ledger.submission import Failed
from services.subscription.state import fold
from tests.conftest import SCHEMA
from tests.integration.ledger.books import Books
from tests.integration.ledger.lanes import BY, charge, start, track


@pytest.fixture
def application(database_url: str) -> Iterator[LedgerApplication]:
    """The library's application on the test's database."""
    application = LedgerApplication(database_url, SCHEMA)
    yield application
    application.close()


def test_it_is_made_of_our_parts(application: LedgerApplication) -> None:
    assert isinstance(application.factory, LedgerFactory)
    assert type(application.recorder) is LedgerRecorder
    assert type(application.mapper) is EventMapper
    assert application.snapshots is not None
    assert type(application.snapshots.recorder) is SnapshotRecorder
    assert application.repository.cache is None, "a cache without fast-forward is never corrected"


def test_making_it_connects_to_nothing() -> None:
    LedgerApplication("postgresql://nobody@127.0.0.1:1/nowhere", SCHEMA).close()


def test_the_environment_of_the_process_does_not_change_it(
    database_url: str, ledger: Ledger, monkeypatch: pytest.MonkeyPatch
) -> None:
    id = start(ledger)
    for name, value in {
        "PERSISTENCE_MODULE": "eventsourcing.popo",
        "COMPRESSOR_TOPIC": "zlib",
        "POSTGRES_DBNAME": "elsewhere",
        "POSTGRES_SCHEMA": "elsewhere",
        "LEDGER_POSTGRES_SCHEMA": "elsewhere",
        "AGGREGATE_CACHE_MAXSIZE": "10",
        "IS_SNAPSHOTTING_ENABLED": "n",
        "CREATE_TABLE": "y",
        "POSTGRES_ENABLE_DB_FUNCTIONS": "y",
    }.items():
        monkeypatch.setenv(name, value)

    application = LedgerApplication(database_url, SCHEMA)

    state = application.state(id)
    assert state is not None
    assert state.version == 2
    assert application.snapshots is not None
    assert application.repository.cache is None
    application.close()


def test_its_connections_are_like_all_others(database_url: str) -> None:
    """The whole URL is used, instants come in UTC, and no session variable is set."""
    application = LedgerApplication(f"{database_url}&application_name=auditor&options=-ctimezone%3DAsia/Tokyo", SCHEMA)
    with application.recorder.datastore.get_connection() as connection:
        row = connection.execute(
            "SELECT current_setting('application_name') AS name, current_setting('timezone') AS zone,"
            " timestamptz '2026-01-01T00:00Z' AS instant,"
            " ARRAY(SELECT name FROM pg_settings WHERE source = 'session') AS changed"
        ).fetchone()
    application.close()
    assert row is not None
    assert (row["name"], row["zone"], row["changed"]) == ("auditor", "Asia/Tokyo", [])
    assert row["instant"].isoformat() == "2026-01-01T00:00:00+00:00"


def test_there_is_no_way_to_write_past_the_lane(application: LedgerApplication) -> None:
    with pytest.raises(NotImplementedError):
        application.recorder.insert_events([StoredEvent(UUID(int=1), 1, "X", b"")])
    with pytest.raises(NotImplementedError):
        application.save()


def test_appending_is_not_repeated_behind_our_back() -> None:
    """The library's `retry` makes a broken connection after a commit look like a conflict, and multiplies time-outs."""
    ours = {
        LedgerRecorder: ("append", "insert_events", "select_events"),
        SnapshotRecorder: ("insert_events", "select_events"),
    }
    for recorder, methods in ours.items():
        for method in methods:
            assert method in vars(recorder)
            assert not hasattr(getattr(recorder, method), "__wrapped__")


def test_a_lost_server_is_told_at_once(application: LedgerApplication, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(application.recorder.datastore.pool, "conninfo", "postgresql://nobody@127.0.0.1:1/nowhere")
    monkeypatch.setattr(application.recorder.datastore.pool, "timeout", 0.1)
    with pytest.raises(PersistenceError):
        application.head(UUID(int=1))


def test_a_session_that_was_ended_is_not_handed_out(application: LedgerApplication, database_url: str) -> None:
    assert application.head(UUID(int=1)) is None
    with psycopg.connect(database_url, autocommit=True) as administrator:
        administrator.execute(
            "SELECT pg_terminate_backend(pid, 5000) FROM pg_stat_activity"
            " WHERE datname = current_database() AND pid <> pg_backend_pid()"
        )
    assert application.head(UUID(int=1)) is None


def test_its_repository_and_event_store_read_our_streams(
    ledger: Ledger, application: LedgerApplication, books: Books
) -> None:
    id = start(ledger)
    for number in range(5):
        charge(ledger, id, f"track-{number}")

    recorded = [each for each in application.events.get(id, gt=2, lte=5) if isinstance(each, Recorded)]
    assert recorded == books.stream(id)[2:5]
    newest = list(application.events.get(id, desc=True, limit=1))
    assert newest == books.stream(id)[-1:]
    assert application.state(id) == fold(each.event for each in books.stream(id))
    assert application.state(id, 4) == fold(each.event for each in books.stream(id)[:4])
    assert application.state(UUID(int=1)) is None


def test_its_notification_log_is_our_ledger(ledger: Ledger, application: LedgerApplication, books: Books) -> None:
    id = start(ledger)
    for number in range(25):
        charge(ledger, id, f"track-{number}")

    assert application.recorder.max_notification_id() == 27
    section = application.notification_log.select(start=3, limit=10, topics=["GenerationCharged"])
    expected = [(each.position, each.topic, each.state) for each in books.events()[2:12]]
    assert [(each.id, each.topic, each.state) for each in section] == expected


def test_what_it_cannot_read_it_says(ledger: Ledger, application: LedgerApplication, database_url: str) -> None:
    id = start(ledger)
    with psycopg.connect(database_url) as connection:
        connection.execute("SET session_replication_role = replica")
        connection.execute("UPDATE tallystick.ledger_events SET state = '{' WHERE originator_version = 2")

    with pytest.raises(UnreadableEvent, match=f"CreditsGranted {id} version 2"):
        application.state(id)


def test_a_ledger_may_be_opened_before_its_server_is_there(
    catalogue: Catalogue, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(lane, "PATIENCE_SECONDS", 0.05)
    with Ledger("postgresql://nobody@127.0.0.1:1/nowhere", SCHEMA, catalogue) as ledger:
        failed = ledger.execute(UUID(int=1), track("track-1"), BY)

    assert isinstance(failed, Failed)
    assert isinstance(failed.error, psycopg.OperationalError)
    assert not failed.may_have_happened
