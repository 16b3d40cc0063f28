"""The event-sourcing library's application, on the ledger's recorder and mapper."""

from collections.abc import Iterable
from typing import Any
from uuid import UUID

from eventsourcing.application import AggregateNotFoundError, Application
from psycopg.conninfo import conninfo_to_dict

from services.ledger.mapper import EventMapper
from services.ledger.recorder import LedgerRecorder
from services.ledger.records import StreamHead, extend
from services.subscription.state import Subscription


class LedgerApplication(Application[UUID]):
    """History of one ledger, which is one schema: events and snapshots of streams, and the notification log."""

    name = "ledger"
    is_snapshotting_enabled = True

    recorder: LedgerRecorder
    mapper: EventMapper

    def __init__(self, database_url: str, schema: str, *, pool_size: int = 1, max_overflow: int = 3) -> None:
        super().__init__(_environment(database_url, schema, pool_size, max_overflow))

    def head(self, stream_id: UUID, version: int | None = None) -> StreamHead | None:
        """The head of a stream, now or at a version, from the nearest snapshot on; None where there is no stream."""
        try:
            return self.repository.get(stream_id, version=version, projector_func=_project_head)
        except AggregateNotFoundError:
            return None

    def state(self, stream_id: UUID, version: int | None = None) -> Subscription | None:
        """The state of a stream as its events left it, now or at a version."""
        head = self.head(stream_id, version)
        return head.state if head else None


def _project_head(head: StreamHead | None, items: Iterable[Any]) -> StreamHead | None:
    """Fold what the repository found: a snapshot first, where there is one, then the events after it."""
    found = list(items)
    if found and isinstance(found[0], StreamHead):
        head = found.pop(0)
    return extend(head, found)


def _environment(database_url: str, schema: str, pool_size: int, max_overflow: int) -> dict[str, str]:
    target = conninfo_to_dict(database_url)
    return {
        "PERSISTENCE_MODULE": "eventsourcing.postgres",
        "APPLICATION_RECORDER_TOPIC": "services.ledger.recorder:LedgerRecorder",
        "MAPPER_TOPIC": "services.ledger.mapper:EventMapper",
        "CREATE_TABLE": "n",
        "POSTGRES_ENABLE_DB_FUNCTIONS": "n",
        "POSTGRES_DBNAME": str(target.get("dbname") or "postgres"),
        "POSTGRES_HOST": str(target.get("host") or "localhost"),
        "POSTGRES_PORT": str(target.get("port") or 5432),
        "POSTGRES_USER": str(target.get("user") or "postgres"),
        "POSTGRES_PASSWORD": str(target.get("password") or ""),
        "POSTGRES_SCHEMA": schema,
        "POSTGRES_POOL_SIZE": str(pool_size),
        "POSTGRES_MAX_OVERFLOW": str(max_overflow),
    }
