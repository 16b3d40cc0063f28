"""Runs every process of one service: the database, API processes, the renewal worker, the projector."""

import os
import socket
import tempfile
import threading
import time
import urllib.request
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path

from services.bootstrap.database import run_database, service_url_of
from services.bootstrap.keys import ensure_first_key
from services.bootstrap.ledger import catalogue_of, stored_catalogue_of
from services.bootstrap.signing import policy_of
from services.config import Settings
from services.process.supervisor import Child, Supervisor

OnReady = Callable[[str, str | None], None]
"""Takes the URL of the service, and its first key where that was made up at this start."""


def run_service(settings: Settings, on_wait: Callable[[str], None], on_ready: OnReady) -> None:
    """Run everything until SIGTERM or SIGINT, and call `on_ready`, in a thread, once the API answers.

    `on_wait` takes, in words, what a slow start waits for. Raises CatalogueError, UnfitPolicy,
    EmbeddedPostgresError, OSError.
    """
    catalogue_of(settings)
    policy_of(settings)
    listening = _listen(settings)
    with run_database(settings, on_wait) as owner_url, _metrics_folder() as metrics_folder:
        stored_catalogue_of(settings, owner_url)
        first_key = ensure_first_key(settings, owner_url)
        environment = {**os.environ, "TALLYSTICK_DATABASE_URL": service_url_of(settings, owner_url)}
        url = f"http://{settings.host}:{listening.getsockname()[1]}"

        def announce() -> None:
            _wait_until_ready(url)
            on_ready(url, first_key)

        others = [Child(role, [role, "--no-http"]) for role in ("renewals", "projector", "webhooks")]
        children = [*_api_children(settings, listening, metrics_folder), *others]
        Supervisor(children, environment).run(on_started=threading.Thread(target=announce, daemon=True))


def run_api_processes(settings: Settings, inherited_fd: int | None, metrics_folder: Path | None) -> None:
    """Answer HTTP until SIGTERM or SIGINT, on a listening socket that was inherited, or on a new one.

    A new one serves as many processes as are configured. Raises CatalogueError, NoDatabase, NotMigrated, OSError.
    """
    from services.bootstrap.api import run_api  # here, since FastAPI takes as long to import as all the rest together

    if inherited_fd is not None:
        run_api(settings, socket.socket(fileno=inherited_fd), metrics_folder)
    elif settings.workers == 1:
        run_api(settings, _listen(settings))
    else:
        with _listen(settings) as shared, _metrics_folder() as folder:  # open as long as the processes that inherit it
            Supervisor(_api_children(settings, shared, folder), dict(os.environ)).run()


def _listen(settings: Settings) -> socket.socket:
    """Open the socket that all API processes accept on. Raises OSError naming the address."""
    family = socket.AF_INET6 if ":" in settings.host else socket.AF_INET
    listening = socket.socket(family)
    listening.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    try:
        listening.bind((settings.host, settings.port))
    except OSError as error:
        raise OSError(f"cannot listen on {settings.host}:{settings.port}: {error.strerror}") from None
    listening.listen(2048)
    return listening


def _api_children(settings: Settings, listening: socket.socket, metrics_folder: str) -> list[Child]:
    fd = listening.fileno()
    arguments = ["api", "--listen-fd", str(fd), "--metrics-folder", metrics_folder]
    return [Child("api", arguments, [fd]) for _ in range(settings.workers)]


def _metrics_folder() -> "tempfile.TemporaryDirectory[str]":
    """Make the folder in which the API processes add up their metrics."""
    return tempfile.TemporaryDirectory(prefix="tallystick-metrics-")


def _wait_until_ready(url: str) -> None:
    while True:
        with suppress(OSError), urllib.request.urlopen(f"{url}/readyz", timeout=2):  # noqa: S310 - our own address
            return
        time.sleep(0.05)
