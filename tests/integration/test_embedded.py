"""The embedded PostgreSQL: what a start finds, and what it must make of it."""

import ctypes
import os
import shutil
import signal
import socket
import stat
import subprocess
import sys
import tempfile
import time
import traceback
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from functools import partial
from pathlib import Path
from urllib.parse import parse_qs, urlsplit

import psutil
import psycopg
import pytest
import sqlalchemy
from psycopg.rows import scalar_row

from services.embedded import (
    BIN_DIR,
    EmbeddedPostgres,
    EmbeddedPostgresError,
    EmbeddedPostgresInUse,
    running_url,
)
from services.embedded.account import ServerAccount

CHECKOUT = Path(__file__).parents[2]
NOBODY = 65534

OWNER = """
import sys
from pathlib import Path
from services.embedded import EmbeddedPostgres
with EmbeddedPostgres(Path(sys.argv[1])) as server:
    print(server.url, flush=True)
    sys.stdin.read()
"""

as_root = pytest.mark.skipif(os.geteuid() != 0, reason="only root lends PostgreSQL another account")


@pytest.fixture
def place() -> Iterator[Path]:
    """A directory, in which no server is left running when the test ends."""
    path = Path(tempfile.mkdtemp(prefix="embedded-"))
    yield path
    for process in _processes_below(path):
        process.kill()
    _wait_until(lambda: not _processes_below(path))
    shutil.rmtree(path)


@pytest.fixture
def data_dir(place: Path) -> Path:
    return place / "data"


def _processes_below(path: Path) -> list[psutil.Process]:
    found = []
    for process in psutil.process_iter(["cwd", "status"]):
        running = process.info["status"] != psutil.STATUS_ZOMBIE
        if running and (process.info["cwd"] or "").startswith(f"{path}/"):
            found.append(process)
    return found


def _wait_until(done: Callable[[], bool]) -> None:
    while not done():
        time.sleep(0.005)


@contextmanager
def owner_process(data_dir: Path) -> Iterator[subprocess.Popen[str]]:
    """Another process that runs the server; it stops it when its standard input ends."""
    with subprocess.Popen(
        [sys.executable, "-c", OWNER, str(data_dir)],
        cwd=CHECKOUT,
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
        start_new_session=True,
    ) as owner:
        try:
            yield owner
        finally:
            owner.kill()


def read_line(owner: subprocess.Popen[str]) -> str:
    assert owner.stdout is not None
    return owner.stdout.readline().strip()


def abandoned_by_killed_owner(data_dir: Path) -> psutil.Process:
    """A server that runs, holds the note "kept", and whose owner was killed with kill -9."""
    with owner_process(data_dir) as owner:
        url = read_line(owner)
        write_note(url, "kept")
        return psutil.Process(postmaster_pid(data_dir))


@contextmanager
def adopting_grandchildren() -> Iterator[None]:
    """Processes whose parent dies become ours, and stay zombies when they end."""
    set_child_subreaper = partial(ctypes.CDLL(None).prctl, 36)
    assert set_child_subreaper(1) == 0
    try:
        yield
    finally:
        set_child_subreaper(0)
        with suppress(ChildProcessError):
            while True:
                os.waitpid(-1, 0)


def in_a_fork(run: Callable[[], None]) -> None:
    """Run it in a fork of this process, where nothing needs to be readable that is loaded already."""
    if (fork := os.fork()) == 0:
        try:
            run()
            os._exit(0)
        finally:
            traceback.print_exc()
            os._exit(1)
    _, status = os.waitpid(fork, 0)
    assert status == 0, "see the captured output"


def postmaster_pid(data_dir: Path) -> int:
    return int((data_dir / "cluster" / "postmaster.pid").read_text().splitlines()[0])


def ask(url: str, query: str) -> str:
    """The one value that the query answers, as text."""
    with psycopg.connect(url, autocommit=True, row_factory=scalar_row) as connection:
        return str(connection.execute(query.encode()).fetchone())


def write_note(url: str, text: str) -> None:
    with psycopg.connect(url) as connection:
        connection.execute("CREATE TABLE IF NOT EXISTS note (text text)")
        connection.execute("INSERT INTO note VALUES (%s)", [text])


def notes(url: str) -> str:
    return ask(url, "SELECT string_agg(text, ' ') FROM note")


def socket_dir(url: str) -> Path:
    return Path(parse_qs(urlsplit(url).query)["host"][0])


def test_a_fresh_start_makes_a_durable_utf8_database_with_checksums(data_dir: Path) -> None:
    with EmbeddedPostgres(data_dir) as server:
        assert ask(server.url, "SHOW server_version").startswith("18.")
        assert ask(server.url, "SELECT current_user || '@' || current_database()") == "postgres@tallystick"
        for name in ("data_checksums", "fsync", "synchronous_commit", "full_page_writes"):
            assert ask(server.url, f"SHOW {name}") == "on"
        assert ask(server.url, "SHOW server_encoding") == "UTF8"
        assert ask(server.url, "SELECT datlocale FROM pg_database WHERE datname = 'tallystick'") == "C.UTF-8"
        assert ask(server.url, "SHOW TimeZone") == "UTC"
        assert server.pid == postmaster_pid(data_dir)


def test_the_url_serves_sqlalchemy(data_dir: Path) -> None:
    with EmbeddedPostgres(data_dir, scratch=True) as server:
        engine = sqlalchemy.create_engine(sqlalchemy.make_url(server.url).set(drivername="postgresql+psycopg"))
        with engine.connect() as connection:
            assert connection.scalar(sqlalchemy.text("SELECT current_database()")) == "tallystick"
        engine.dispose()


def test_a_restart_keeps_the_data(data_dir: Path) -> None:
    server = EmbeddedPostgres(data_dir)
    write_note(server.start(), "first")
    server.stop()
    write_note(server.start(), "second")
    server.stop()
    with EmbeddedPostgres(data_dir) as another:
        assert notes(another.url) == "first second"


def test_the_programs_are_at_hand(data_dir: Path) -> None:
    with EmbeddedPostgres(data_dir, scratch=True) as server:
        write_note(server.url, "dumped")
        command = [str(server.bin_dir / "pg_dump"), "--data-only", server.url]
        assert "dumped" in subprocess.run(command, check=True, capture_output=True, text=True).stdout


def test_it_listens_on_its_socket_only(data_dir: Path) -> None:
    with EmbeddedPostgres(data_dir, scratch=True) as server:
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


def test_nobody_else_can_reach_the_socket(data_dir: Path) -> None:
    with EmbeddedPostgres(data_dir, scratch=True) as server:
        assert stat.S_IMODE(socket_dir(server.url).stat().st_mode) == 0o700
        assert ask(server.url, "SHOW unix_socket_permissions") == "0700"


@pytest.mark.parametrize("name", ["deep/" * 40, "with, comma", "with space"])
def test_any_data_directory_will_do(place: Path, name: str) -> None:
    data_dir = place / name
    with EmbeddedPostgres(data_dir) as server:
        write_note(server.url, "kept")
        found_in = socket_dir(server.url)
        assert stat.S_IMODE(found_in.stat().st_mode) == 0o700
    assert not list(found_in.glob(".s.*"))
    assert found_in == data_dir / "cluster" or not found_in.exists()
    with EmbeddedPostgres(data_dir) as again:
        assert notes(again.url) == "kept"


def test_a_short_socket_directory_of_someone_else_is_refused(place: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    server = EmbeddedPostgres(place / ("deep/" * 40))
    monkeypatch.setattr(tempfile, "tempdir", str(place))
    server.start()
    found_in = socket_dir(server.url)
    assert found_in.parent == place
    server.stop()

    found_in.mkdir()
    found_in.chmod(0o777)
    with pytest.raises(EmbeddedPostgresError, match="open to others"):
        server.start()


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


def test_one_process_is_one_owner(data_dir: Path) -> None:
    with EmbeddedPostgres(data_dir) as server:
        with pytest.raises(EmbeddedPostgresInUse) as refused:
            EmbeddedPostgres(data_dir).start()
        assert refused.value.pid == os.getpid()
        assert ask(server.url, "SELECT 1") == "1"


def test_the_server_of_a_killed_owner_is_adopted(data_dir: Path) -> None:
    left = abandoned_by_killed_owner(data_dir)
    with EmbeddedPostgres(data_dir) as server:
        assert server.pid == left.pid
        assert notes(server.url) == "kept"
    assert not _processes_below(data_dir)


def test_an_adopted_server_gets_our_settings(data_dir: Path) -> None:
    left = abandoned_by_killed_owner(data_dir)
    with EmbeddedPostgres(data_dir, settings={"max_connections": "17"}) as server:
        assert server.pid != left.pid
        assert ask(server.url, "SHOW max_connections") == "17"
        assert notes(server.url) == "kept"


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


def test_what_a_killed_server_left_at_work_is_waited_for(data_dir: Path) -> None:
    server = EmbeddedPostgres(data_dir)
    write_note(server.start(), "kept")
    told = []
    connection = psycopg.connect(server.url, autocommit=True)
    worker = psutil.Process(connection.info.backend_pid)
    # Busy, so that it does not notice the end of the postmaster.
    connection.pgconn.send_query(b"SELECT count(*) FROM generate_series(1, 1000000000000)")
    _wait_until(lambda: worker.cpu_times().user > 0.1)
    psutil.Process(server.pid).kill()
    server.stop()

    def end(message: str) -> None:
        told.append(message)
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
    _wait_until(lambda: not _processes_below(data_dir))
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
    with owner_process(data_dir) as owner:
        _wait_until(lambda: any(data_dir.glob("initdb-*/PG_VERSION")))
        os.killpg(owner.pid, signal.SIGKILL)
    assert not (data_dir / "cluster").exists()
    with EmbeddedPostgres(data_dir) as server:
        assert ask(server.url, "SELECT 1") == "1"
    assert not list(data_dir.glob("initdb-*"))


def test_a_server_that_does_not_start_says_why_and_leaves_nothing_behind(data_dir: Path) -> None:
    with pytest.raises(EmbeddedPostgresError, match=r'invalid value for parameter "shared_buffers": "plenty"'):
        EmbeddedPostgres(data_dir, settings={"shared_buffers": "plenty"}).start()
    with EmbeddedPostgres(data_dir) as server:
        assert ask(server.url, "SELECT 1") == "1"


def test_a_ctrl_c_in_the_terminal_is_not_the_servers(data_dir: Path) -> None:
    with EmbeddedPostgres(data_dir, scratch=True) as server:
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


@as_root
def test_root_lends_the_server_another_account_and_a_way_to_its_data(place: Path) -> None:
    data_dir = place / "closed" / "data"
    data_dir.parent.mkdir(mode=0o700)
    with EmbeddedPostgres(data_dir, scratch=True) as server:
        assert psutil.Process(server.pid).uids().effective == (data_dir / "cluster").stat().st_uid != 0
        assert stat.S_IMODE(data_dir.parent.stat().st_mode) == 0o711 & ~0o010


@as_root
def test_root_starts_what_root_restored(data_dir: Path) -> None:
    with EmbeddedPostgres(data_dir) as server:
        write_note(server.url, "kept")
    for path in (data_dir / "cluster", *(data_dir / "cluster").rglob("*")):
        os.chown(path, 0, 0)
    with EmbeddedPostgres(data_dir) as server:
        assert notes(server.url) == "kept"


@as_root
def test_an_ordinary_user_runs_it_as_itself(place: Path, data_dir: Path) -> None:
    os.chown(place, NOBODY, NOBODY)
    ServerAccount(NOBODY, NOBODY).reach_programs(BIN_DIR)

    def start_and_stop() -> None:
        os.setresgid(NOBODY, NOBODY, NOBODY)
        os.setresuid(NOBODY, NOBODY, NOBODY)
        with EmbeddedPostgres(data_dir) as server:
            assert psutil.Process(server.pid).uids().effective == NOBODY
            write_note(server.url, "kept")

    in_a_fork(start_and_stop)
    # Root then runs it as that user, who can go on with it.
    with EmbeddedPostgres(data_dir) as server:
        assert psutil.Process(server.pid).uids().effective == NOBODY
        write_note(server.url, "kept")
    in_a_fork(start_and_stop)
