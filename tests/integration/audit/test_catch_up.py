"""Catch-up projections apply every event once, in order, also when something fails."""

import threading
from collections.abc import Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from typing import Any, get_args
from uuid import UUID

import psycopg
import pytest
from msgspec import Struct
from psycopg import Connection

from projections.cycles.project import CYCLES
from projections.declaration import CatchUp, EventRows, LedgerEvent
from projections.engine import EVENTS_A_TRANSACTION, Engine
from projections.ledger_events import EventReader
from projections.positions import Lag, Positions
from projections.usage.project import USAGE
from services.dispute.events import DisputeEvent
from services.ledger.ledger import Ledger
from services.ledger.mapper import decode_event
from services.postgres.database import connect
from services.subscription.commands import ChargeGeneration, StartSubscription
from services.subscription.events import Event
from tests.conftest import SCHEMA, SettableClock
from tests.integration.audit.lives import BY, Lives
from tests.waiting import PATIENCE_SECONDS

EXPECTED_USAGE = """
    WITH told AS (
        SELECT originator_id AS id, originator_version AS version, recorded_at, topic,
               convert_from(state, 'UTF8')::jsonb -> 'data' AS data
        FROM tallystick.ledger_events
    ), used AS (
        SELECT id, version, recorded_at, data AS charge, data -> 'cycle_number' AS cycle, 1 AS charges,
               (data ->> 'credits')::bigint AS charged, 0 AS given_back
        FROM told WHERE topic = 'GenerationCharged'
        UNION ALL
        SELECT id, r.version, r.recorded_at, c.data, r.data -> 'cycle_number', 0, 0, (r.data ->> 'credits')::bigint
        FROM told AS r JOIN told AS c USING (id)
        WHERE r.topic = 'ChargeReversed' AND c.topic = 'GenerationCharged'
            AND c.data -> 'generation_id' = r.data -> 'generation_id'
    )
    SELECT id, (recorded_at AT TIME ZONE 'UTC')::date, cycle::bigint, (
            SELECT data -> 'plan' ->> 'plan_id' FROM told
            WHERE id = used.id AND version <= used.version
                AND topic IN ('SubscriptionStarted', 'PlanUpgraded', 'TermRenewed')
            ORDER BY version DESC LIMIT 1
        ), charge ->> 'model', charge ->> 'asset_type', COALESCE(charge ->> 'member', ''),
        sum(charges), sum(charged), sum(given_back)
    FROM used GROUP BY 1, 2, 3, 4, 5, 6, 7 ORDER BY 1, 2, 3, 4, 5, 6, 7
"""
STORED_USAGE = """
    SELECT subscription_id, day, cycle_number, plan_id, model, asset_type, member, charges, credits, reversed_credits
    FROM tallystick.usage ORDER BY 1, 2, 3, 4, 5, 6, 7
"""


class CountedRow(Struct, frozen=True):
    """The position of an event that was applied."""

    position: int


def counted(fails_at: int = 0) -> CatchUp:
    """A projection that records the positions of its events in a table, and fails at one of them."""

    def project(each: LedgerEvent) -> CountedRow:
        if each.position == fails_at:
            raise ValueError("a defect")
        return CountedRow(each.position)

    kinds = frozenset((*get_args(Event), *get_args(DisputeEvent)))
    return EventRows(table="counted", row=CountedRow, events=kinds, project=project)


@pytest.fixture
def connection(database_url: str) -> Iterator[Connection[Any]]:
    with connect(database_url, autocommit=True) as opened:
        opened.execute("""
            CREATE TABLE tallystick.counted
                (place bigserial, subscription_id uuid NOT NULL, position bigint NOT NULL)
        """)
        yield opened


def engine(database_url: str, *projections: CatchUp) -> Engine:
    return Engine(lambda: connect(database_url), SCHEMA, decode_event, projections)


def lag_of(connection: Connection[Any], projection: str) -> Lag:
    return next(lag for lag in Positions(SCHEMA).lags(connection) if lag.projection == projection)


def counted_positions(connection: Connection[Any]) -> list[int]:
    return [position for (position,) in connection.execute("SELECT position FROM tallystick.counted ORDER BY place")]


@pytest.mark.parametrize(
    "projections", [(CYCLES, USAGE), (USAGE, CYCLES), (USAGE,)], ids=["in order", "ahead", "alone"]
)
def test_usage_adds_up_to_the_events(
    ledger: Ledger,
    clock: SettableClock,
    database_url: str,
    connection: Connection[Any],
    projections: tuple[CatchUp, ...],
) -> None:
    """Whether the cycles, where usage looks plans up, have come as far or not."""
    lives = Lives(ledger, clock)
    lives.start(6)
    lives.go_on(250)

    assert engine(database_url, *projections).catch_up(connection, timeout_seconds=PATIENCE_SECONDS)

    stored = connection.execute(STORED_USAGE).fetchall()
    assert stored == connection.execute(EXPECTED_USAGE).fetchall()
    assert sum(row[9] for row in stored) > 0, "some charge was reversed"
    plans = {(row[0], row[3]) for row in stored}
    assert len(plans) > len({id for id, _ in plans}), "some plan changed"
    assert lag_of(connection, "usage").lag_events == 0


def test_two_projectors_beside_eight_writers_apply_every_event_once_in_order(
    ledger: Ledger, database_url: str, connection: Connection[Any]
) -> None:
    stopping = threading.Event()
    projectors = [
        threading.Thread(target=engine(database_url, USAGE, counted()).run, args=(stopping,)) for _ in range(2)
    ]
    for projector in projectors:
        projector.start()
    ids = [UUID(int=number, version=4) for number in range(8)]

    def write(id: UUID) -> None:
        ledger.execute(id, StartSubscription("account", "max-pro-240000-monthly"), BY)
        for number in range(100):
            ledger.execute(id, ChargeGeneration(f"track-{number}", "lyria-3"), BY)

    with ThreadPoolExecutor(len(ids)) as writers:
        list(writers.map(write, ids))
    assert engine(database_url, USAGE, counted()).catch_up(connection, timeout_seconds=PATIENCE_SECONDS)
    stopping.set()
    for projector in projectors:
        projector.join()

    assert counted_positions(connection) == list(range(1, 8 * 102 + 1))
    assert connection.execute("SELECT sum(charges) FROM tallystick.usage").fetchone() == (800,)


def test_a_bad_event_stops_its_projection_by_name_and_nothing_else(
    ledger: Ledger, clock: SettableClock, database_url: str, connection: Connection[Any]
) -> None:
    lives = Lives(ledger, clock)
    lives.start(3)
    lives.go_on(40)
    last = EventReader(SCHEMA, decode_event).last_position(connection)

    assert not engine(database_url, USAGE, counted(fails_at=17)).catch_up(connection, timeout_seconds=PATIENCE_SECONDS)

    stopped = lag_of(connection, "counted")
    assert (stopped.position, stopped.stopped_at_position) == (16, 17)
    assert stopped.stopped_because == "ValueError: a defect"
    assert counted_positions(connection) == list(range(1, 17)), "everything before it is applied, and nothing of it"
    assert engine(database_url, USAGE).catch_up(connection, timeout_seconds=PATIENCE_SECONDS)
    assert lag_of(connection, "usage").position == last
    lives.go_on(10)

    assert engine(database_url, counted()).catch_up(connection, timeout_seconds=PATIENCE_SECONDS), (
        "a corrected program goes on"
    )
    assert counted_positions(connection) == list(range(1, lag_of(connection, "counted").position + 1))
    assert lag_of(connection, "counted").stopped_at_position is None


def test_an_event_that_cannot_be_read_is_named(
    ledger: Ledger, clock: SettableClock, database_url: str, connection: Connection[Any]
) -> None:
    lives = Lives(ledger, clock)
    lives.start(2)
    lives.go_on(30)
    connection.execute("SET session_replication_role = replica")
    (position,) = connection.execute(
        "SELECT max(notification_id) FROM tallystick.ledger_events WHERE topic = 'GenerationCharged'"
    ).fetchone() or (0,)
    spoil = "UPDATE tallystick.ledger_events SET state = 'no JSON' WHERE notification_id IN (2, %s)"
    connection.execute(spoil, [position])

    assert not engine(database_url, USAGE).catch_up(connection, timeout_seconds=PATIENCE_SECONDS)

    stopped = lag_of(connection, "usage")
    assert stopped.stopped_at_position == position, "and not 2, which is no event of usage"
    assert stopped.stopped_because is not None
    assert stopped.stopped_because.startswith(f"BadEvent: event {position} (GenerationCharged, version ")


def test_a_gap_stops_every_projection(
    ledger: Ledger, clock: SettableClock, database_url: str, connection: Connection[Any]
) -> None:
    Lives(ledger, clock).start(2)
    connection.execute("SET session_replication_role = replica")
    connection.execute("DELETE FROM tallystick.ledger_events WHERE notification_id = 2")

    assert not engine(database_url, USAGE).catch_up(connection, timeout_seconds=PATIENCE_SECONDS)

    assert lag_of(connection, "usage").position == 1
    assert "no event 2" in (lag_of(connection, "usage").stopped_because or "")


def test_the_projector_waits_for_an_unreachable_database(database_url: str, connection: Connection[Any]) -> None:
    attempts = 0
    stopping = threading.Event()

    def flaky() -> Connection[Any]:
        nonlocal attempts
        attempts += 1
        if attempts < 3:
            raise psycopg.OperationalError("unreachable")
        return connect(database_url)

    seen: list[Sequence[Lag]] = []

    def on_round(lags: Sequence[Lag]) -> None:
        seen.append(lags)
        stopping.set()

    Engine(flaky, SCHEMA, decode_event, [USAGE], on_round).run(stopping)

    assert attempts == 3
    assert [lag.projection for lag in seen[0]] == ["usage"]


def test_long_histories_are_applied_in_several_transactions(
    ledger: Ledger, database_url: str, connection: Connection[Any]
) -> None:
    id = UUID(int=1, version=4)
    ledger.execute(id, StartSubscription("account", "max-pro-240000-monthly"), BY)
    with ThreadPoolExecutor(32) as clients:
        list(
            clients.map(lambda number: ledger.execute(id, ChargeGeneration(f"t-{number}", "lyria-3"), BY), range(1_200))
        )
    running = engine(database_url, USAGE)
    running.begin(connection)

    assert running.round(connection), "there is more"
    assert lag_of(connection, "usage").position == EVENTS_A_TRANSACTION
    assert not running.round(connection)
    assert lag_of(connection, "usage").lag_events == 0
