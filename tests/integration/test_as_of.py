"""As-of on a real PostgreSQL: it shows for ever what a read at that instant showed."""

from collections.abc import Iterator
from datetime import datetime, timedelta
from random import Random
from uuid import UUID, uuid4

import psycopg
import pytest
from psycopg import Connection

from projections.declaration import MAX_POSITION
from projections.renewal.queries import RenewalQueries
from services.catalogue import Catalogue, Settings
from services.ledger.as_of import AsOf, NotYetStarted, StillToCome, UnknownVersion
from services.ledger.ledger import Ledger
from services.ledger.mapper import read_event
from services.ledger.recorder import Recorder
from services.ledger.records import Metadata
from services.ledger.submission import Charged, Done
from services.postgres.database import connect
from services.postgres.sql import load_queries
from services.subscription.boundaries import as_read
from services.subscription.commands import ChargeGeneration, Command, RecordDue, StartSubscription, UpgradePlan
from services.subscription.state import Subscription, fold
from tests.conftest import SCHEMA, SettableClock

BY = Metadata(key_id="test", request_id="request-1")
MICROSECOND = timedelta(microseconds=1)


@pytest.fixture
def connection(database_url: str) -> Iterator[Connection[tuple[object, ...]]]:
    with connect(database_url, autocommit=True) as opened:
        yield opened


@pytest.fixture
def past(clock: SettableClock) -> AsOf:
    return AsOf(SCHEMA, clock)


class Life:
    """A subscription that the test uses at chosen instants, with the state that a read showed at each."""

    def __init__(self, ledger: Ledger, clock: SettableClock, connection: Connection[tuple[object, ...]]) -> None:
        self.id = uuid4()
        self.states: dict[datetime, Subscription] = {}
        self._ledger, self._clock, self._connection = ledger, clock, connection
        self._reads = RenewalQueries(SCHEMA)
        self.execute(StartSubscription("account-1", "ai-suite-40000-yearly"))

    def execute(self, command: Command) -> None:
        assert isinstance(self._ledger.execute(self.id, command, BY), Charged | Done)
        self.read()

    def read(self) -> None:
        row = self._reads.find(self._connection, self.id)
        assert row is not None
        self.states[self._clock.now] = as_read(row.state, self._clock.now)


@pytest.fixture
def life(ledger: Ledger, clock: SettableClock, connection: Connection[tuple[object, ...]]) -> Life:
    return Life(ledger, clock, connection)


def test_every_instant_shows_what_a_read_showed_then(
    life: Life, clock: SettableClock, past: AsOf, connection: Connection[tuple[object, ...]]
) -> None:
    random = Random(1)
    for number in range(120):
        clock.advance(microseconds=random.choice([0, 1, 2, 1_000_000, 10**6 * 86_400 * random.randint(1, 50)]))
        match random.randint(1, 10):
            case 1 | 2:
                life.read()
            case 3:
                life.execute(RecordDue())
            case _:
                life.execute(ChargeGeneration(f"track-{number}", "lyria-3"))
    life.execute(UpgradePlan("max-pro-240000-monthly"))

    for at, state in life.states.items():
        then = past.at_instant(connection, life.id, at)
        assert then is not None
        assert (then.state, then.at) == (state, at)


def test_a_microsecond_makes_the_difference(
    life: Life, clock: SettableClock, past: AsOf, connection: Connection[tuple[object, ...]]
) -> None:
    clock.advance(seconds=1)
    life.execute(ChargeGeneration("track-1", "lyria-3"))
    life.execute(ChargeGeneration("track-2", "lyria-3"))

    before = past.at_instant(connection, life.id, clock.now - MICROSECOND)
    then = past.at_instant(connection, life.id, clock.now)

    assert before is not None
    assert (before.state.balance_credits, before.last_event.originator_version) == (40_000, 2)
    assert then is not None
    assert (then.state.balance_credits, then.last_event.originator_version) == (39_700, 4)


def test_a_reset_shows_from_its_instant_on_although_it_was_recorded_later(
    life: Life, clock: SettableClock, past: AsOf, connection: Connection[tuple[object, ...]]
) -> None:
    life.execute(ChargeGeneration("track-1", "lyria-3"))
    reset_at = life.states[clock.now].cycle.ends_at
    clock.advance(days=45)
    life.execute(RecordDue())

    before = past.at_instant(connection, life.id, reset_at - MICROSECOND)
    then = past.at_instant(connection, life.id, reset_at)

    assert before is not None
    assert then is not None
    assert (before.state.balance_credits, before.state.cycle.number) == (39_850, 1)
    assert (then.state.balance_credits, then.state.cycle.number) == (40_000, 2)
    assert then.last_event.topic == "GenerationCharged"


def test_every_version_is_the_fold_of_the_events_up_to_it(
    life: Life, clock: SettableClock, past: AsOf, connection: Connection[tuple[object, ...]]
) -> None:
    for number in range(30):
        clock.advance(days=3)
        life.execute(ChargeGeneration(f"voice-{number}", "lyria-3", Settings(count=2)))
    recorded = [read_event(each) for each in Recorder(SCHEMA).events(connection, life.id)]

    for version, last in enumerate(recorded, start=1):
        then = past.at_version(connection, life.id, version)
        assert then is not None
        assert then.state == fold(each.event for each in recorded[:version])
        assert (then.at, then.last_event) == (last.stored.recorded_at, last.stored)


def test_snapshots_change_nothing(
    database_url: str, clock: SettableClock, catalogue: Catalogue, connection: Connection[tuple[object, ...]]
) -> None:
    with Ledger(database_url, SCHEMA, catalogue, clock=clock, snapshot_interval=5) as ledger:
        life = Life(ledger, clock, connection)
        for number in range(23):
            clock.advance(seconds=1)
            life.execute(ChargeGeneration(f"track-{number}", "lyria-3"))
    past = AsOf(SCHEMA, clock)
    states = {at: past.at_instant(connection, life.id, at) for at in life.states}

    assert connection.execute("SELECT count(*) FROM tallystick.ledger_snapshots").fetchone() == (5,)
    assert {at: then.state for at, then in states.items() if then} == life.states


def test_before_the_first_event_there_was_nothing(
    life: Life, clock: SettableClock, past: AsOf, connection: Connection[tuple[object, ...]]
) -> None:
    with pytest.raises(NotYetStarted) as not_yet:
        past.at_instant(connection, life.id, clock.now - MICROSECOND)

    assert not_yet.value.started_at == clock.now


def test_what_is_to_come_is_not_shown(
    life: Life, clock: SettableClock, past: AsOf, connection: Connection[tuple[object, ...]]
) -> None:
    with pytest.raises(StillToCome) as to_come:
        past.at_instant(connection, life.id, clock.now + MICROSECOND)

    assert to_come.value.now == clock.now


def test_an_event_of_a_machine_whose_clock_is_ahead_can_be_shown_at_its_instant(
    life: Life, clock: SettableClock, past: AsOf, connection: Connection[tuple[object, ...]]
) -> None:
    recorded_at = clock.now
    clock.advance(seconds=-1)

    then = past.at_instant(connection, life.id, recorded_at)

    assert then is not None
    assert then.state == life.states[recorded_at]
    with pytest.raises(StillToCome):
        past.at_instant(connection, life.id, recorded_at + MICROSECOND)


@pytest.mark.parametrize("version", [0, -1, 3, MAX_POSITION])
def test_an_unknown_version_names_the_newest(
    life: Life, past: AsOf, connection: Connection[tuple[object, ...]], version: int
) -> None:
    with pytest.raises(UnknownVersion) as unknown:
        past.at_version(connection, life.id, version)

    assert unknown.value.newest == 2


def test_an_unknown_subscription_has_no_past(
    past: AsOf, clock: SettableClock, connection: Connection[tuple[object, ...]]
) -> None:
    assert past.at_instant(connection, uuid4(), clock.now) is None
    assert past.at_version(connection, uuid4(), 1) is None


@pytest.mark.parametrize("events", [1, 2, 3, 1_000, 100_000])
def test_an_instant_is_found_in_as_many_steps_as_the_number_of_events_has_bits(
    connection: Connection[tuple[object, ...]], clock: SettableClock, events: int
) -> None:
    stream_id = _long_stream(connection, events, clock.now)
    query = load_queries("services.ledger", "as_of.sql", schema=SCHEMA)["newest_version_at"]

    for version in {1, 2, events // 3 + 1, events - 1, events} - {0}:
        row = connection.execute(query, {"id": stream_id, "at": clock.now + version * MICROSECOND}).fetchone()
        assert row == (min(version, events),)
    plan = _plan_of(connection, query, {"id": stream_id, "at": clock.now + events // 2 * MICROSECOND})

    assert "Seq Scan on ledger_events" not in plan
    (steps,) = (line for line in plan.splitlines() if "Recursive Union" in line)
    assert int(float(steps.partition("actual rows=")[2].partition(" ")[0])) <= events.bit_length() + 1


def _long_stream(connection: Connection[tuple[object, ...]], events: int, start: datetime) -> UUID:
    """Insert a stream of events, the first a microsecond after `start` and each a microsecond after the one before."""
    stream_id = uuid4()
    connection.execute(
        "INSERT INTO tallystick.ledger_events"
        " (notification_id, originator_version, recorded_at, originator_id, topic, previous_hash, state)"
        " SELECT version, version, %s + version * interval '1 microsecond', %s, 'GenerationCharged',"
        " decode(repeat('00', 32), 'hex'), '' FROM generate_series(1, %s) AS version",
        (start, stream_id, events),
    )
    return stream_id


def _plan_of(connection: Connection[tuple[object, ...]], query: bytes, arguments: dict[str, object]) -> str:
    with psycopg.ClientCursor(connection) as cursor:
        cursor.execute(b"EXPLAIN (ANALYZE, COSTS OFF, TIMING OFF, SUMMARY OFF) " + query, arguments)
        return "\n".join(str(line) for (line,) in cursor)
