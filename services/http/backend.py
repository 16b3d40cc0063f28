"""The backend that the HTTP layer works on; the composition root makes and closes it."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from typing import Any, Literal

from psycopg import Connection
from psycopg_pool import ConnectionPool

from services.catalogue import Catalogue
from services.integrity.sealing.reader import LogReader
from services.integrity.sealing.sealer import Sealer
from services.integrity.sealing.store import LogName
from services.keys import KeyRing
from services.ledger.ledger import Ledger
from services.postgres.database import Connect


@dataclass(frozen=True, slots=True)
class Backend:
    """The open parts behind the routes."""

    ledger: Ledger
    reads: ConnectionPool[Connection[Any]]
    """For keys, balances, subscriptions and idempotency records: what a payment needs."""
    long_reads: ConnectionPool[Connection[Any]]
    """For lists, history and replays. There are few, so that no more of them run at once."""
    connect: Connect
    """Make an autocommit connection, for work that holds one for long."""
    schema: str
    catalogue: Catalogue
    keys: KeyRing
    clock: Callable[[], datetime]
    test_clocks_enabled: bool
    sealer: Sealer
    logs: Mapping[LogName, LogReader]
    """The log of events, and that of refusals."""
    has_witnesses: bool
    webhooks_allow_private: bool
    metrics_folder: Path | None = None
    """Where the processes that share a socket add up their metrics."""
    request_log_level: Literal["debug", "info"] | None = None
    """The level at which each request has a line in the log; None for none."""
    rate_limit: int | None = None
    """Requests a second that each key may make of this process; None for any number."""
