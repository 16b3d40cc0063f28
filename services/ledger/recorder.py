"""The library's recorder, with the ledger's way to append: typed arrays and the head row.

The stock recorder locks the whole table, notifies, and repeats an insert whose commit may have succeeded. This one
appends only inside a transaction that the writer lane owns, and reads the two columns that the ledger adds.
"""

from collections.abc import Sequence
from typing import Any
from uuid import UUID

from eventsourcing.persistence import StoredEvent
from eventsourcing.postgres import PostgresApplicationRecorder
from psycopg import sql

from services.ledger.records import ChainedEvent
from services.postgres.arrays import Bigints, Blobs, Instants, Texts, Uuids
from services.postgres.session import PendingResult, Session
from services.postgres.sql import Queries, load_queries

COLUMNS = "originator_id, originator_version, topic, state, recorded_at, previous_hash, notification_id"


def chained_event(row: Sequence[Any]) -> ChainedEvent:
    """A row of `COLUMNS` as a stored event."""
    stream_id, version, topic, state, recorded_at, previous_hash, position = row
    return ChainedEvent(stream_id, version, topic, bytes(state), recorded_at, bytes(previous_hash), position)


class LedgerRecorder(PostgresApplicationRecorder):
    """Appends under the head row and selects with the hash chain."""

    @property
    def queries(self) -> Queries:
        """The named statements for this recorder's schema."""
        if not hasattr(self, "_queries"):
            self._queries = load_queries(__file__, "ledger.sql", schema=self.datastore.schema)
        return self._queries

    def append(self, session: Session, events: Sequence[ChainedEvent]) -> "PendingPositions":
        """Append within the caller's transaction; the positions can be asked for once the pipeline was synced.

        The primary key (stream, version) refuses a version that is already there.
        """
        result = session.execute(
            self.queries["append_events"],
            {
                "count": len(events),
                "ids": Uuids([event.originator_id for event in events]),
                "versions": Bigints([event.originator_version for event in events]),
                "instants": Instants([event.recorded_at for event in events]),
                "topics": Texts([event.topic for event in events]),
                "previous_hashes": Blobs([event.previous_hash for event in events]),
                "states": Blobs([event.state for event in events]),
            },
        )
        return PendingPositions(result)

    def insert_events(self, stored_events: Sequence[StoredEvent], **kwargs: Any) -> Sequence[int]:
        """Not a way to write: everything goes through the writer lane, which uses `append`."""
        raise NotImplementedError("events are appended by the writer lane only")

    def select_events(
        self,
        originator_id: UUID | str,
        *,
        gt: int | None = None,
        lte: int | None = None,
        desc: bool = False,
        limit: int | None = None,
    ) -> Sequence[ChainedEvent]:
        """The events of one stream, with `gt` and `lte` bounding the version."""
        statement = sql.SQL(
            "SELECT {columns} FROM {table} WHERE originator_id = %s AND originator_version > %s"
            " AND originator_version <= %s ORDER BY originator_version {order} LIMIT %s"
        ).format(columns=sql.SQL(COLUMNS), table=self._table, order=sql.SQL("DESC" if desc else "ASC"))
        newest = 2**63 - 1 if lte is None else lte
        with self.datastore.get_connection() as connection:
            rows = connection.execute(statement, (originator_id, gt or 0, newest, limit))
            return [chained_event(tuple(row.values())) for row in rows]

    @property
    def _table(self) -> sql.Identifier:
        return sql.Identifier(self.datastore.schema, self.events_table_name)


class PendingPositions:
    """The positions of appended events, known once their statement has run."""

    def __init__(self, result: PendingResult) -> None:
        self._result = result

    def base(self) -> int:
        """The position before the first of them; each event's own is `base + 1`, `base + 2`, ..."""
        ((base,),) = self._result.rows()
        return int(base)
