"""The account that root adds for PostgreSQL, in a copy of the system's accounts."""

import os
import pwd
import shutil
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from threading import Barrier

import pytest

from services.postgres.embedded import account
from services.postgres.embedded.account import ServerAccount, server_account
from services.postgres.embedded.errors import NoServerAccount

ACCOUNT_NAME = "pgserver-test"
STARTS = 4

pytestmark = pytest.mark.skipif(
    os.geteuid() != 0 or shutil.which("useradd") is None, reason="root adds an account, with useradd"
)


@pytest.fixture
def accounts_file(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A passwd file, which `server_account` reads and extends instead of the system's."""
    (tmp_path / "etc").mkdir()
    for name in ("passwd", "group", "login.defs"):
        shutil.copy(Path("/etc", name), tmp_path / "etc" / name)

    def account_in_the_copy(name: str) -> pwd.struct_passwd:
        for line in (tmp_path / "etc/passwd").read_text().splitlines():
            if line.startswith(f"{name}:"):
                name, password, uid, gid, *rest = line.split(":")
                return pwd.struct_passwd((name, password, int(uid), int(gid), *rest))
        raise KeyError(name)

    monkeypatch.setattr(account, "ACCOUNT_NAME", ACCOUNT_NAME)
    monkeypatch.setattr(account, "_LOCK_FILE", tmp_path / "lock")
    command = ("useradd", "--prefix", str(tmp_path), "--system", "--no-create-home", ACCOUNT_NAME)
    monkeypatch.setattr(account, "_ADD_ACCOUNT", command)
    monkeypatch.setattr(pwd, "getpwnam", account_in_the_copy)
    return tmp_path / "etc/passwd"


def test_starts_at_once_get_one_account(accounts_file: Path, tmp_path: Path) -> None:
    barrier = Barrier(STARTS)

    def start(_: int) -> ServerAccount:
        barrier.wait()
        return server_account(tmp_path / "cluster")

    with ThreadPoolExecutor(STARTS) as starts:
        accounts = set(starts.map(start, range(STARTS)))

    added = [line.split(":") for line in accounts_file.read_text().splitlines() if line.startswith(ACCOUNT_NAME)]
    assert accounts == {ServerAccount(int(uid), int(gid)) for _, _, uid, gid, *_ in added}
    assert len(added) == 1


@pytest.mark.usefixtures("accounts_file")
@pytest.mark.parametrize("command", [("false",), ("true",), ("no-such-program",)])
def test_an_account_that_cannot_be_added_is_an_error(
    command: tuple[str], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(account, "_ADD_ACCOUNT", command)
    with pytest.raises(NoServerAccount):
        server_account(tmp_path / "cluster")
