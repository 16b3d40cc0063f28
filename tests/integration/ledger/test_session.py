"""The lane's session: statements are sent together, results come in order, errors where they belong."""

from collections.abc import Callable, Iterator

import psycopg
import pytest
from psycopg.pq import TransactionStatus
from psycopg.waiting import Wait

from services.postgres.arrays import Bigints, Blobs
from services.postgres.database import connect
from services.postgres.session import Session
from tests.waiting import wait_until

LARGER_THAN_A_SOCKET_TAKES = 32 * 1024 * 1024


@pytest.fixture
def session(database_url: str) -> Iterator[Session]:
    with connect(database_url) as connection:
        yield Session(connection)


def execute(session: Session, *statements: bytes | Callable[[], object]) -> None:
    """Execute statements in one pipeline, with callables called between them."""
    with session.pipeline():
        for each in statements:
            if isinstance(each, bytes):
                session.execute(each)
            else:
                each()


def test_results_come_in_the_order_of_the_statements(session: Session) -> None:
    with session.pipeline():
        session.execute(b"BEGIN")
        results = [session.execute(b"SELECT unnest(%(n)b::bigint[])", {"n": Bigints([n, n + 1])}) for n in range(50)]
        commit = session.execute(b"COMMIT")

    assert [each.rows() for each in results] == [[(n,), (n + 1,)] for n in range(50)]
    assert commit.status() == "COMMIT"


def test_a_result_can_be_read_before_all_statements_are_queued(session: Session) -> None:
    with session.pipeline():
        first = session.execute(b"SELECT 1")
        second = session.execute(b"SELECT %(n)s::bigint + 1", {"n": first.rows()[0][0]})

    assert second.rows() == [(2,)]


def test_a_parameter_may_be_used_several_times_and_be_null(session: Session) -> None:
    with session.pipeline():
        answer = session.execute(b"SELECT %(a)s::text, %(b)s::bigint[], %(a)s::text", {"a": None, "b": [1, None]})

    assert answer.rows() == [(None, [1, None], None)]


def test_the_first_error_is_raised_and_the_statements_after_it_are_not_run(session: Session) -> None:
    with pytest.raises(psycopg.errors.DivisionByZero):
        execute(
            session,
            b"BEGIN",
            b"CREATE TEMPORARY TABLE made (what text)",
            b"SELECT 1 / 0",
            b"SELECT sqrt(-1)",
            b"COMMIT",
        )

    assert session.connection.info.transaction_status == TransactionStatus.INERROR
    session.connection.rollback()
    assert session.connection.execute("SELECT to_regclass('made')").fetchone() == (None,)


def test_a_statement_that_could_not_be_prepared_is_prepared_again(session: Session) -> None:
    reading = b"SELECT what FROM made"
    for _ in range(2):
        with pytest.raises(psycopg.errors.UndefinedTable):
            execute(session, reading)
        session.connection.rollback()
    session.connection.execute("CREATE TEMPORARY TABLE made AS SELECT 'a row' AS what")
    session.connection.commit()

    with session.pipeline():
        answer = session.execute(reading)
    assert answer.rows() == [("a row",)]


def test_a_statement_queued_behind_an_error_is_prepared_by_the_next_pipeline(session: Session) -> None:
    with pytest.raises(psycopg.errors.DivisionByZero):
        execute(session, b"SELECT 1 / 0", b"SELECT 'never reached'")
    session.connection.rollback()

    with session.pipeline():
        answer = session.execute(b"SELECT 'never reached'")
    assert answer.rows() == [("never reached",)]


def test_a_defect_between_statements_leaves_the_connection_usable(session: Session) -> None:
    with pytest.raises(ValueError, match="no number"):
        execute(session, b"SELECT 1", lambda: int("no number"))
    session.connection.rollback()

    with session.pipeline():
        answer = session.execute(b"SELECT 2")
    assert answer.rows() == [(2,)]


def test_a_connection_that_ends_is_an_operational_error(session: Session, database_url: str) -> None:
    def end() -> None:
        session.execute(b"SELECT 1").rows()
        with psycopg.connect(database_url, autocommit=True) as other:
            other.execute("SELECT pg_terminate_backend(%s)", [session.connection.info.backend_pid])

    with pytest.raises(psycopg.OperationalError):
        execute(session, end, b"SELECT 2")

    assert session.connection.closed


def test_a_session_ended_by_the_server_is_noticed_before_it_is_used(session: Session, database_url: str) -> None:
    assert not session.is_closed_by_server

    with psycopg.connect(database_url, autocommit=True) as other:
        other.execute("SELECT pg_terminate_backend(%s, 120000)", [session.connection.info.backend_pid])

    assert session.is_closed_by_server


def test_flushed_statements_are_run_while_nobody_reads_their_results(session: Session, database_url: str) -> None:
    with session.pipeline():
        session.execute(b"BEGIN")
        session.execute(b"CREATE TABLE made (what text)")
        commit = session.execute(b"COMMIT")
        session.flush()
        with psycopg.connect(database_url, autocommit=True) as other:
            wait_until(lambda: other.execute("SELECT to_regclass('made')").fetchone() != (None,))

    assert commit.status() == "COMMIT"


def test_an_interrupted_session_is_closed(session: Session, monkeypatch: pytest.MonkeyPatch) -> None:
    """Left in the middle of its results, it would take a rollback's result for one of them, or wait for ever."""

    def interrupt() -> Iterator[Wait]:
        yield Wait.R
        raise RuntimeError

    monkeypatch.setattr(session, "_receive", interrupt)
    with pytest.raises(RuntimeError):
        execute(session, b"SELECT 1")

    assert session.connection.closed


def test_waiting_for_more_results_than_there_are_is_an_error(session: Session) -> None:
    session.connection.pgconn.enter_pipeline_mode()
    with pytest.raises(psycopg.OperationalError, match="fewer results"):
        session.connection.wait(session._receive())


def test_sending_and_receiving_more_than_sockets_take_does_not_block(session: Session) -> None:
    """It would, if the client sent without receiving, or received only after it had sent all."""
    much = Blobs([bytes(LARGER_THAN_A_SOCKET_TAKES)])
    with session.pipeline():
        results = [session.execute(b"SELECT unnest(%(much)b::bytea[])", {"much": much}) for _ in range(3)]

    assert [len(each.rows()[0][0]) for each in results] == [LARGER_THAN_A_SOCKET_TAKES] * 3
