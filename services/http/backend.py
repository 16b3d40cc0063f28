"""What the HTTP layer works on, made and closed by the composition root."""

from collections.abc import Callable
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from psycopg import Connection
from psycopg_pool import ConnectionPool

from services.catalogue import Catalogue
from services.integrity.sealer import Sealer
from services.keys import KeyRing
from services.ledger.ledger import Ledger
from services.postgres.database import Connect


@dataclass(frozen=True, slots=True)
class Backend:
    """The open parts behind the routes."""

    ledger: Ledger
    reads: ConnectionPool[Connection[Any]]
    connect: Connect
    """Makes an autocommit connection, for what keeps one for long."""
    schema: str
    catalogue: Catalogue
    keys: KeyRing
    clock: Callable[[], datetime]
    test_clocks_enabled: bool
    sealer: Sealer
