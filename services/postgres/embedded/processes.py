"""Finds the server processes of a cluster. A pid alone proves nothing: after a crash it may be any other process."""

from contextlib import suppress
from pathlib import Path

import psutil


def pid_file_lines(cluster: Path) -> list[str]:
    """The lines of postmaster.pid: pid, cluster, start, port, socket directory, ...

    There are fewer while a server starts, and none after an orderly stop; those of a killed server stay.
    """
    with suppress(FileNotFoundError):
        return (cluster / "postmaster.pid").read_text().splitlines()
    return []


def processes_of(cluster: Path) -> list[psutil.Process]:
    """The live server processes of this cluster: PostgreSQL, with the cluster as working directory."""
    processes = []
    for process in psutil.process_iter():
        with suppress(psutil.Error):
            if process.name() == "postgres" and process.cwd() == str(cluster) and is_alive(process):
                processes.append(process)
    return processes


def postmaster_of(cluster: Path) -> psutil.Process | None:
    """The live server process that all others of this cluster descend from."""
    pid = next(iter(pid_file_lines(cluster)), "")
    return next((process for process in processes_of(cluster) if str(process.pid) == pid), None)


def is_alive(process: psutil.Process) -> bool:
    """Whether it still runs. A zombie does not: in a container there may be nobody to reap it."""
    if isinstance(process, psutil.Popen):  # a child of ours: it has ended when its status has been collected
        return process.poll() is None
    with suppress(psutil.NoSuchProcess):
        return process.is_running() and process.status() != psutil.STATUS_ZOMBIE
    return False
