"""The composition root of what records the passing of time."""

import threading
from collections.abc import Iterator
from contextlib import ExitStack, closing, contextmanager
from typing import Any

from prometheus_client import CollectorRegistry
from psycopg import Connection

from projections.renewal.lag import LagCollector
from services.bootstrap.serving import catalogue_of, migrated_url
from services.config import Settings
from services.ledger.ledger import Ledger, utc_now
from services.postgres.database import connect
from services.process.status_page import status_page
from services.renewals.recording import Tally
from services.renewals.role import Progress, RenewalRole
from services.renewals.worker import RenewalWorker


def run_renewals(settings: Settings, stopping: threading.Event, progress: Progress, *, has_status_page: bool) -> None:
    """Record what falls due until told to stop. Raises CatalogueError, NoDatabase, NotMigrated, OSError for a port."""
    with _renewals(settings, progress) as role, ExitStack() as parts:
        if has_status_page:
            parts.enter_context(status_page(settings.host, settings.port, role.registry, role.find_trouble))
        role.run(stopping)


def record_due(settings: Settings, progress: Progress) -> Tally:
    """Record what is due now. Raises CatalogueError, NoDatabase, NotMigrated, psycopg.Error."""
    with _renewals(settings, progress) as role:
        return role.record_all()


@contextmanager
def _renewals(settings: Settings, progress: Progress) -> Iterator[RenewalRole]:
    database_url, schema = migrated_url(settings), settings.db_schema

    def connected() -> Connection[Any]:
        return connect(database_url, autocommit=True)

    registry = CollectorRegistry()
    registry.register(LagCollector(lambda: closing(connected()), schema, utc_now))
    with (
        Ledger(database_url, schema, catalogue_of(settings)) as opened,
        RenewalWorker(opened.lane, connected, schema, utc_now) as worker,
    ):
        yield RenewalRole(worker, registry, progress)
