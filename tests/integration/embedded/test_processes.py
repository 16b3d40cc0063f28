"""What counts as a living server process."""

import os
import signal
import subprocess

import psutil
import pytest

from services.postgres.embedded.processes import is_alive


def test_a_child_that_is_not_alive_has_been_waited_for(monkeypatch: pytest.MonkeyPatch) -> None:
    with psutil.Popen(["cat"], stdin=subprocess.PIPE) as process:
        poll = process.poll

        def end_right_after_the_poll() -> int | None:
            status: int | None = poll()
            os.kill(process.pid, signal.SIGKILL)
            os.waitid(os.P_PID, process.pid, os.WEXITED | os.WNOWAIT)
            return status

        monkeypatch.setattr(process, "poll", end_right_after_the_poll)
        assert is_alive(process), "as far as anybody knows"
        monkeypatch.undo()
        assert not is_alive(process)
        assert process.returncode == -signal.SIGKILL
