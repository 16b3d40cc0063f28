"""What a start finds after a crash, and what it must make of it."""

import os
import shutil
import signal
import subprocess
import sys
from contextlib import suppress
from pathlib import Path

import psutil
import psycopg
import pytest

from services.postgres.embedded import (
    EmbeddedPostgres,
    running_url,
)
from tests.integration.embedded.servers import (
    abandoned_by_killed_owner,
    adopting_grandchildren,
    ask,
    end_processes_below,
    notes,
    owner_process,
    processes_below,
    write_note,
)
from tests.waiting import wait_until


@pytest.fixture
def reports_at_once(monkeypatch: pytest.MonkeyPatch) -> None:
    """Calls `on_wait` as soon as anything is waited for, and not after a second."""
    monkeypatch.setattr("services.postgres.embedded.server._REPORT_SECONDS", 0.0)


def test_the_server_of_a_killed_owner_is_adopted(data_dir: Path) -> None:
    left = abandoned_by_killed_owner(data_dir)
    with EmbeddedPostgres(data_dir) as server:
        assert server.pid == left.pid
        assert notes(server.url) == "kept"
    assert not processes_below(data_dir)


def test_an_adopted_server_gets_our_settings(data_dir: Path) -> None:
    left = abandoned_by_killed_owner(data_dir)
    with EmbeddedPostgres(data_dir, settings={"max_connections": "17"}) as server:
        assert server.pid != left.pid
        assert ask(server.url, "SHOW max_connections") == "17"
        assert notes(server.url) == "kept"


@pytest.mark.usefixtures("reports_at_once")
def test_a_server_that_does_not_answer_yet_is_waited_for(data_dir: Path) -> None:
    left = abandoned_by_killed_owner(data_dir)
    left.suspend()
    told = []

    def resume(message: str) -> None:
        told.append(message)
        left.resume()

    with EmbeddedPostgres(data_dir, on_wait=resume) as server:
        assert server.pid == left.pid
    assert "to start" in told[0]


@pytest.mark.usefixtures("reports_at_once")
def test_a_server_that_is_shutting_down_is_waited_for(data_dir: Path) -> None:
    left = abandoned_by_killed_owner(data_dir)
    left.suspend()
    left.send_signal(signal.SIGINT)
    with EmbeddedPostgres(data_dir, on_wait=lambda _: left.resume()) as server:
        assert server.pid != left.pid
        assert notes(server.url) == "kept"


def test_a_killed_server_recovers(data_dir: Path) -> None:
    server = EmbeddedPostgres(data_dir)
    write_note(server.start(), "kept")
    psutil.Process(server.pid).kill()
    server.stop()
    with EmbeddedPostgres(data_dir) as again:
        assert notes(again.url) == "kept"


@pytest.mark.skipif(sys.platform != "linux", reason="only Linux lets a process adopt its grandchildren")
def test_a_dead_server_that_nobody_reaps_is_dead(data_dir: Path) -> None:
    with adopting_grandchildren():  # as the first process of a container does
        left = abandoned_by_killed_owner(data_dir)
        left.kill()
        with EmbeddedPostgres(data_dir) as again:
            assert left.status() == psutil.STATUS_ZOMBIE
            assert notes(again.url) == "kept"

        left = abandoned_by_killed_owner(data_dir)
        with EmbeddedPostgres(data_dir) as adopted:
            assert adopted.pid == left.pid
        assert left.status() == psutil.STATUS_ZOMBIE


@pytest.mark.usefixtures("reports_at_once")
def test_what_a_killed_server_left_at_work_is_waited_for(data_dir: Path) -> None:
    server = EmbeddedPostgres(data_dir)
    write_note(server.start(), "kept")
    told = []
    connection = psycopg.connect(server.url, autocommit=True)
    worker = psutil.Process(connection.info.backend_pid)
    # Busy, so that it does not notice the end of the postmaster.
    connection.pgconn.send_query(b"SELECT count(*) FROM generate_series(1, 1000000000000)")
    wait_until(lambda: worker.cpu_times().user > 0.1)
    psutil.Process(server.pid).kill()
    server.stop()

    def end(message: str) -> None:
        told.append(message)
        with suppress(psutil.NoSuchProcess):  # told again while the new server starts
            worker.kill()

    with EmbeddedPostgres(data_dir, on_wait=end) as again:
        assert notes(again.url) == "kept"
    assert str(worker.pid) in told[0]
    connection.close()


def test_a_pid_that_is_another_process_by_now_is_no_server(data_dir: Path) -> None:
    server = EmbeddedPostgres(data_dir)
    write_note(server.start(), "kept")
    cluster = data_dir / "cluster"
    psutil.Process(server.pid).kill()
    server.stop()
    wait_until(lambda: not processes_below(data_dir))
    # Of the server's account: a process that it may not signal is no obstacle to PostgreSQL.
    with subprocess.Popen(["sleep", "600"], user=cluster.stat().st_uid) as unrelated:
        for stale in (cluster / "postmaster.pid", cluster / ".s.PGSQL.5432.lock"):
            _, rest = stale.read_text().split("\n", 1)
            stale.write_text(f"{unrelated.pid}\n{rest}")
        assert running_url(data_dir) is None
        with EmbeddedPostgres(data_dir) as again:
            assert notes(again.url) == "kept"
        assert unrelated.poll() is None
        unrelated.kill()


def test_a_pid_that_is_another_server_by_now_is_not_ours(place: Path, data_dir: Path) -> None:
    ours = EmbeddedPostgres(data_dir)
    write_note(ours.start(), "ours")
    psutil.Process(ours.pid).kill()
    ours.stop()
    with EmbeddedPostgres(place / "other") as other:
        write_note(other.url, "other")
        pid_file = data_dir / "cluster" / "postmaster.pid"
        _, rest = pid_file.read_text().split("\n", 1)
        pid_file.write_text(f"{other.pid}\n{rest}")
        assert notes(ours.start()) == "ours"
        ours.stop()
        assert notes(other.url) == "other"


def test_a_half_made_cluster_is_made_anew(data_dir: Path) -> None:
    while not any(data_dir.glob("initdb-*/PG_VERSION")):  # again, if it was made before the kill
        if data_dir.exists():
            end_processes_below(data_dir)
            shutil.rmtree(data_dir)
        with owner_process(data_dir) as owner:
            wait_until(lambda: any(data_dir.glob("*/PG_VERSION")))
            os.killpg(owner.pid, signal.SIGKILL)
    assert not (data_dir / "cluster").exists()
    with EmbeddedPostgres(data_dir) as server:
        assert ask(server.url, "SELECT 1") == "1"
    assert not list(data_dir.glob("initdb-*"))
