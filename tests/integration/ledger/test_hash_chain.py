"""The hash chain over stored events, and the table that refuses changes to them."""

from collections.abc import Iterator
from random import Random
from uuid import UUID, uuid4

import psycopg
import pytest

from services.ledger.ledger import Ledger
from services.ledger.records import ChainedEvent
from tests.conftest import SettableClock
from tests.integration.audit.lives import Lives
from tests.integration.ledger.books import Books, check_chain, streams
from tests.integration.ledger.lanes import charge, start

TABLE = "tallystick.ledger_events"


@pytest.fixture
def damage(database_url: str) -> Iterator[psycopg.Connection[tuple[object, ...]]]:
    """A superuser's connection on which no trigger fires, in a transaction that is rolled back."""
    with psycopg.connect(database_url) as connection:
        connection.execute("SET session_replication_role = replica")
        yield connection
        connection.rollback()


@pytest.fixture
def lives(ledger: Ledger, clock: SettableClock) -> Lives:
    """Subscriptions with a random history."""
    lives = Lives(ledger, clock, seed=5)
    lives.start(4)
    lives.go_on(200)
    return lives


@pytest.mark.usefixtures("lives")
def test_the_chain_holds_over_a_random_history(books: Books) -> None:
    events = books.events()
    assert len(events) > 100
    assert _holds(events)


def _holds(events: list[ChainedEvent]) -> bool:
    """Whether the chain of every stream holds."""
    try:
        for stream in streams(events):
            check_chain(stream)
    except (AssertionError, ValueError):
        return False
    return True


ALTERATIONS: dict[str, tuple[str, object]] = {
    "another stream": ("originator_id = %s", uuid4()),
    "another version": ("originator_version = originator_version + %s", 100_000),
    "another instant": ("recorded_at = recorded_at + %s * interval '1 microsecond'", 1),
    "another topic": ("topic = topic || %s", "d"),
    "another state": ("state = set_byte(state, octet_length(state) / %s, 88)", 2),
    "a longer state": ("state = state || %s::bytea", b" "),
    "another previous hash": ("previous_hash = sha256(%s::bytea)", b""),
}


@pytest.mark.usefixtures("lives")
def test_an_altered_column_breaks_the_chain(
    books: Books, damage: psycopg.Connection[tuple[object, ...]], subtests: pytest.Subtests
) -> None:
    """Of every event but the last of its stream, whose hash no later event has: a checkpoint covers that one."""
    random = Random(1)
    followed = [event for stream in streams(books.events()) for event in stream[:-1]]
    for name, (change, value) in ALTERATIONS.items():
        for event in random.sample(followed, 5):
            with subtests.test(name, position=event.position):
                damage.execute(
                    f"UPDATE {TABLE} SET {change} WHERE notification_id = %s".encode(), [value, event.position]
                )
                altered = books.events_seen_by(damage)
                damage.rollback()
                damage.execute("SET session_replication_role = replica")
                assert not _holds(altered)


@pytest.mark.usefixtures("lives")
def test_a_missing_event_breaks_the_chain(books: Books, damage: psycopg.Connection[tuple[object, ...]]) -> None:
    (first, *_) = streams(books.events())
    damage.execute(f"DELETE FROM {TABLE} WHERE notification_id = %s".encode(), [first[2].position])

    assert not _holds(books.events_seen_by(damage))


CHANGES = (
    f"UPDATE {TABLE} SET state = state",
    f"UPDATE {TABLE} SET recorded_at = now() WHERE originator_version = 1",
    f"UPDATE {TABLE} SET topic = 'X' WHERE false",
    f"DELETE FROM {TABLE}",
    f"DELETE FROM {TABLE} WHERE notification_id = 1",
    f"TRUNCATE {TABLE}",
    f"INSERT INTO {TABLE} SELECT * FROM {TABLE} ON CONFLICT (notification_id) DO UPDATE SET topic = 'X'",
    f"MERGE INTO {TABLE} AS e USING (SELECT 1) AS one ON e.notification_id = 1 WHEN MATCHED THEN DELETE",
)


def test_the_table_refuses_every_change(
    ledger: Ledger, database_url: str, books: Books, subtests: pytest.Subtests
) -> None:
    charge(ledger, start(ledger), "track-1")
    before = books.events()

    for statement in CHANGES:
        refused = pytest.raises(psycopg.errors.IntegrityConstraintViolation)
        with subtests.test(statement), psycopg.connect(database_url) as connection, refused:
            connection.execute(statement.encode())

    assert books.events() == before


def test_the_table_refuses_duplicate_events_and_incomplete_hashes(
    ledger: Ledger, database_url: str, books: Books
) -> None:
    id = start(ledger)
    insert = f"INSERT INTO {TABLE} VALUES (%s, %s, now(), %s, 'X', %s, '')".encode()
    with psycopg.connect(database_url, autocommit=True) as connection:
        for position, version, stream, previous_hash, refusal in (
            (3, 2, id, bytes(32), psycopg.errors.UniqueViolation),
            (2, 3, id, bytes(32), psycopg.errors.UniqueViolation),
            (3, 3, id, bytes(31), psycopg.errors.CheckViolation),
            (3, 0, UUID(int=1), bytes(32), psycopg.errors.CheckViolation),
        ):
            with pytest.raises(refusal):
                connection.execute(insert, [position, version, stream, previous_hash])
    assert len(books.events()) == 2
