"""Supervises the processes of one service: starts them, restarts those that end, stops them all, leaves none behind.

Every child holds the reading end of a pipe, the lifeline. When the supervisor dies, even by kill -9, the pipe closes
and the children stop in good order by themselves, so that a new start finds the port free and no writer running.
"""

import os
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Sequence

import structlog

log = structlog.get_logger()

LIFELINE = "TALLYSTICK_LIFELINE_FD"
_STOP_SECONDS = 20.0
_STABLE_SECONDS = 10.0
_PAUSE_LIMIT_SECONDS = 5.0


class Child:
    """The process of one role, restarted whenever it ends, with a growing pause while it keeps failing."""

    def __init__(self, name: str, arguments: Sequence[str], inherited_fds: Sequence[int] = ()) -> None:
        self.name = name
        self._arguments = arguments
        self._inherited_fds = inherited_fds
        self._process: subprocess.Popen[bytes] | None = None
        self._started_at = 0.0
        self._pause_seconds = 0.1

    def start(self, environment: dict[str, str], lifeline: int) -> None:
        """Start the process, in its own session: a terminal's Ctrl-C is for the supervisor to pass on."""
        self._started_at = time.monotonic()
        self._process = subprocess.Popen(  # noqa: S603 - our own program
            [sys.executable, "-m", "services.cli", *self._arguments],
            env={**environment, LIFELINE: str(lifeline)},
            pass_fds=(lifeline, *self._inherited_fds),
            start_new_session=True,
        )

    def keep_running(self, environment: dict[str, str], lifeline: int) -> None:
        """Restart the process if it ended, after a pause if it did not run for long."""
        if self._process is None or (status := self._process.poll()) is None:
            return
        lived_seconds = time.monotonic() - self._started_at
        if lived_seconds > _STABLE_SECONDS:
            self._pause_seconds = 0.1
        if lived_seconds < self._pause_seconds:
            return
        log.warning("a process ended and is started again", role=self.name, status=status)
        self._pause_seconds = min(self._pause_seconds * 2, _PAUSE_LIMIT_SECONDS)
        self.start(environment, lifeline)

    def stop(self, give_up_at: float) -> None:
        """Wait for an orderly end until `give_up_at`, an instant of `time.monotonic()`, then kill."""
        if self._process is None:
            return
        try:
            self._process.wait(max(0.0, give_up_at - time.monotonic()))
        except subprocess.TimeoutExpired:
            log.warning("a process did not stop in time and is killed", role=self.name)
            self._process.kill()
            self._process.wait()

    def signal_stop(self) -> None:
        """Ask the process to stop."""
        if self._process is not None and self._process.poll() is None:
            self._process.terminate()


class Supervisor:
    """Runs children until SIGTERM or SIGINT."""

    def __init__(self, children: Sequence[Child], environment: dict[str, str]) -> None:
        self._children = children
        self._environment = environment

    def run(self, on_started: threading.Thread | None = None) -> None:
        """Start everything and return when all of it has stopped. Call it in the main thread."""
        reading_end, writing_end = os.pipe()
        stopping = stop_event()
        for child in self._children:
            child.start(self._environment, reading_end)
        if on_started is not None:
            on_started.start()
        while not stopping.wait(0.2):
            for child in self._children:
                child.keep_running(self._environment, reading_end)
        for child in self._children:
            child.signal_stop()
        give_up_at = time.monotonic() + _STOP_SECONDS
        for child in self._children:
            child.stop(give_up_at)
        os.close(writing_end)
        os.close(reading_end)


def stop_event() -> threading.Event:
    """An event that SIGTERM and SIGINT set from now on. Call it in the main thread."""
    stopping = threading.Event()
    for number in (signal.SIGTERM, signal.SIGINT):
        signal.signal(number, lambda _number, _frame: stopping.set())
    return stopping


def hold_lifeline() -> None:
    """Send SIGTERM to this process once its supervisor has ended; does nothing where there is no supervisor."""
    if (lifeline := os.environ.pop(LIFELINE, None)) is None:
        return

    def watch() -> None:
        os.read(int(lifeline), 1)
        os.kill(os.getpid(), signal.SIGTERM)

    threading.Thread(target=watch, name="lifeline", daemon=True).start()
