"""The event-sourcing library's parts, made for one schema and on connections like all others of the service.

The stock factory takes a database apart into name, host, port, user and password, which loses everything else that a
URL says (how to verify the server, for one), sets session variables, and repeats what failed ten times over, which
makes twenty seconds of a timeout of two. It also heeds environment variables that are not ours.
"""

from collections.abc import Callable, Sequence
from typing import Any
from uuid import UUID

from eventsourcing.persistence import StoredEvent
from eventsourcing.postgres import (
    BasePostgresFactory,
    PostgresAggregateRecorder,
    PostgresApplicationRecorder,
    PostgresDatastore,
    PostgresFactory,
)
from eventsourcing.utils import Environment
from psycopg import Connection
from psycopg.rows import dict_row

from services.ledger.mapper import SNAPSHOT_TOPIC
from services.ledger.recorder import LedgerRecorder
from services.postgres.database import CONNECT_TIMEOUT_SECONDS, configure
from services.postgres.sql import load_queries


class LedgerDatastore(PostgresDatastore):
    """A pool on the service's own database URL and type adapters."""

    def __init__(self, database_url: str, schema: str) -> None:
        super().__init__(
            dbname="",
            host="",
            port="",
            user="",
            password="",
            connect_timeout=CONNECT_TIMEOUT_SECONDS,
            pool_size=1,
            max_overflow=3,
            pre_ping=True,
            schema=schema,
        )
        self.pool.conninfo = database_url
        self.pool.kwargs = {
            "autocommit": True,
            "connect_timeout": CONNECT_TIMEOUT_SECONDS,
            "row_factory": dict_row,
        }

    def after_connect_func(self) -> Callable[[Connection[Any]], None]:
        """What a new connection goes through."""
        return configure

    def register_type_adapters(self) -> None:
        """Nothing: no composite types are sent, and making the parts does not connect."""


class SnapshotRecorder(PostgresAggregateRecorder):
    """Keeps snapshots in today's form: those of an earlier one are as good as not there."""

    def __init__(self, datastore: PostgresDatastore, *, events_table_name: str) -> None:
        super().__init__(datastore, events_table_name=events_table_name)
        self._queries = load_queries(__file__, "ledger.sql", schema=datastore.schema)

    def insert_events(self, stored_events: Sequence[StoredEvent], **kwargs: Any) -> None:
        """Store snapshots, each once. Raises PersistenceError."""
        arguments = {
            "ids": [snapshot.originator_id for snapshot in stored_events],
            "versions": [snapshot.originator_version for snapshot in stored_events],
            "topics": [snapshot.topic for snapshot in stored_events],
            "states": [snapshot.state for snapshot in stored_events],
        }
        with self.datastore.get_connection() as connection:
            connection.execute(self._queries["insert_snapshots"], arguments)

    def select_events(
        self,
        originator_id: UUID | str,
        *,
        gt: int | None = None,
        lte: int | None = None,
        desc: bool = False,
        limit: int | None = None,
    ) -> Sequence[StoredEvent]:
        """The snapshots of one stream, with `gt` and `lte` bounding the version. Raises PersistenceError."""
        arguments = {
            "id": originator_id,
            "topic": SNAPSHOT_TOPIC,
            "above": gt or 0,
            "up_to": 2**63 - 1 if lte is None else lte,
            "limit": limit,
        }
        query = self._queries["list_snapshots_down" if desc else "list_snapshots_up"]
        with self.datastore.get_connection() as connection:
            rows = connection.execute(query, arguments)
            return [StoredEvent(originator_id, *row.values()) for row in rows]


class LedgerFactory(PostgresFactory):
    """Makes the parts of one schema; the tables are there already, by migration."""

    application_recorder_class: type[PostgresApplicationRecorder] = LedgerRecorder
    aggregate_recorder_class: type[PostgresAggregateRecorder] = SnapshotRecorder

    def __init__(self, env: Environment, database_url: str, schema: str) -> None:
        super(BasePostgresFactory, self).__init__(env)  # the stock one would make a datastore of its own
        self.datastore = LedgerDatastore(database_url, schema)

    def env_create_table(self) -> bool:
        """No: parallel starts that create functions crash each other."""
        return False
