"""`tallystick serve` as a process tree that can be killed."""

import os
import re
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Self

import psutil
import pytest

CHECKOUT = Path(__file__).parents[2]
KEY = "a-key-with-every-scope"
READY = re.compile(r"ready on (http://\S+)")


class Service:
    """`tallystick serve` on a data directory of its own."""

    def __init__(self, data_dir: Path, workers: int) -> None:
        self.data_dir = data_dir
        self.url = ""
        self._log_file = data_dir / "serve.log"
        self._environment = {
            **{name: value for name, value in os.environ.items() if not name.startswith(("TALLYSTICK_", "PG"))},
            "TALLYSTICK_DATA_DIR": str(data_dir),
            "TALLYSTICK_PORT": "0",
            "TALLYSTICK_BOOTSTRAP_KEY": KEY,
            "TALLYSTICK_WORKERS": str(workers),
        }
        self._process: subprocess.Popen[str] | None = None

    def start(self) -> None:
        """Start it, and return when it answers."""
        with self._log_file.open("a") as log:
            self._process = subprocess.Popen(
                [sys.executable, "-m", "services.cli", "serve"],
                cwd=CHECKOUT,
                env=self._environment,
                stdout=subprocess.PIPE,
                stderr=log,
                text=True,
            )
        assert self._process.stdout is not None
        for line in self._process.stdout:
            if ready := READY.search(line):
                self.url = ready[1]
                return
        pytest.fail(self._log_file.read_text())

    def kill(self) -> None:
        """Kill it and everything that it has started, without a warning."""
        assert self._process is not None
        serve = psutil.Process(self._process.pid)
        processes = [serve, *serve.children(recursive=True)]
        for process in processes:
            with suppress(psutil.NoSuchProcess):
                process.kill()
        psutil.wait_procs(processes)
        self._end()

    def stop(self) -> None:
        """Stop it as an operator does."""
        assert self._process is not None
        self._process.terminate()
        self._end()

    def _end(self) -> None:
        assert self._process is not None
        assert self._process.stdout is not None
        self._process.stdout.close()
        self._process.wait()

    @contextmanager
    def running(self) -> Iterator[Self]:
        """Keep it running, or running again, until the end; whatever happens, nothing of it is left then."""
        self.start()
        try:
            yield self
        except BaseException:
            self.kill()
            raise
        self.stop()
