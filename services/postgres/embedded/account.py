"""The system account that the embedded PostgreSQL runs as. It refuses root, so root lends it another one."""

import fcntl
import logging
import os
import pwd
import stat
import subprocess
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

from services.postgres.embedded.errors import NoServerAccount

ACCOUNT_NAME: Final = "pgserver"
"""Account that is added to the system when root starts a server on a new data directory."""

# A system account: logind removes the shared memory of others when they log out.
_ADD_ACCOUNT: Final = ("useradd", "--system", "--no-create-home", "--shell", "/usr/sbin/nologin", ACCOUNT_NAME)
_LOCK_FILE: Final = Path("/run/tallystick-account.lock")

_log = logging.getLogger(__name__)


@dataclass(frozen=True)
class ServerAccount:
    """Who PostgreSQL runs as: another account than ours if we are root, else ourselves."""

    uid: int
    gid: int

    @property
    def is_ours(self) -> bool:
        return self.uid == os.geteuid()

    def program_options(self) -> dict[str, Any]:
        """Options of `subprocess.Popen` that run a program as this account."""
        return {} if self.is_ours else {"user": self.uid, "group": self.gid, "extra_groups": []}

    def take(self, directory: Path) -> None:
        """Make the directory and all in it this account's: a new one, or one that root restored."""
        if self.is_ours or directory.stat().st_uid == self.uid:
            return
        # The directory itself last: a hand-over that was cut short starts again.
        for path in (*directory.rglob("*"), directory):
            os.chown(path, self.uid, self.gid, follow_symlinks=False)

    def has_private(self, directory: Path) -> bool:
        """Whether only this account (and root) can look into the directory."""
        found = directory.lstat()
        owners = {self.uid, os.geteuid()}
        return stat.S_ISDIR(found.st_mode) and found.st_uid in owners and not found.st_mode & 0o077

    def reach(self, directory: Path) -> None:
        """Let this account pass through everything above the directory.

        Others get the search bit, where it lacks, and only that: names in those directories stay hidden.
        """
        for above in () if self.is_ours else directory.resolve().parents:
            found = above.stat()
            if found.st_uid != self.uid and not found.st_mode & stat.S_IXOTH:
                _log.warning("Letting other accounts pass through %s: PostgreSQL runs as one", above)
                above.chmod(found.st_mode | stat.S_IXOTH)

    def reach_programs(self, bin_dir: Path) -> None:
        """Let this account run the PostgreSQL that is installed there, even under a strict umask."""
        self.reach(bin_dir)
        if self.is_ours or (bin_dir / "postgres").stat().st_mode & stat.S_IXOTH:
            return
        installation, package = bin_dir.parent, bin_dir.parent.parent
        bundled_libraries = package.with_name(f"{package.name}.libs")
        # The programs last, since they tell whether this is done.
        for directory in (bundled_libraries, installation / "lib", installation / "share", bin_dir):
            for path in (directory, *directory.rglob("*")):
                mode = path.stat().st_mode
                ours = mode & (stat.S_IRUSR | stat.S_IXUSR)
                path.chmod(mode | ours >> 3 | ours >> 6)


def server_account(cluster: Path) -> ServerAccount:
    """Ourselves; if we are root, the owner of the cluster, or an account of its own when that is nobody yet.

    Raises NoServerAccount.
    """
    if os.geteuid() != 0:
        return ServerAccount(os.geteuid(), os.getegid())
    if cluster.exists() and cluster.stat().st_uid != 0:
        with suppress(KeyError):
            owner = pwd.getpwuid(cluster.stat().st_uid)
            return ServerAccount(owner.pw_uid, owner.pw_gid)
    with suppress(KeyError):
        return _named_account()
    return _added_account()


def _named_account() -> ServerAccount:
    account = pwd.getpwnam(ACCOUNT_NAME)
    return ServerAccount(account.pw_uid, account.pw_gid)


def _added_account() -> ServerAccount:
    try:
        with os.fdopen(os.open(_LOCK_FILE, os.O_WRONLY | os.O_CREAT, 0o600), "wb") as lock:
            # useradd looks for the name before it locks the accounts: of two at once, the second replaces the
            # account of the first by one with another uid. So one at a time, and each looks first.
            fcntl.flock(lock, fcntl.LOCK_EX)
            with suppress(KeyError):
                return _named_account()
            subprocess.run(_ADD_ACCOUNT, check=True, capture_output=True)  # noqa: S603 - no user input
            return _named_account()
    except (OSError, subprocess.CalledProcessError, KeyError) as error:  # a system without useradd, for one
        raise NoServerAccount from error
