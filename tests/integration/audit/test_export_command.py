"""`export FILE` destroys nothing: a file that is there, a link, a pipe, a device."""

import os
import stat
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from services.ledger.ledger import Ledger
from tests.integration.ledger.lanes import start
from tests.processes import tallystick


@pytest.fixture
def folder(tmp_path: Path, ledger: Ledger) -> Path:
    start(ledger)
    return tmp_path


def export(folder: Path, database_url: str, *arguments: str) -> tuple[int, str]:
    ended = tallystick("export", *arguments, folder=folder, database_url=database_url)
    return ended.returncode, ended.stderr


def test_a_file_that_is_there_is_replaced_only_if_that_is_asked_for(folder: Path, database_url: str) -> None:
    (folder / "kept").write_text("mine")

    status, said = export(folder, database_url, "kept")
    assert (status, (folder / "kept").read_text()) == (2, "mine")
    assert "kept is there already; --force replaces it" in said

    status, said = export(folder, database_url, "kept", "--force")
    assert status == 0, said
    assert (folder / "kept").read_bytes().startswith(b'{"kind":"tallystick_export"')
    assert not (folder / "kept.unfinished").exists()


def test_a_link_stays_and_what_it_leads_to_is_written(folder: Path, database_url: str) -> None:
    (folder / "link").symlink_to(folder / "target")

    assert export(folder, database_url, "link")[0] == 0
    assert export(folder, database_url, "link")[0] == 2
    assert (folder / "link").is_symlink()
    assert (folder / "target").read_bytes().startswith(b'{"kind":"tallystick_export"')


def test_a_pipe_and_a_device_are_written_to(folder: Path, database_url: str) -> None:
    os.mkfifo(folder / "pipe")
    with ThreadPoolExecutor(1) as threads:
        read = threads.submit((folder / "pipe").read_bytes)
        assert export(folder, database_url, "pipe")[0] == 0
        assert read.result().startswith(b'{"kind":"tallystick_export"')

    assert export(folder, database_url, "/dev/null")[0] == 0
    assert stat.S_ISCHR(Path("/dev/null").stat().st_mode)
    assert stat.S_ISFIFO((folder / "pipe").stat().st_mode)


def test_a_folder_is_no_file(folder: Path, database_url: str) -> None:
    status, said = export(folder, database_url, ".")

    assert (status, said.count("\n")) == (2, 1)


@pytest.mark.parametrize("content", ["many", "sparse", "cut", "none", "folder"])
def test_evidence_that_is_none_takes_a_line(tmp_path: Path, content: str) -> None:
    file = tmp_path / "evidence.zip"
    example = Path(__file__).parents[3] / "docs/reference/evidence-example.zip"
    if content == "many":
        member = b"PK\x03\x04" + bytes(22)
        names = (b"%05d" % number for number in range(70_000))
        file.write_bytes(b"".join(member + b"\x05\x00\x00\x00" + name for name in names))
    elif content == "sparse":
        file.touch()
        os.truncate(file, 3 * 2**30)
    elif content == "folder":
        file.mkdir()
    elif content == "cut":
        file.write_bytes(example.read_bytes()[:-100])

    ended = tallystick("verify-evidence", file, folder=tmp_path)

    assert ended.returncode == (2 if content in {"none", "folder"} else 1)
    assert ended.stderr.count("\n") == 1, ended.stderr
