"""Runs roles as processes of their own, on the real clock."""

import os
import socket
import subprocess
import sys
import time
import urllib.error
import urllib.request
from collections.abc import Iterator
from contextlib import AbstractContextManager, contextmanager, suppress
from pathlib import Path


def renewals(
    database_url: str, folder: Path, *options: str, port: int = 0
) -> AbstractContextManager[subprocess.Popen[str]]:
    """Run `tallystick renewals`; killed at the end if it has not ended by then."""
    return running(database_url, folder, "renewals", *options, port=port)


@contextmanager
def running(database_url: str, folder: Path, *arguments: str, port: int = 0) -> Iterator[subprocess.Popen[str]]:
    """Run `tallystick`; killed at the end if it has not ended by then."""
    environment = {
        **os.environ,
        "TALLYSTICK_DATABASE_URL": database_url,
        "TALLYSTICK_DATA_DIR": str(folder),
        "TALLYSTICK_PORT": str(port),
        "COLUMNS": "200",
    }
    command = [sys.executable, "-m", "services.cli", *arguments]
    with subprocess.Popen(
        command, env=environment, cwd=folder, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True
    ) as process:
        try:
            yield process
        finally:
            process.kill()


def free_port() -> int:
    """Find a port that nobody listens on."""
    with socket.socket() as probing:
        probing.bind(("127.0.0.1", 0))
        port: int = probing.getsockname()[1]
        return port


def page(port: int, path: str) -> str:
    """Fetch a page, as soon as the address answers."""
    while True:
        with suppress(urllib.error.URLError), urllib.request.urlopen(f"http://127.0.0.1:{port}{path}") as answer:
            body: bytes = answer.read()
            return body.decode()
        time.sleep(0.05)
