"""The lane's queue and thread: every command that is accepted is answered, and nothing grows without bounds."""

from concurrent.futures import ThreadPoolExecutor
from datetime import datetime
from threading import Event
from uuid import UUID, uuid4

import psycopg
import pytest
from msgspec.structs import replace

from services.catalogue import Catalogue
from services.ledger import deciding, lane
from services.ledger.lane import LaneClosed, LaneFull
from services.ledger.ledger import Ledger
from services.ledger.submission import Answer, Charged, Failed, Submission
from services.postgres.embedded import EmbeddedPostgres
from services.subscription.commands import RecordDue, UpgradePlan
from tests.conftest import SCHEMA
from tests.integration.ledger.books import Books, session_count, tally
from tests.integration.ledger.lanes import BY, Deliveries, charge, in_one_batch, start, track
from tests.waiting import wait_until


def test_a_closed_lane_accepts_no_command(ledger: Ledger) -> None:
    ledger.lane.stop()

    with pytest.raises(LaneClosed):
        ledger.execute(UUID(int=1), RecordDue(), BY)


def test_a_lane_accepts_no_more_commands_than_it_can_answer_in_time(
    ledger: Ledger, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(lane, "QUEUE_LIMIT", 10)
    held, go_on, delivered = Event(), Event(), Deliveries()

    def hold(_submission: Submission, _answer: Answer) -> None:
        held.set()
        go_on.wait()

    ledger.lane.submit(Submission(uuid4(), RecordDue(), BY, hold))
    held.wait()
    for _ in range(10):
        ledger.lane.submit(Submission(uuid4(), RecordDue(), BY, delivered))
    with pytest.raises(LaneFull):
        ledger.lane.submit(Submission(uuid4(), RecordDue(), BY, delivered))
    assert ledger.lane.waiting == 10

    go_on.set()
    ledger.lane.stop()
    assert len(delivered.answers) == 10


def test_stopping_answers_queued_commands_and_closes_the_connection(
    ledger: Ledger, books: Books, database_url: str
) -> None:
    id = start(ledger)
    delivered = Deliveries()
    for number in range(100):
        ledger.lane.submit(Submission(id, track(f"track-{number}"), BY, delivered))

    ledger.lane.stop()

    assert tally(delivered.answers) == {"Charged": 100}
    assert len(books.charged()) == 100
    wait_until(lambda: session_count(database_url) == 0)  # the server ends a session a moment after it was closed
    ledger.lane.stop()  # once more does nothing


def test_every_command_accepted_while_the_lane_stops_is_answered(ledger: Ledger) -> None:
    id = start(ledger)
    delivered, stopping = Deliveries(), Event()

    def submit(client: int) -> int:
        for number in range(2_000):
            try:
                ledger.lane.submit(Submission(id, track(f"track-{client}-{number}"), BY, delivered))
            except LaneClosed:
                return number
            if number == 20:
                stopping.set()
        return 2_000

    with ThreadPoolExecutor(8) as clients:
        counts = clients.map(submit, range(8))
        stopping.wait()
        ledger.lane.stop()

    assert len(delivered.answers) == sum(counts)


def test_a_batch_is_cut_at_its_limits_and_answered_in_order(
    ledger: Ledger, books: Books, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(deciding, "EVENT_LIMIT", 5)
    monkeypatch.setattr(lane, "BATCH_LIMIT", 12)
    id = start(ledger)

    answers = in_one_batch(ledger, *[(id, track(f"track-{number}")) for number in range(24)])

    assert [each.charge.generation_id for each in answers if isinstance(each, Charged)] == [
        f"track-{number}" for number in range(24)
    ]
    transactions = books.query("SELECT count(*) FROM {}.ledger_events GROUP BY xmin ORDER BY min(notification_id)")
    assert transactions == [(2,), (5,), (5,), (2,), (5,), (5,), (2,)]
    books.check()


def test_a_batch_may_be_larger_than_what_sockets_take_at_once(ledger: Ledger, books: Books) -> None:
    """It would block, if the client sent without receiving, or received only after it had sent all."""
    ids = [start(ledger) for _ in range(8)]

    answers = in_one_batch(ledger, *[(id, UpgradePlan("max-pro-240000-yearly", "x" * 1_000_000)) for id in ids])

    assert tally(answers) == {"Done": 8}
    books.check()


@pytest.mark.usefixtures("impatient")
def test_a_stream_that_another_session_has_locked_does_not_delay_the_others(
    ledger: Ledger, database_url: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    held, free = start(ledger), start(ledger)
    queries = ledger.lane._context.queries
    monkeypatch.setitem(queries, "begin_batch", queries["begin_batch"].replace(b"'1s'", b"'10ms'"))
    with psycopg.connect(database_url) as another_session:
        another_session.execute("SELECT FROM tallystick.balance WHERE subscription_id = %s FOR UPDATE", [held])

        *failures, charged = in_one_batch(
            ledger, *[(held, track(f"track-{number}")) for number in range(50)], (free, track("track-0"))
        )

    assert tally([charged]) == {"Charged": 1}
    for failed in failures:
        assert isinstance(failed, Failed)
        assert isinstance(failed.error, psycopg.errors.LockNotAvailable)
        assert not failed.may_have_happened
    assert not charge(ledger, held, "track-0").is_replay


@pytest.mark.usefixtures("impatient")
def test_every_command_is_answered_while_another_session_has_locked_the_head_row(
    ledger: Ledger, database_url: str, monkeypatch: pytest.MonkeyPatch, books: Books
) -> None:
    """As a process does that is paused at its commit, until the server ends its transaction."""
    ids = [start(ledger) for _ in range(40)]
    queries = ledger.lane._context.queries
    monkeypatch.setitem(queries, "begin_batch", queries["begin_batch"].replace(b"'1s'", b"'10ms'"))
    with psycopg.connect(database_url) as another_session:
        another_session.execute("SELECT FROM tallystick.head FOR UPDATE")
        answers = in_one_batch(ledger, *[(id, track("track-1")) for id in ids])

    assert tally(answers) == {"Failed": 40}
    assert not any(answer.may_have_happened for answer in answers if isinstance(answer, Failed))
    assert not books.charged()
    assert not any(charge(ledger, id, "track-1").is_replay for id in ids)


def test_a_lane_paused_in_a_transaction_that_the_server_rolled_back_runs_it_again(
    ledger: Ledger, monkeypatch: pytest.MonkeyPatch, books: Books, postgres: EmbeddedPostgres
) -> None:
    id = start(ledger)
    if int(books.query("SHOW server_version_num")[0][0]) < 170_000:
        pytest.skip("before version 17 no transaction is timed as a whole")
    queries = ledger.lane._context.queries
    begin_batch = queries["begin_batch"]
    monkeypatch.setitem(queries, "begin_batch", begin_batch.replace(b"'20s'", b"'50ms'"))
    context = ledger.lane._context
    rolled_back = "terminating connection due to transaction timeout"
    before = postgres.log_file.read_text().count(rolled_back)

    def pause() -> datetime:
        wait_until(lambda: postgres.log_file.read_text().count(rolled_back) > before)
        monkeypatch.setitem(queries, "begin_batch", begin_batch)
        return context.clock()

    monkeypatch.setattr(ledger.lane, "_context", replace(context, clock=pause))

    upgraded = ledger.execute(id, UpgradePlan("max-pro-240000-yearly"), BY)  # not a charge: it is decided under locks

    assert tally([upgraded]) == {"Done": 1}
    books.check()


def test_a_session_ended_by_the_server_is_replaced(ledger: Ledger, database_url: str, books: Books) -> None:
    id = start(ledger)
    for number in range(5):
        with psycopg.connect(database_url, autocommit=True) as administrator:
            administrator.execute(
                "SELECT pg_terminate_backend(pid, 120000) FROM pg_stat_activity"
                " WHERE datname = current_database() AND pid <> pg_backend_pid()"
            )
        assert not charge(ledger, id, f"track-{number}").is_replay
    books.check()


@pytest.mark.usefixtures("impatient")
def test_a_session_that_has_become_read_only_is_replaced(ledger: Ledger, database_url: str) -> None:
    """As after a fail-over, when the old primary still answers. The URL then leads to the new one."""
    id = start(ledger)
    with psycopg.connect(database_url, autocommit=True) as administrator:
        name = administrator.info.dbname
        administrator.execute(f"ALTER DATABASE {name} SET default_transaction_read_only = on".encode())
        administrator.execute(
            "SELECT pg_terminate_backend(pid, 120000) FROM pg_stat_activity"
            " WHERE datname = current_database() AND pid <> pg_backend_pid()"
        )
        administrator.execute("SET default_transaction_read_only = off")
        failed = ledger.execute(id, track("track-1"), BY)
        administrator.execute(f"ALTER DATABASE {name} RESET default_transaction_read_only".encode())

    assert isinstance(failed, Failed)
    assert not failed.may_have_happened
    assert not charge(ledger, id, "track-1").is_replay, "on a new connection, since the old one would stay as it was"


def test_commits_are_durable_whatever_the_database_is_set_to(ledger: Ledger, database_url: str, books: Books) -> None:
    with psycopg.connect(database_url, autocommit=True) as administrator:
        administrator.execute(f"ALTER DATABASE {administrator.info.dbname} SET synchronous_commit = off".encode())
        administrator.execute("CREATE TABLE tallystick.witness (synchronous_commit text)")
        administrator.execute(
            "CREATE FUNCTION tallystick.witness() RETURNS trigger LANGUAGE plpgsql AS $$BEGIN"
            " INSERT INTO tallystick.witness SELECT current_setting('synchronous_commit'); RETURN NULL; END$$"
        )
        administrator.execute(
            "CREATE CONSTRAINT TRIGGER witness AFTER INSERT ON tallystick.ledger_events"
            " DEFERRABLE INITIALLY DEFERRED FOR EACH ROW EXECUTE FUNCTION tallystick.witness()"
        )

    start(ledger)

    assert books.query("SELECT DISTINCT synchronous_commit FROM {}.witness") == [("on",)]


@pytest.mark.usefixtures("impatient")
def test_a_ledger_may_be_opened_before_its_server_answers(catalogue: Catalogue) -> None:
    with Ledger("postgresql://nobody@127.0.0.1:1/nowhere", SCHEMA, catalogue) as ledger:
        failed = ledger.execute(UUID(int=1), track("track-1"), BY)

    assert isinstance(failed, Failed)
    assert isinstance(failed.error, psycopg.OperationalError)
    assert not failed.may_have_happened
