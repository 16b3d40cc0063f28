"""What the suite notices of processes and threads that a test leaves behind."""

import os
import subprocess
import threading

import psutil

from tests.leftovers import children, end_left_children, left_threads
from tests.waiting import wait_until


def test_a_process_that_runs_on_is_named_and_ended() -> None:
    before = children()
    process = subprocess.Popen(["sleep", "600"])
    wait_until(lambda: psutil.Process(process.pid).cmdline() or None)  # empty while the program is being loaded

    (left,) = end_left_children(before)

    assert left == f"process {process.pid}, sleep 600, which runs"
    assert children() == before
    process.wait()


def test_a_process_that_ended_and_that_nobody_waited_for_is_named() -> None:
    before = children()
    process = subprocess.Popen(["true"])
    os.waitid(os.P_PID, process.pid, os.WEXITED | os.WNOWAIT)

    (left,) = end_left_children(before)

    assert left == f"process {process.pid}, true, which has ended and was not waited for"
    process.wait()


def test_a_thread_that_ends_is_waited_for() -> None:
    before = threading.enumerate()
    ending = threading.Event()
    threading.Thread(target=ending.wait).start()
    threading.Timer(0.05, ending.set).start()

    assert left_threads(before) == []
