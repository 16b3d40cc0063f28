"""A large ledger on a server of its own, and the commands that run on it, with what they take."""

import os
import subprocess
import sys
import tempfile
import time
from contextlib import AbstractContextManager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from services.postgres.embedded import EmbeddedPostgres
from tests.processes import Tallystick, environment, running


@dataclass(frozen=True)
class Run:
    """A command that ended: its output, its duration, the time of its processor cores and its peak memory."""

    output: str
    seconds: float
    core_seconds: float
    peak_bytes: int


@dataclass(frozen=True)
class Large:
    """A ledger on a server that flushes every commit, as in production."""

    server: EmbeddedPostgres
    folder: Path
    events: int

    def tallystick(self, *arguments: str, database_url: str | None = None) -> Run:
        """Run a command on the ledger, or on another database; it must end well."""
        command = [sys.executable, "-m", "services.cli", *arguments]
        folder = self.folder if database_url in (None, self.server.url) else self.folder / "elsewhere"
        settings = environment(folder, database_url=database_url or self.server.url)
        began_at = time.perf_counter()
        with (
            tempfile.TemporaryFile("w+") as output,
            subprocess.Popen(
                command, env=settings, cwd=self.folder, stdout=output, stderr=subprocess.STDOUT
            ) as process,
        ):
            _, status, used = os.wait4(process.pid, 0)
            process.returncode = os.waitstatus_to_exitcode(status)
            output.seek(0)
            seconds, core_seconds = time.perf_counter() - began_at, used.ru_utime + used.ru_stime
            run = Run(output.read(), seconds, core_seconds, used.ru_maxrss * 1024)
        assert process.returncode == 0, run.output
        return run

    def running(self, *arguments: str, **options: Any) -> AbstractContextManager[Tallystick]:
        """A command that runs on the ledger."""
        return running(*arguments, folder=self.folder, database_url=self.server.url, **options)
