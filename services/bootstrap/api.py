"""Puts the API together and answers HTTP on a socket."""

import signal
import socket
from collections.abc import Iterator
from contextlib import closing, contextmanager
from pathlib import Path

from services.bootstrap.database import serving_url_of
from services.bootstrap.keys import ensure_configured_key, operator
from services.bootstrap.ledger import catalogue_of, stored_catalogue_of
from services.bootstrap.signing import has_quorum, log_reader_of, sealer_of
from services.config import Settings
from services.http.app import create_app
from services.http.backend import Backend
from services.http.patience import LONG_READ_SECONDS
from services.http.server.wire import server_of
from services.integrity.sealing.store import LOGS
from services.keys import KeyRing
from services.ledger.ledger import Ledger, utc_now
from services.postgres.database import connect, reading_pool
from services.process.interpreter import tune_for_serving

READING_CONNECTIONS = 8
LONG_READING_CONNECTIONS = 4


def run_api(settings: Settings, listening: socket.socket, metrics_folder: Path | None = None) -> None:
    """Answer HTTP on a socket until SIGTERM or SIGINT. Raises CatalogueError, NoDatabase, NotMigrated."""
    with _open_backend(settings, metrics_folder) as backend:
        app = create_app(backend)
        server = server_of(app)
        tune_for_serving()
        # uvicorn stops in good order and then raises the signal again; an ordered stop is not a failure.
        for number in (signal.SIGINT, signal.SIGTERM):
            signal.signal(number, lambda _number, _frame: None)
        with closing(app.metrics.shared) as shared:
            shared.start()
            server.run(sockets=[listening])


@contextmanager
def _open_backend(settings: Settings, metrics_folder: Path | None) -> Iterator[Backend]:
    catalogue_of(settings)
    database_url, schema = serving_url_of(settings), settings.db_schema
    catalogue = stored_catalogue_of(settings, database_url)
    with (
        reading_pool(database_url, size=READING_CONNECTIONS) as reads,
        reading_pool(database_url, size=LONG_READING_CONNECTIONS, statement_seconds=LONG_READ_SECONDS) as long_reads,
        Ledger(database_url, schema, catalogue) as ledger,
    ):
        keys = KeyRing(reads, schema, operator())
        ensure_configured_key(settings, keys)
        yield Backend(
            ledger=ledger,
            reads=reads,
            long_reads=long_reads,
            connect=lambda: connect(database_url, autocommit=True),
            schema=schema,
            catalogue=catalogue,
            keys=keys,
            clock=utc_now,
            test_clocks_enabled=settings.test_clocks,
            sealer=sealer_of(settings),
            has_witnesses=has_quorum(settings),
            logs={log: log_reader_of(settings, log) for log in LOGS},
            webhooks_allow_private=settings.webhooks_allow_private,
            rate_limit=settings.rate_limit,
            request_log_level="info" if settings.access_log else "debug" if settings.log_level == "debug" else None,
            metrics_folder=metrics_folder,
        )
