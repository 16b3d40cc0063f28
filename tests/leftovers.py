"""Finds what a test left behind: processes and threads that nobody waited for."""

import os
import signal
import threading
from collections.abc import Collection
from contextlib import suppress
from multiprocessing import resource_tracker
from pathlib import Path

import psutil

from tests.waiting import PATIENCE_SECONDS

_TASKS = Path("/proc/self/task")
_WORKERS = ("uvloop_", "asyncio_", "AnyIO worker thread")
"""Threads of an event loop, which end with it. The thread that the loop runs in is no exception."""


def children() -> set[int]:
    """Ids of this process's children: those that run, and those that ended and that nobody waited for."""
    if not _TASKS.exists():  # not Linux
        return {process.pid for process in psutil.Process().children()}
    found: set[int] = set()
    for task in _TASKS.iterdir():
        with suppress(FileNotFoundError, ProcessLookupError):  # the thread has just ended
            found.update(map(int, (task / "children").read_text().split()))
    return found - {getattr(resource_tracker._resource_tracker, "_pid", None)}


def end_left_children(before: Collection[int]) -> list[str]:
    """End the children that were not there before; what each of them was."""
    left = sorted(children() - set(before))
    described = [_description(pid) for pid in left]
    for pid in left:
        with suppress(ProcessLookupError):
            os.kill(pid, signal.SIGKILL)
        with suppress(ChildProcessError):
            os.waitpid(pid, 0)
    return described


def left_threads(before: Collection[threading.Thread]) -> list[str]:
    """Threads that were not there before and do not end."""
    left = [thread for thread in threading.enumerate() if thread not in before and not thread.name.startswith(_WORKERS)]
    for thread in left:
        thread.join(PATIENCE_SECONDS)
    return [repr(thread) for thread in left if thread.is_alive()]


def _description(pid: int) -> str:
    process = psutil.Process(pid)
    if process.status() == psutil.STATUS_ZOMBIE:
        return f"process {pid}, {process.name()}, which has ended and was not waited for"
    return f"process {pid}, {' '.join(process.cmdline())}, which runs"
