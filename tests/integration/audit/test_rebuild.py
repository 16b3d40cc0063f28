"""A rebuild makes read models from the events while charges go on, and reports which rows it corrected."""

import threading
from collections.abc import Iterator, Mapping, Sequence
from itertools import count
from typing import Any
from uuid import UUID

import psycopg
import pytest
from psycopg import Connection

from projections.engine import Engine
from projections.ledger_events import BadEvent
from projections.positions import Positions
from projections.rebuilding.compare import RowDifference
from projections.rebuilding.rebuild import Rebuild, RebuildInProgress, RebuildResult, UnknownProjection
from projections.registry import PROJECTIONS
from services.ledger.ledger import Ledger
from services.ledger.mapper import decode_event
from services.ledger.submission import Charged
from services.postgres.database import connect
from services.process.progress import ReportProgress, report_nothing
from services.subscription.commands import ChargeGeneration, StartSubscription
from tests.conftest import SCHEMA, SettableClock
from tests.integration.audit.lives import BY, Lives
from tests.waiting import PATIENCE_SECONDS

ALL = tuple(each.table for each in PROJECTIONS)

Tables = Mapping[str, Sequence[Any]]


@pytest.fixture
def connection(database_url: str) -> Iterator[Connection[Any]]:
    with connect(database_url, autocommit=True) as opened:
        yield opened


@pytest.fixture
def lives(ledger: Ledger, clock: SettableClock, database_url: str, connection: Connection[Any]) -> Lives:
    """A ledger with every type of event, its usage caught up."""
    lives = Lives(ledger, clock)
    lives.start(8)
    lives.go_on(300)
    assert projector(database_url).catch_up(connection, timeout_seconds=PATIENCE_SECONDS)
    return lives


def projector(database_url: str) -> Engine:
    return Engine(lambda: connect(database_url), SCHEMA, decode_event)


def rebuild(
    database_url: str,
    names: Sequence[str] = ALL,
    report: ReportProgress = report_nothing,
    processes: int | None = None,
) -> RebuildResult:
    return Rebuild(database_url, SCHEMA, names, decode_event, report, processes).run()


def rows(connection: Connection[Any], tables: Sequence[str] = ALL) -> Tables:
    """The rows of the read models, without the states of renewal, which may be written later than by a rebuild."""
    columns = {"renewal": "subscription_id, account_id, status, next_due_at, test_clock_id"}
    return {
        table: sorted(connection.execute(f"SELECT {columns.get(table, '*')} FROM tallystick.{table}"), key=repr)
        for table in tables
    }


def definitions(connection: Connection[Any]) -> Sequence[Any]:
    """The definitions of all tables in the catalog of PostgreSQL."""
    return connection.execute("""
        SELECT c.relname, c.reloptions, c.relacl,
               (SELECT array_agg(row(attname, atttypid, attnotnull, attstorage)::text ORDER BY attnum)
                FROM pg_attribute WHERE attrelid = c.oid AND attnum > 0),
               (SELECT array_agg(row(conname, pg_get_constraintdef(oid))::text ORDER BY conname)
                FROM pg_constraint WHERE conrelid = c.oid),
               (SELECT array_agg(pg_get_indexdef(indexrelid) ORDER BY indexrelid::regclass::text)
                FROM pg_index WHERE indrelid = c.oid)
        FROM pg_class AS c WHERE relnamespace = 'tallystick'::regnamespace AND relkind = 'r' ORDER BY relname
    """).fetchall()


@pytest.mark.parametrize("processes", [1, 2])
def test_correct_tables_stay_as_they_are(
    lives: Lives, database_url: str, connection: Connection[Any], processes: int
) -> None:
    before, defined = rows(connection), definitions(connection)

    rebuilt = rebuild(database_url, processes=processes)

    assert rebuilt.differences == ()
    assert rebuilt.uncompared == ()
    assert rows(connection) == before
    assert definitions(connection) == defined
    assert lives.subscription_ids


def test_wrong_rows_are_corrected_and_reported(lives: Lives, database_url: str, connection: Connection[Any]) -> None:
    before = rows(connection)
    first, second, *_ = sorted(lives.subscription_ids)
    connection.execute(
        "UPDATE tallystick.balance SET used_credits = used_credits - 1 WHERE subscription_id = %s", [first]
    )
    connection.execute("DELETE FROM tallystick.renewal WHERE subscription_id = %s", [second])
    connection.execute("INSERT INTO tallystick.charges VALUES (%s, 'never', 1)", [first])
    connection.execute("UPDATE tallystick.usage SET credits = 0 WHERE subscription_id = %s", [first])

    differences = rebuild(database_url).differences

    assert differences[:3] == (
        RowDifference("balance", "changed", 1, str(first)),
        RowDifference("renewal", "missing", 1, str(second)),
        RowDifference("charges", "surplus", 1, f"{first} never"),
    )
    assert [(each.table, each.kind) for each in differences[3:]] == [("usage", "changed")]
    assert rows(connection) == before
    assert rebuild(database_url).differences == ()


@pytest.mark.parametrize("name", ALL)
def test_one_projection_alone_is_rebuilt(
    lives: Lives, database_url: str, connection: Connection[Any], name: str
) -> None:
    before, defined = rows(connection), definitions(connection)
    connection.execute(f"TRUNCATE tallystick.{name}")

    (difference,) = rebuild(database_url, [name]).differences

    assert (difference.table, difference.kind, difference.rows) == (name, "missing", len(before[name]))
    assert rows(connection) == before
    assert definitions(connection) == defined
    assert lives.subscription_ids


def test_a_different_state_is_reported(lives: Lives, database_url: str, connection: Connection[Any]) -> None:
    id = lives.subscription_ids[0]
    other = "convert_to(replace(convert_from(state, 'UTF8'), 'account-1', 'account-9'), 'UTF8')"
    connection.execute(f"UPDATE tallystick.renewal SET state = {other} WHERE subscription_id = %s", [id])

    assert rebuild(database_url, ["renewal"]).differences == (RowDifference("renewal", "changed", 1, str(id)),)
    assert rebuild(database_url, ["renewal"]).differences == ()


def test_charges_go_on_through_swaps_on_the_same_connections(
    ledger: Ledger, database_url: str, connection: Connection[Any]
) -> None:
    ids = [UUID(int=number, version=4) for number in range(6)]
    for id in ids:
        ledger.execute(id, StartSubscription("account", "max-pro-240000-monthly"), BY)
    of_the_lane = backends(connection)
    stopping = threading.Event()
    answers: dict[UUID, list[object]] = {id: [] for id in ids}
    running = projector(database_url)

    def charge(id: UUID) -> None:
        for number in count():
            if stopping.is_set():
                return
            answers[id].append(ledger.execute(id, ChargeGeneration(f"track-{number}", "lyria-3"), BY))

    def read_and_compare() -> None:
        """A read after a charge's answer sees it, before and after a swap, by the same prepared statement."""
        with connect(database_url, autocommit=True) as reading:
            while not stopping.is_set():
                charged = answers[ids[0]][-1:]
                (used,) = reading.execute(
                    "SELECT used_credits FROM tallystick.balance WHERE subscription_id = %s", [ids[0]], prepare=True
                ).fetchone() or (0,)
                for answer in charged:
                    assert isinstance(answer, Charged)
                    assert used >= 240_000 - answer.charge.balance_after

    writers = [threading.Thread(target=charge, args=(id,)) for id in ids]
    others = [threading.Thread(target=read_and_compare), threading.Thread(target=running.run, args=(stopping,))]
    failed: list[object] = []
    threading.excepthook, hook_before = lambda arguments: failed.append(arguments), threading.excepthook
    try:
        for thread in writers + others:
            thread.start()
        for _ in range(4):
            assert rebuild(database_url).differences == ()
        charged_before = [len(done) for done in answers.values()]
        while all(len(done) < before + 20 for done, before in zip(answers.values(), charged_before, strict=True)):
            stopping.wait(0.01)
        assert of_the_lane <= backends(connection), "the writer lane never lost its connection"
    finally:
        stopping.set()
        for thread in writers + others:
            thread.join()
        threading.excepthook = hook_before

    assert not failed
    assert all(isinstance(answer, Charged) for done in answers.values() for answer in done)
    assert running.catch_up(connection, timeout_seconds=PATIENCE_SECONDS)
    assert rebuild(database_url).differences == ()
    total = connection.execute("SELECT sum(charges) FROM tallystick.usage").fetchone()
    assert total == (sum(len(done) for done in answers.values()),)


def backends(connection: Connection[Any]) -> set[int]:
    """The processes that serve the other connections to this database."""
    others = "SELECT pid FROM pg_stat_activity WHERE datname = current_database() AND pid <> pg_backend_pid()"
    return {pid for (pid,) in connection.execute(others)}


def test_a_projection_that_was_stopped_goes_on_after_its_rebuild(
    lives: Lives, ledger: Ledger, database_url: str, connection: Connection[Any]
) -> None:
    before = rows(connection)
    Positions(SCHEMA).record_stop(connection, "usage", 1, "a defect")
    connection.execute("UPDATE tallystick.projection_positions SET position = 0 WHERE projection = 'usage'")

    rebuild(database_url, ["usage"])

    assert rows(connection) == before
    lag = next(lag for lag in Positions(SCHEMA).lags(connection) if lag.projection == "usage")
    assert (lag.lag_events, lag.stopped_at_position) == (0, None)
    lives.go_on(20)
    assert projector(database_url).catch_up(connection, timeout_seconds=PATIENCE_SECONDS)
    assert rebuild(database_url, ["usage"]).differences == ()


def test_a_long_reader_makes_the_swap_wait_and_no_writer_fail(
    lives: Lives, ledger: Ledger, database_url: str, connection: Connection[Any]
) -> None:
    waiting, done = threading.Event(), threading.Event()

    def note(stage: str, _done: int, _total: int) -> None:
        if "waiting" in stage:
            waiting.set()

    def run() -> None:
        rebuild(database_url, report=note)
        done.set()

    with connect(database_url) as reader:
        reader.execute("SELECT count(*) FROM tallystick.charges")
        rebuilding = threading.Thread(target=run)
        rebuilding.start()
        assert waiting.wait(PATIENCE_SECONDS)
        lives.go_on(20)
        assert not done.is_set()
    rebuilding.join()

    assert done.is_set()
    assert rebuild(database_url, ("balance", "renewal", "charges")).differences == ()
    assert ledger.lane.waiting == 0


def test_a_rebuild_that_fails_leaves_everything_as_it_was(
    lives: Lives, database_url: str, connection: Connection[Any]
) -> None:
    before, defined = rows(connection), definitions(connection)
    connection.execute("SET session_replication_role = replica")
    connection.execute("UPDATE tallystick.ledger_events SET state = 'no JSON' WHERE notification_id = 12")

    with pytest.raises(BadEvent, match="event 12 "):
        rebuild(database_url)

    assert rows(connection) == before
    assert definitions(connection) == defined
    assert lives.subscription_ids


def test_a_concurrent_rebuild_is_refused(lives: Lives, database_url: str) -> None:
    refused: list[bool] = []

    def try_another(_stage: str, _done: int, _total: int) -> None:
        if not refused:
            with pytest.raises(RebuildInProgress):
                rebuild(database_url)
            refused.append(True)

    rebuild(database_url, report=try_another)

    assert refused
    assert lives.subscription_ids


def test_an_unknown_projection_is_refused(database_url: str) -> None:
    known = "balance, renewal, charges, disputed_charges, cycles, usage, disputes"
    with pytest.raises(UnknownProjection, match=f"weather; there are {known}"):
        rebuild(database_url, ["weather"])


def test_an_empty_ledger_is_rebuilt(database_url: str, connection: Connection[Any]) -> None:
    assert rebuild(database_url).events == 0
    assert rows(connection) == {name: [] for name in ALL}
    with pytest.raises(psycopg.errors.UndefinedTable):
        connection.execute("SELECT * FROM tallystick.balance_rebuilt")
