"""Puts the role together that delivers webhooks, and gives endpoints notice of what the ledger's operator finds."""

import threading
from contextlib import ExitStack
from functools import partial

from services.bootstrap.database import connect_migrated, serving_url_of
from services.config import Settings
from services.ledger.ledger import utc_now
from services.postgres.database import connect, reading_pool
from services.process.status_page import status_page
from services.webhooks.messages import VERIFICATION_FAILED, encode
from services.webhooks.role import WebhookRole
from services.webhooks.store import WebhookStore

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


def notice_failed_verification(settings: Settings, findings: int, first: str) -> None:
    """Tell the endpoints that take it what a verification found. Raises NoDatabase, NotMigrated, psycopg.Error."""
    data = encode({"findings": findings, "first": first}).decode()
    with connect_migrated(settings) as connection:
        WebhookStore(settings.db_schema).add_notices(connection, VERIFICATION_FAILED, utc_now(), data)
