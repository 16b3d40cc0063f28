"""Where the embedded PostgreSQL may live, and whom it runs as."""

import os
import stat
import tempfile
from pathlib import Path

import psutil
import pytest

from services.postgres.embedded import (
    BIN_DIR,
    EmbeddedPostgres,
    EmbeddedPostgresError,
)
from services.postgres.embedded.account import ServerAccount
from tests.integration.embedded.servers import in_a_fork, notes, socket_dir, write_note

NOBODY = 65534

as_root = pytest.mark.skipif(os.geteuid() != 0, reason="only root lends PostgreSQL another account")


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
