"""The role that records what time has made due."""

import signal
import threading
from typing import Annotated

import typer

from services.bootstrap import renewals as bootstrap_renewals
from services.cli.console import FOUND_WRONG, err, out, plain_errors, set_up_logs, settings
from services.cli.progress import progress
from services.process.supervisor import hold_lifeline

ONCE = typer.Option("--once", help="Record what is due now, and stop.")
NO_HTTP = typer.Option("--no-http", hidden=True, help="Answer nothing: under `serve`, the API has the address.")


def renewals(once: Annotated[bool, ONCE] = False, no_http: Annotated[bool, NO_HTTP] = False) -> None:
    """Record resets, renewals and ends as they fall due. Answers /livez and /metrics on the configured address."""
    hold_lifeline()
    configured = settings()
    set_up_logs(configured)
    if once:
        with plain_errors():
            tally = bootstrap_renewals.record_due(configured, progress)
        out.print(f"Recorded {tally.events:,} events of {tally.subscriptions:,} subscriptions.")
        if tally.failures:
            err.print(f"[red]{tally.failures:,} attempts failed, the last with: {tally.last_error}")
            raise typer.Exit(FOUND_WRONG)
        return
    stopping = threading.Event()
    for number in (signal.SIGTERM, signal.SIGINT):
        signal.signal(number, lambda _number, _frame: stopping.set())
    with plain_errors():
        bootstrap_renewals.run_renewals(configured, stopping, progress, has_status_page=not no_http)
