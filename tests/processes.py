"""The `tallystick` command as processes. Each has an owner: a call or a `with` block, which waits for its end."""

import os
import random
import signal
import socket
import subprocess
import sys
import urllib.request
from collections.abc import Iterator, Mapping, Sequence
from contextlib import AbstractContextManager, contextmanager, suppress
from pathlib import Path

import psutil

from tests.waiting import PATIENCE_SECONDS, wait_until

CHECKOUT = Path(__file__).parents[1]


class Tallystick:
    """A command that runs until it is stopped or killed."""

    def __init__(self, process: subprocess.Popen[str], port: int) -> None:
        self.process = process
        self.port = port
        self.url = f"http://127.0.0.1:{port}"

    def page(self, path: str) -> str:
        """Body of the page at this path, as soon as the process answers with status 200."""

        def read() -> str | None:
            assert self.process.poll() is None, f"it ended with status {self.process.returncode}"
            with suppress(OSError), urllib.request.urlopen(self.url + path, timeout=PATIENCE_SECONDS) as answer:
                body: bytes = answer.read()
                return body.decode()
            return None

        return wait_until(read) or ""

    def stop(self) -> None:
        """Stop it as an operator does; it must end with status 0."""
        self.process.send_signal(signal.SIGTERM)
        assert self.process.wait(PATIENCE_SECONDS) == 0

    def kill(self) -> None:
        """Kill it, and all that it has started, without a warning."""
        if self.process.poll() is not None:
            return
        started = psutil.Process(self.process.pid).children(recursive=True)
        self.process.kill()
        for process in started:
            with suppress(psutil.NoSuchProcess):
                process.kill()
        self.process.wait()
        psutil.wait_procs(started)


@contextmanager
def started(
    command: Sequence[str],
    environment: Mapping[str, str],
    port: int,
    *,
    folder: Path | None = None,
    stderr: int | None = None,
) -> Iterator[Tallystick]:
    """Run a command line with this environment; kill it if it has not ended with the block."""
    with subprocess.Popen(
        command, cwd=folder, env=environment, stdout=subprocess.PIPE, stderr=stderr, text=True
    ) as process:
        tallystick = Tallystick(process, port)
        try:
            yield tallystick
        finally:
            tallystick.kill()


def running(
    *arguments: str, folder: Path, port: int | None = None, stderr: int | None = None, **settings: object
) -> AbstractContextManager[Tallystick]:
    """Run a command with this data directory and these settings; kill it if it has not ended with the block."""
    port = free_port() if port is None else port
    command = [sys.executable, "-m", "services.cli", *arguments]
    return started(command, environment(folder, port=port, **settings), port, folder=folder, stderr=stderr)


def tallystick(*arguments: str | Path, folder: Path, **settings: object) -> subprocess.CompletedProcess[str]:
    """Run a command to its end, with this data directory and these settings."""
    command = [sys.executable, "-m", "services.cli", *map(str, arguments)]
    return subprocess.run(
        command, cwd=folder, env=environment(folder, **settings), capture_output=True, text=True, check=False
    )


def environment(folder: Path, **settings: object) -> dict[str, str]:
    """Environment with this data directory and these settings (None: unset), and no others of ours or of PostgreSQL."""
    ours = {name: value for name, value in os.environ.items() if not name.startswith(("TALLYSTICK_", "PG"))}
    settings = {"data_dir": folder, **settings}
    theirs = {f"TALLYSTICK_{name.upper()}": str(value) for name, value in settings.items() if value is not None}
    return {**ours, **theirs, "PYTHONPATH": str(CHECKOUT), "COLUMNS": "200"}


def free_port() -> int:
    """A port that nothing listens on, from where the system takes none by itself."""
    while True:
        port = random.SystemRandom().randrange(20_000, 30_000)
        with suppress(OSError), socket.create_server(("127.0.0.1", port)):
            return port
