"""The role that catches projections up."""

import signal
import threading
from typing import Annotated

import typer

from services.bootstrap import audit as bootstrap_audit
from services.cli.console import plain_errors, set_up_logs, settings
from services.process.supervisor import hold_lifeline

NO_HTTP = typer.Option("--no-http", hidden=True, help="Answer nothing: under `serve`, the API has the address.")


def projector(no_http: Annotated[bool, NO_HTTP] = False) -> None:
    """Catch projections up. Answers /livez and /metrics on the configured address."""
    hold_lifeline()
    configured = settings()
    set_up_logs(configured)
    stopping = threading.Event()
    for number in (signal.SIGTERM, signal.SIGINT):
        signal.signal(number, lambda _number, _frame: stopping.set())
    with plain_errors():
        bootstrap_audit.run_projector(configured, stopping, has_status_page=not no_http)
