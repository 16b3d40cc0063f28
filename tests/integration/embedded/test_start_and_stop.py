"""Starting and stopping the embedded PostgreSQL, and what it then is."""

import os
import signal
import socket
import stat
import subprocess
from pathlib import Path

import psycopg
import pytest
import sqlalchemy

from services.postgres.embedded import (
    BIN_DIR,
    EmbeddedPostgres,
    EmbeddedPostgresError,
    EmbeddedPostgresInUse,
    running_url,
)
from tests.integration.embedded.servers import (
    ask,
    in_a_fork,
    notes,
    owner_process,
    postmaster_pid,
    read_line,
    socket_dir,
    write_note,
)


def test_a_fresh_start_makes_a_durable_utf8_database_with_checksums(server: EmbeddedPostgres) -> None:
    assert ask(server.url, "SHOW server_version").startswith("18.")
    assert ask(server.url, "SELECT current_user || '@' || current_database()") == "postgres@tallystick"
    for name in ("data_checksums", "fsync", "synchronous_commit", "full_page_writes"):
        assert ask(server.url, f"SHOW {name}") == "on"
    assert ask(server.url, "SHOW server_encoding") == "UTF8"
    assert ask(server.url, "SELECT datlocale FROM pg_database WHERE datname = 'tallystick'") == "C.UTF-8"
    assert ask(server.url, "SHOW TimeZone") == "UTC"
    assert server.pid == postmaster_pid(server.data_dir)


def test_the_url_serves_sqlalchemy(server: EmbeddedPostgres) -> None:
    engine = sqlalchemy.create_engine(sqlalchemy.make_url(server.url).set(drivername="postgresql+psycopg"))
    with engine.connect() as connection:
        assert connection.scalar(sqlalchemy.text("SELECT current_database()")) == "tallystick"
    engine.dispose()


def test_nobody_else_can_reach_the_socket(server: EmbeddedPostgres) -> None:
    assert stat.S_IMODE(socket_dir(server.url).stat().st_mode) == 0o700
    assert ask(server.url, "SHOW unix_socket_permissions") == "0700"


def test_a_restart_keeps_the_data(data_dir: Path) -> None:
    server = EmbeddedPostgres(data_dir)
    write_note(server.start(), "first")
    server.stop()
    write_note(server.start(), "second")
    server.stop()
    with EmbeddedPostgres(data_dir) as another:
        assert notes(another.url) == "first second"


def test_the_programs_are_at_hand(server: EmbeddedPostgres) -> None:
    write_note(server.url, "dumped")
    command = [str(BIN_DIR / "pg_dump"), "--data-only", server.url]
    assert "dumped" in subprocess.run(command, check=True, capture_output=True, text=True).stdout


def test_it_listens_on_its_socket_only(server: EmbeddedPostgres) -> None:
    assert ask(server.url, "SHOW listen_addresses") == ""
    with pytest.raises(EmbeddedPostgresError, match="without a TCP port"):
        _ = server.tcp_url


def test_a_tcp_port_asks_for_the_password(data_dir: Path) -> None:
    with socket.create_server(("127.0.0.1", 0)) as free:
        port = free.getsockname()[1]
    with EmbeddedPostgres(data_dir, tcp_port=port, scratch=True) as server:
        assert ask(server.tcp_url, "SELECT host(inet_server_addr())") == "127.0.0.1"
        with pytest.raises(psycopg.OperationalError, match="password authentication failed"):
            psycopg.connect(server.tcp_url, password="guessed")
        with pytest.raises(psycopg.OperationalError, match="no password supplied"):
            psycopg.connect(host="127.0.0.1", port=port, user="postgres", dbname="tallystick")


def test_settings_override_the_defaults(data_dir: Path) -> None:
    with EmbeddedPostgres(data_dir, settings={"jit": "on", "max_connections": "17"}, scratch=True) as server:
        assert ask(server.url, "SHOW jit") == "on"
        assert ask(server.url, "SHOW max_connections") == "17"


def test_a_second_owner_is_refused_and_told_who_is_the_first(data_dir: Path) -> None:
    with owner_process(data_dir) as owner:
        url = read_line(owner)
        with pytest.raises(EmbeddedPostgresInUse, match=str(owner.pid)) as refused:
            EmbeddedPostgres(data_dir).start()
        assert refused.value.pid == owner.pid
        assert running_url(data_dir) == url
        assert ask(url, "SELECT 1") == "1"
        owner.communicate()
    assert running_url(data_dir) is None
    with EmbeddedPostgres(data_dir):
        pass


def test_one_process_is_one_owner(server: EmbeddedPostgres) -> None:
    with pytest.raises(EmbeddedPostgresInUse) as refused:
        EmbeddedPostgres(server.data_dir).start()
    assert refused.value.pid == os.getpid()
    assert ask(server.url, "SELECT 1") == "1"


def test_a_server_that_does_not_start_says_why_and_leaves_nothing_behind(data_dir: Path) -> None:
    with pytest.raises(EmbeddedPostgresError, match=r'invalid value for parameter "shared_buffers": "plenty"'):
        EmbeddedPostgres(data_dir, settings={"shared_buffers": "plenty"}).start()
    with EmbeddedPostgres(data_dir) as server:
        assert ask(server.url, "SELECT 1") == "1"


def test_a_ctrl_c_in_the_terminal_is_not_the_servers(server: EmbeddedPostgres) -> None:
    assert os.getsid(server.pid) == server.pid


def test_an_interrupted_owner_stops_the_server_in_order(data_dir: Path) -> None:
    with owner_process(data_dir) as owner:
        read_line(owner)
        os.killpg(owner.pid, signal.SIGINT)
        owner.wait()
    assert "database system is shut down" in (data_dir / "postgres.log").read_text()


def test_a_fork_of_the_owner_does_not_stop_the_server(data_dir: Path) -> None:
    with EmbeddedPostgres(data_dir) as server:
        in_a_fork(server.stop)
        assert ask(server.url, "SELECT 1") == "1"


def test_scratch_data_goes_at_the_stop_and_nothing_else(data_dir: Path) -> None:
    with EmbeddedPostgres(data_dir, scratch=True):
        pass
    assert not data_dir.exists()

    data_dir.mkdir()
    (data_dir / "mine").touch()
    with EmbeddedPostgres(data_dir, scratch=True):
        pass
    assert [path.name for path in data_dir.iterdir()] == ["mine"]


def test_nothing_is_known_of_a_server_before_its_start(data_dir: Path) -> None:
    server = EmbeddedPostgres(data_dir)
    with pytest.raises(EmbeddedPostgresError, match="not started"):
        _ = server.url
    with pytest.raises(EmbeddedPostgresError, match="not started"):
        _ = server.pid
    server.stop()
    assert running_url(data_dir) is None
    assert not data_dir.exists()
