"""Puts the renewal worker together."""

import threading
from collections.abc import Iterator
from contextlib import ExitStack, closing, contextmanager
from functools import partial

from prometheus_client import CollectorRegistry

from projections.renewal.lag import LagCollector
from services.bootstrap.database import serving_url_of
from services.bootstrap.ledger import catalogue_of
from services.config import Settings
from services.ledger.ledger import Ledger, utc_now
from services.postgres.database import connect
from services.process.status_page import status_page
from services.renewals.recording import Tally
from services.renewals.role import OpenProgress, RenewalRole
from services.renewals.worker import RenewalWorker


def run_renewals(
    settings: Settings, stopping: threading.Event, progress: OpenProgress, *, has_status_page: bool
) -> None:
    """Record what falls due until `stopping` is set.

    Raises CatalogueError, NoDatabase, NotMigrated, OSError for a port in use.
    """
    with _open_role(settings, progress) as role, ExitStack() as parts:
        if has_status_page:
            parts.enter_context(status_page(settings.host, settings.port, role.registry, role.find_trouble))
        role.run(stopping)


def record_due(settings: Settings, progress: OpenProgress) -> Tally:
    """Record what is due now. Raises CatalogueError, NoDatabase, NotMigrated, psycopg.Error."""
    with _open_role(settings, progress) as role:
        return role.record_all()


@contextmanager
def _open_role(settings: Settings, progress: OpenProgress) -> Iterator[RenewalRole]:
    database_url, schema = serving_url_of(settings), settings.db_schema
    connect_here = partial(connect, database_url, autocommit=True)
    registry = CollectorRegistry()
    registry.register(LagCollector(lambda: closing(connect_here()), schema, utc_now))
    with (
        Ledger(database_url, schema, catalogue_of(settings)) as ledger,
        RenewalWorker(ledger.lane, connect_here, schema, utc_now) as worker,
    ):
        yield RenewalRole(worker, registry, progress)
