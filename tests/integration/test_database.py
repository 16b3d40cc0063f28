"""Connections: what is easily wrong, and then waits for ever."""

from services.database import connect, send_out

LARGER_THAN_A_SOCKET_TAKES = 32 * 1024 * 1024


def test_a_pipeline_that_ends_in_a_large_statement_is_sent_whole(database_url: str) -> None:
    with connect(database_url) as connection:
        with connection.pipeline():
            connection.execute("CREATE TEMPORARY TABLE sent (what bytea)")
            connection.execute("INSERT INTO sent VALUES (%b)", [bytes(LARGER_THAN_A_SOCKET_TAKES)])
            send_out(connection)
            connection.commit()
        row = connection.execute("SELECT octet_length(what) FROM sent").fetchone()

    assert row == (LARGER_THAN_A_SOCKET_TAKES,)
