"""Puts the role together that delivers webhooks."""

import threading
from contextlib import ExitStack
from functools import partial

from services.bootstrap.database import serving_url_of
from services.config import Settings
from services.ledger.ledger import utc_now
from services.postgres.database import connect, reading_pool
from services.process.status_page import status_page
from services.webhooks.role import WebhookRole

CONNECTIONS = 4


def run_webhooks(settings: Settings, stopping: threading.Event, *, has_status_page: bool) -> None:
    """Deliver webhooks until `stopping` is set. Raises NoDatabase, NotMigrated, OSError for a port in use."""
    database_url = serving_url_of(settings)
    with reading_pool(database_url, size=CONNECTIONS) as connections, ExitStack() as parts:
        role = WebhookRole(
            connections,
            partial(connect, database_url, autocommit=True),
            settings.db_schema,
            utc_now,
            allow_private=settings.webhooks_allow_private,
        )
        if has_status_page:
            parts.enter_context(status_page(settings.host, settings.port, role.registry, role.find_trouble))
        role.run(stopping)
