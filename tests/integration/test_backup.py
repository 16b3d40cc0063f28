"""The drill: a ledger is backed up while it is charged, lost, and restored, to its end or to a commit before."""

import json
import re
import signal
import subprocess
import sys
import urllib.request
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import UTC, datetime
from itertools import count
from pathlib import Path
from typing import Any

import pytest

from services.postgres.database import connect
from services.postgres.embedded import EmbeddedPostgres, running_url
from tests.processes import CHECKOUT, Tallystick, environment, running, tallystick

KEY = "a-key-with-every-scope-for-the-drill"
_numbers = count(1)
EVENTS = "SELECT notification_id, encode(state, 'escape') FROM tallystick.ledger_events ORDER BY 1"


class Ledger:
    """A running service with a subscription that is charged."""

    def __init__(self, folder: Path, service: Tallystick) -> None:
        self.folder = folder
        self.service = service
        service.page("/readyz")
        self.id = self.post("", account_id="a", plan_id="max-pro-240000-yearly")["subscription_id"]

    def post(self, path: str, **body: Any) -> dict[str, Any]:
        headers = {"Authorization": f"Bearer {KEY}", "Content-Type": "application/json"}
        url = f"{self.service.url}/v1/subscriptions{path}"
        with urllib.request.urlopen(urllib.request.Request(url, json.dumps(body).encode(), headers)) as answer:
            made: dict[str, Any] = json.load(answer)
            return made

    def charge(self) -> int:
        body = {"generation_id": f"track-{next(_numbers)}", "model": "lyria-3"}
        position: int = self.post(f"/{self.id}/charges", **body)["position"]
        return position

    def seal(self) -> None:
        assert tallystick("checkpoint", folder=self.folder).returncode == 0

    def events(self) -> list[tuple[Any, ...]]:
        url = running_url(self.folder / "postgres")
        assert url is not None
        return events_of(url)


def events_of(url: str) -> list[tuple[Any, ...]]:
    with connect(url) as connection:
        return connection.execute(EVENTS).fetchall()


@pytest.fixture(scope="module")
def ledger(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Ledger]:
    """The ledger that all tests back up; each charges on."""
    with serving(tmp_path_factory.mktemp("there")) as ledger:
        yield ledger


@contextmanager
def serving(folder: Path) -> Iterator[Ledger]:
    folder.mkdir(exist_ok=True)
    with running("serve", folder=folder, bootstrap_key=KEY, checkpoint_seconds=3600) as service:
        yield Ledger(folder, service)
        service.stop()


@contextmanager
def following(folder: Path, archive: Path) -> Iterator["subprocess.Popen[str]"]:
    """Follow until the end of the block; the archive then has what was committed."""
    command = [sys.executable, "-m", "services.cli", "backup", str(archive), "--follow"]
    settings = environment(folder)
    with subprocess.Popen(
        command, cwd=CHECKOUT, env=settings, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True
    ) as process:
        assert process.stdout is not None
        try:
            assert "Backed up" in process.stdout.readline()
            assert "following" in process.stdout.readline()
            yield process
            process.send_signal(signal.SIGTERM)
            said, complained = process.communicate()
            assert (process.returncode, "has all that was committed" in said) == (0, True), complained
        finally:
            process.kill()


def restore(archive: Path, folder: Path, *arguments: str) -> "subprocess.CompletedProcess[str]":
    return tallystick("restore", archive, *arguments, folder=archive.parent, data_dir=folder)


def charged_while_followed(ledger: Ledger, archive: Path) -> tuple[int, str, int]:
    """Charge and seal before and while it is followed; return a position, an instant behind it, and the last one."""
    ledger.charge()
    ledger.seal()
    with following(ledger.folder, archive):
        middle = ledger.charge()
        ledger.seal()
        instant = datetime.now(UTC).isoformat()
        last = ledger.charge()
        ledger.seal()
    return middle, instant, last


def test_a_ledger_comes_back_to_its_end(ledger: Ledger, tmp_path: Path) -> None:
    """Also where the machine was lost between two copies of the seals: what was signed after the last one is taken."""
    archive, here = tmp_path / "backup", tmp_path / "here"
    *_, last = charged_while_followed(ledger, archive)
    lost = ledger.events()
    for path in archive.glob("seals/*/*/events"):
        blocks = path.read_text().split("\n\n")
        path.write_text("\n\n".join([*blocks[:2], ""]))

    whole = restore(archive, here)

    assert whole.returncode == 0, whole.stdout + whole.stderr
    assert f"up to position {last:,}." in whole.stdout
    assert "Everything holds." in whole.stdout
    assert "Set aside" not in whole.stdout
    with EmbeddedPostgres(here / "postgres") as server:
        assert events_of(server.url) == lost
        assert tallystick("checkpoint", folder=here).returncode == 0, "the sealer goes on"


@pytest.mark.parametrize("by", ["position", pytest.param("instant", marks=pytest.mark.long)])
def test_a_ledger_comes_back_to_a_commit(ledger: Ledger, tmp_path: Path, by: str) -> None:
    """What was signed after it is set aside, and nothing is signed until a new log is begun; charges go on."""
    archive, here = tmp_path / "backup", tmp_path / "here"
    position, instant, _ = charged_while_followed(ledger, archive)

    earlier = restore(archive, here, "--to", str(position) if by == "position" else instant)

    assert earlier.returncode == 0, earlier.stdout + earlier.stderr
    assert f"up to position {position:,}." in earlier.stdout
    assert "Set aside 1 later seals of events, over" in earlier.stdout
    assert "a later one, over up to" in earlier.stdout, "among what the check rests on"
    assert "Everything holds." in earlier.stdout
    with serving(here) as again:
        again.charge()
        refused = tallystick("checkpoint", folder=here)
        assert (refused.returncode, "restored to before" in refused.stderr) == (1, True)
        assert tallystick("checkpoint", "--new-ledger", folder=here).returncode == 0
        again.seal()
        assert tallystick("verify", folder=here).returncode == 0


def test_a_back_up_without_following_is_whole_by_itself(ledger: Ledger, tmp_path: Path) -> None:
    archive = tmp_path / "backup"
    position = ledger.charge()
    made = tallystick("backup", archive, folder=ledger.folder)
    assert (made.returncode, made.stderr) == (0, "")
    assert f"up to position {position:,}." in made.stdout
    assert [path for path in archive.rglob("*") if path.is_file() and path.stat().st_mode & 0o077] == []

    again, unknown = (
        tallystick("backup", archive, folder=ledger.folder),
        restore(archive, tmp_path / "a", "--to", "999"),
    )
    earlier, wrong = restore(archive, tmp_path / "b", "--to", "1"), restore(archive, tmp_path / "c", "--to", "noon")
    full, none = restore(archive, ledger.folder), restore(tmp_path / "no-such", tmp_path / "d")
    whole = restore(archive, tmp_path / "here")

    assert (again.returncode, "is not an empty folder" in again.stderr) == (2, True)
    assert (unknown.returncode, f"ends with position {position}" in unknown.stderr) == (1, True)
    assert (earlier.returncode, "take an older back-up" in earlier.stderr) == (1, True)
    assert (wrong.returncode, full.returncode, none.returncode) == (2, 2, 1)
    assert not any((tmp_path / name).exists() for name in "abcd"), "nothing half restored is left"
    assert (whole.returncode, re.search("up to position", whole.stdout) is not None) == (0, True)
    assert (tmp_path / "here/signing.key").exists() == (ledger.folder / "signing.key").exists()
    assert not (tmp_path / "here/postgres/cluster/restored_wal").exists()
