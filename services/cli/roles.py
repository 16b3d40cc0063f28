"""The commands that run until they are stopped: everything at once, or one role each."""

from pathlib import Path
from typing import Annotated

import typer

from services.bootstrap.database import upgrade_schema
from services.bootstrap.projector import run_projector
from services.bootstrap.renewals import record_due, run_renewals
from services.bootstrap.service import run_api_processes, run_service
from services.cli.console import JSON, fail, out, plain_errors, read_role_settings, read_settings, tell
from services.cli.progress import progress
from services.process.supervisor import stop_event

LISTEN_FD = typer.Option("--listen-fd", hidden=True, help="A listening socket that was inherited.")
METRICS_FOLDER = typer.Option("--metrics-folder", hidden=True, help="Where processes add up their metrics.")
NO_HTTP = typer.Option("--no-http", hidden=True, help="Answer nothing: under `serve`, the API has the address.")
ONCE = typer.Option("--once", help="Record what is due now, and stop.")


def serve() -> None:
    """Run everything: database (embedded unless configured), migrations, API, renewals, projector and webhooks."""
    settings = read_role_settings()

    def say_ready(url: str, first_key: str | None) -> None:
        if settings.log_format == "json":
            made = {} if first_key is None else {"first_key": first_key}
            out.print(JSON.encode({"event": "ready", "url": url, **made}).decode(), markup=False)
            return
        out.print(f"Tallystick is ready on {url} (documentation: {url}/docs)")
        if first_key is not None:
            out.print(f"A key with every scope, shown this once and kept in {settings.data_dir / 'bootstrap.key'}:")
            out.print(first_key)

    with plain_errors():
        run_service(settings, lambda what: tell(what[:1].upper() + what[1:]), say_ready)


def api(
    listen_fd: Annotated[int | None, LISTEN_FD] = None, metrics_folder: Annotated[Path | None, METRICS_FOLDER] = None
) -> None:
    """Answer HTTP."""
    settings = read_role_settings()
    with plain_errors():
        run_api_processes(settings, listen_fd, metrics_folder)


def renewals(once: Annotated[bool, ONCE] = False, no_http: Annotated[bool, NO_HTTP] = False) -> None:
    """Record resets, renewals and ends as they fall due. Answers /livez and /metrics on the configured address."""
    settings = read_role_settings()
    if once:
        with plain_errors():
            tally = record_due(settings, progress)
        out.print(f"Recorded {tally.events:,} events of {tally.subscriptions:,} subscriptions.")
        if tally.failures:
            fail(f"{tally.failures:,} attempts failed, the last with: {tally.last_error}")
        return
    stopping = stop_event()
    with plain_errors():
        run_renewals(settings, stopping, progress, has_status_page=not no_http)


def projector(no_http: Annotated[bool, NO_HTTP] = False) -> None:
    """Catch projections up. Answers /livez and /metrics on the configured address."""
    settings = read_role_settings()
    stopping = stop_event()
    with plain_errors():
        run_projector(settings, stopping, has_status_page=not no_http)


def webhooks(no_http: Annotated[bool, NO_HTTP] = False) -> None:
    """Deliver webhooks, in one process at a time. Answers /livez and /metrics on the configured address."""
    from services.bootstrap.webhooks import run_webhooks  # here, since no other role needs an HTTP client

    settings = read_role_settings()
    stopping = stop_event()
    with plain_errors():
        run_webhooks(settings, stopping, has_status_page=not no_http)


def migrate() -> None:
    """Bring the ledger's schema up to date."""
    settings = read_settings()
    with plain_errors():
        applied = upgrade_schema(settings)
        out.print(f"Applied {', '.join(applied)}." if applied else "Nothing to do: the schema is up to date.")
