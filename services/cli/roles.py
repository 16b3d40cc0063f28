"""The commands that run until they are stopped: everything at once, or one role each."""

import os
import socket
import threading
import time
import urllib.request
from contextlib import suppress
from typing import Annotated

import typer

from services.bootstrap import serving as bootstrap
from services.cli.console import err, out, plain_errors, set_up_logs, settings
from services.config import Settings
from services.process.supervisor import Child, Supervisor, hold_lifeline

LISTEN_FD = typer.Option("--listen-fd", hidden=True, help="A listening socket that was inherited.")


def serve() -> None:
    """Run everything: database (embedded unless configured), migrations, API, renewals and projector."""
    configured = settings()
    set_up_logs(configured)
    with plain_errors():
        bootstrap.catalogue_of(configured)
        listening = _listen(configured)
        with bootstrap.database(configured, on_wait=_say_waiting) as database_url:
            first_key = bootstrap.prepare(configured, database_url)
            environment = {**os.environ, "TALLYSTICK_DATABASE_URL": bootstrap.service_url_of(configured, database_url)}
            address = f"http://{configured.host}:{listening.getsockname()[1]}"
            ready = threading.Thread(target=_say_ready, args=(address, first_key, configured), daemon=True)
            others = [Child(role, [role, "--no-http"]) for role in ("renewals", "projector")]
            Supervisor([*_api_children(configured, listening), *others], environment).run(on_started=ready)


def api(listen_fd: Annotated[int | None, LISTEN_FD] = None) -> None:
    """Answer HTTP."""
    hold_lifeline()
    configured = settings()
    set_up_logs(configured)
    with plain_errors():
        if listen_fd is None and configured.workers > 1:
            with _listen(configured) as shared:  # open as long as the processes that inherit it
                Supervisor(_api_children(configured, shared), dict(os.environ)).run()
            return
        listening = socket.socket(fileno=listen_fd) if listen_fd is not None else _listen(configured)
        bootstrap.run_api(configured, listening)


def migrate() -> None:
    """Bring the ledger's schema up to date."""
    configured = settings()
    with plain_errors():
        applied = bootstrap.upgrade_schema(configured)
        out.print(f"Applied {', '.join(applied)}." if applied else "Nothing to do: the schema is up to date.")


def _listen(configured: Settings) -> socket.socket:
    """The socket that all API processes accept on."""
    family = socket.AF_INET6 if ":" in configured.host else socket.AF_INET
    listening = socket.socket(family)
    listening.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    try:
        listening.bind((configured.host, configured.port))
    except OSError as error:
        raise OSError(f"cannot listen on {configured.host}:{configured.port}: {error.strerror}") from None
    listening.listen(2048)
    return listening


def _api_children(configured: Settings, listening: socket.socket) -> list[Child]:
    fd = listening.fileno()
    return [Child("api", ["api", "--listen-fd", str(fd)], [fd]) for _ in range(configured.workers)]


def _say_waiting(what: str) -> None:
    err.print(what[:1].upper() + what[1:])


def _say_ready(address: str, first_key: str | None, configured: Settings) -> None:
    while True:
        with suppress(OSError), urllib.request.urlopen(f"{address}/readyz", timeout=2):  # noqa: S310 - our own address
            break
        time.sleep(0.05)
    out.print(f"Tallystick is ready on {address} (documentation: {address}/docs)")
    if first_key is not None:
        out.print(f"A key with every scope, shown this once and kept in {configured.data_dir / 'bootstrap.key'}:")
        out.print(first_key)
