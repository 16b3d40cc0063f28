"""Snapshots only save time: with them or without, a state is the fold of its events."""

from collections.abc import Iterator
from datetime import UTC, datetime
from functools import partial
from random import Random
from uuid import UUID

import psycopg
import pytest

from services.catalogue import Catalogue
from services.ledger import snapshots
from services.ledger.ledger import Ledger
from services.ledger.mapper import SNAPSHOT_TOPIC, UnreadableEvent, decode_head, encode_head
from services.ledger.recorder import Recorder
from services.ledger.records import StreamHead, extend
from services.ledger.snapshots import insert_snapshots
from services.postgres.database import connect
from services.subscription.calendar import Period
from services.subscription.commands import (
    CancelSubscription,
    Command,
    ResumeSubscription,
    ScheduleDowngrade,
    UpgradePlan,
)
from services.subscription.events import PlanTerms
from services.subscription.state import ScheduledChange, Subscription, fold
from tests.conftest import SCHEMA, SettableClock
from tests.integration.ledger.books import Books
from tests.integration.ledger.lanes import BY, charge, in_one_batch, start, track

INTERVAL = 3


@pytest.fixture
def ledger(database_url: str, catalogue: Catalogue, clock: SettableClock) -> Iterator[Ledger]:
    """A ledger that takes a snapshot every three events."""
    with Ledger(database_url, SCHEMA, catalogue, clock=clock, snapshot_interval=INTERVAL) as opened:
        yield opened


def put_many(ledger: Ledger, id: UUID, clock: SettableClock, steps: int) -> None:
    """Put many commands of every kind to a subscription, over some months."""
    random = Random(11)
    commands: list[Command] = [
        UpgradePlan("max-pro-240000-monthly"),
        ScheduleDowngrade("ai-starter-16500-monthly"),
        CancelSubscription("term_end"),
        ResumeSubscription(),
    ]
    for number in range(steps):
        command = random.choice([track(f"track-{number}"), *commands])
        ledger.execute(id, command, BY)
        clock.advance(days=random.choice((0, 0, 1, 9)))


def close(ledger: Ledger) -> None:
    """Close a ledger once its snapshot writer has stored what is queued."""
    ledger.__exit__()


def test_at_every_version_a_state_is_the_fold_of_its_events(ledger: Ledger, clock: SettableClock, books: Books) -> None:
    id = start(ledger)
    put_many(ledger, id, clock, 60)
    close(ledger)
    stream = books.stream(id)
    stored = books.query("SELECT originator_version FROM {}.ledger_snapshots ORDER BY originator_version")
    assert len(stored) > len(stream) / INTERVAL / 2, "there are snapshots to load from"

    for version in range(1, len(stream) + 1):
        head = books.head(id, version)
        assert head is not None
        assert head.state == fold(each.event for each in stream[:version])
        assert head == extend(None, stream[:version])
    assert books.head(id) == extend(None, stream)


def test_a_snapshot_is_the_head_at_its_version(ledger: Ledger, clock: SettableClock, books: Books) -> None:
    ids = [start(ledger) for _ in range(3)]
    for id in ids:
        put_many(ledger, id, clock, 30)
    close(ledger)

    rows = books.query("SELECT originator_id, originator_version, topic, state FROM {}.ledger_snapshots")
    for id, version, topic, state in rows:
        assert topic == SNAPSHOT_TOPIC
        assert decode_head(state) == extend(None, books.stream(id)[:version])


@pytest.mark.parametrize(
    "harm",
    [
        "DELETE FROM tallystick.ledger_snapshots",
        "UPDATE tallystick.ledger_snapshots SET state = 'not a head'",
        "UPDATE tallystick.ledger_snapshots SET topic = 'an earlier form', state = '{}'",
    ],
    ids=["missing", "damaged", "of another form"],
)
def test_a_stream_is_read_without_its_snapshots(
    ledger: Ledger, other: Ledger, clock: SettableClock, books: Books, database_url: str, harm: str
) -> None:
    id = start(ledger, "max-pro-240000-yearly")
    for number in range(10):
        charge(ledger, id, f"track-{number}")
    close(ledger)
    with psycopg.connect(database_url) as connection:
        connection.execute(harm.encode())

    assert charge(other, id, "track-10").charge.balance_after == 240_000 - 11 * 150
    books.check()


def test_two_processes_may_store_the_same_snapshot(ledger: Ledger, books: Books, database_url: str) -> None:
    id = start(ledger)
    head = books.head(id)
    assert head is not None
    with connect(database_url) as connection:
        for _ in range(2):
            insert_snapshots(connection, Recorder(SCHEMA).queries, [head])

    assert books.count("ledger_snapshots") == 1


def test_snapshots_that_cannot_be_stored_delay_nothing(
    ledger: Ledger, database_url: str, books: Books, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(snapshots, "QUEUE_LIMIT", 2)
    id = start(ledger)
    with psycopg.connect(database_url, autocommit=True) as connection:
        connection.execute("ALTER TABLE tallystick.ledger_snapshots RENAME TO hidden")
        in_one_batch(ledger, *[(id, track(f"track-{number}")) for number in range(20)])
        for number in range(20, 40):
            charge(ledger, id, f"track-{number}")
        connection.execute("ALTER TABLE tallystick.hidden RENAME TO ledger_snapshots")
    for number in range(40, 60):
        charge(ledger, id, f"track-{number}")
    close(ledger)

    assert books.count("ledger_snapshots") > 0, "the writer has survived"
    books.check()


def test_no_more_batches_of_snapshots_are_queued_than_the_limit(
    database_url: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(snapshots, "QUEUE_LIMIT", 3)
    # It is not started, so that the queue only grows.
    writer = snapshots.SnapshotWriter(partial(connect, database_url), Recorder(SCHEMA).queries)
    head = StreamHead(UUID(int=1), _a_state(), bytes(32), datetime(2026, 1, 1, tzinfo=UTC))
    for _ in range(10):
        writer.put([head])

    assert writer._queue.qsize() == 3


def _a_state() -> Subscription:
    at = partial(datetime, tzinfo=UTC)
    plan = PlanTerms("plan-1", "Plan", 1, 100, "monthly", ("music",))
    period = Period(1, at(2026, 1, 1), at(2026, 2, 1))
    return Subscription(
        account_id="account-1",
        first_plan_id="plan-1",
        plan=plan,
        status="cancelling",
        anchor_at=at(2026, 1, 1),
        started_at=at(2026, 1, 1),
        cycle=period,
        term=period,
        cycle_month=0,
        term_end_month=1,
        version=7,
        granted_credits=100,
        carried_credits=1,
        used_credits=2,
        reversed_credits=3,
        used_since_reset=4,
        reversed_since_reset=5,
        scheduled_change=ScheduledChange("cancel", at(2026, 2, 1), plan),
        test_clock_id="slow",
    )


def test_the_form_of_a_snapshot_has_not_changed_under_its_name() -> None:
    """Where this fails, `SNAPSHOT_TOPIC` needs a new name: snapshots in the old form would be read as the new one."""
    head = StreamHead(UUID(int=1), _a_state(), bytes(32), datetime(2026, 1, 1, tzinfo=UTC))
    plan = (
        b'{"plan_id":"plan-1","name":"Plan","tier":1,"monthly_credits":100,"billing_period":"monthly",'
        b'"asset_types":["music"]}'
    )
    period = b'{"number":1,"starts_at":"2026-01-01T00:00:00Z","ends_at":"2026-02-01T00:00:00Z"}'

    assert SNAPSHOT_TOPIC == "StreamHeadWithHolds"
    assert encode_head(head) == (
        b'{"originator_id":"00000000-0000-0000-0000-000000000001","state":{"account_id":"account-1",'
        b'"first_plan_id":"plan-1","plan":' + plan + b',"status":"cancelling","anchor_at":"2026-01-01T00:00:00Z",'
        b'"started_at":"2026-01-01T00:00:00Z","cycle":' + period + b',"term":' + period + b',"cycle_month":0,'
        b'"term_end_month":1,"version":7,"granted_credits":100,"carried_credits":1,"used_credits":2,'
        b'"reversed_credits":3,"used_since_reset":4,"reversed_since_reset":5,"scheduled_change":{"kind":"cancel",'
        b'"effective_at":"2026-02-01T00:00:00Z","plan":' + plan + b'},"test_clock_id":"slow"},'
        b'"hash":"AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA=","recorded_at":"2026-01-01T00:00:00Z"}'
    )


def test_a_state_behind_an_event_that_cannot_be_read_names_the_event(ledger: Ledger, database_url: str) -> None:
    id = start(ledger)
    close(ledger)
    with psycopg.connect(database_url, autocommit=True) as connection:
        connection.execute("SET session_replication_role = replica")
        connection.execute("UPDATE tallystick.ledger_events SET state = '{' WHERE originator_version = 2")

        with pytest.raises(UnreadableEvent, match=f"CreditsGranted {id} version 2"):
            Recorder(SCHEMA).head(connection, id)
