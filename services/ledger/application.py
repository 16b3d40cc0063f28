"""The event-sourcing library's application, on the ledger's recorder and mapper."""

from collections.abc import Iterable
from typing import Any
from uuid import UUID

from eventsourcing.application import AggregateNotFoundError, Application
from eventsourcing.persistence import InfrastructureFactory
from eventsourcing.utils import Environment, EnvType

from services.ledger.library import LedgerFactory
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

    def __init__(self, database_url: str, schema: str) -> None:
        self._database_url = database_url
        self._schema = schema
        super().__init__()

    def construct_env(self, name: str, env: EnvType | None = None) -> Environment:
        """The library's settings: ours, and nothing that happens to be in the process's environment."""
        return Environment(
            name,
            {
                "MAPPER_TOPIC": "services.ledger.mapper:EventMapper",
                "IS_SNAPSHOTTING_ENABLED": "y",
            },
        )

    def construct_factory(self, env: Environment) -> InfrastructureFactory[Any]:
        """What makes the recorders, for this ledger's schema."""
        return LedgerFactory(env, self._database_url, self._schema)

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
