"""Takes events into staged tables that are filled already, up to the newest: few at a time, in transactions.

The state of a stream is read back from its two staged rows, so that nothing of the fill must stay in memory.
"""

from collections.abc import Iterable, Sequence
from typing import Any
from uuid import UUID

from psycopg import Connection

from projections.charges import project as charges
from projections.engine import CatchUp
from projections.ledger_events import EventReader, LedgerEvent
from projections.rebuilding.fold import BUILT_TABLES, COUNTER_EVENTS, SUBSCRIPTION_EVENTS, Head, write_states
from projections.rebuilding.staging import staged
from projections.renewal.project import state_of, with_counters
from services.postgres.sql import load_queries
from services.subscription.state import evolve

EVENTS_A_TRANSACTION = 5_000


class Tail:
    """The newest events on their way into the staged tables; `position` is the last one that is in."""

    def __init__(
        self, schema: str, reader: EventReader, tables: Iterable[str], catch_ups: Sequence[CatchUp], position: int
    ) -> None:
        self._reader = reader
        self._tables = frozenset(tables)
        self._catch_ups = catch_ups
        self._fold = staged(load_queries(__file__, "fold.sql", schema=schema), schema, BUILT_TABLES)
        charges_queries = load_queries("projections.charges", "charges.sql", schema=schema)
        self._charges = staged(charges_queries, schema, BUILT_TABLES)
        self.position = position

    def follow(self, connection: Connection[Any]) -> None:
        """Take what is there, on an autocommit connection. Raises BadEvent."""
        last = self._reader.last_position(connection)
        while self.position < last:
            with connection.transaction():
                position = self.take(connection, last, EVENTS_A_TRANSACTION)
            self.position = position

    def take(self, connection: Connection[Any], until: int, limit: int | None = None) -> int:
        """Take events in the caller's transaction; the last one's position, to be kept once that has committed."""
        rows = self._reader.rows(connection, after=self.position, until=until, limit=limit)
        if not rows:
            return self.position
        events = [self._reader.decode(row) for row in rows]
        if "balance" in self._tables:
            self._take_states(connection, [each for each in events if type(each.event) in SUBSCRIPTION_EVENTS])
        if "charges" in self._tables:
            self.take_charges(connection, events)
        for projection in self._catch_ups:
            projection.apply(connection, [each for each in events if type(each.event).__name__ in projection.topics])
        return events[-1].position

    def take_charges(self, connection: Connection[Any], events: Sequence[LedgerEvent]) -> None:
        """Insert charges, then mark those that were given back."""
        rows = [(each.stream_id, charges.project(each.event, each.version)) for each in events]
        for query, kind in (("insert_charges", charges.ChargeRow), ("reverse_charges", charges.ReversedCharge)):
            if chosen := [(id, row) for id, row in rows if isinstance(row, kind)]:
                arguments = {
                    "ids": [id for id, _ in chosen],
                    "generation_ids": [row.generation_id for _, row in chosen],
                    "versions": [row.version for _, row in chosen],
                }
                connection.execute(self._charges[query], arguments)

    def _take_states(self, connection: Connection[Any], events: Sequence[LedgerEvent]) -> None:
        heads = self._heads(connection, {each.stream_id for each in events})
        for each in events:
            head = heads.get(each.stream_id)
            state = evolve(head.state if head else None, each.event)
            is_change = head is None or type(each.event) not in COUNTER_EVENTS
            heads[each.stream_id] = Head(state, each.position, state if is_change or not head else head.changed)
        for query in ("delete_balances", "delete_renewals"):
            connection.execute(self._fold[query], {"ids": list(heads)})
        write_states(connection, self._fold, heads.items())

    def _heads(self, connection: Connection[Any], ids: Iterable[UUID]) -> dict[UUID, Head]:
        rows = connection.execute(self._fold["select_states"], {"ids": list(ids)})
        return {
            id: Head(
                with_counters(state, version=version, used_credits=used, reversed_credits=reversed_credits),
                0,
                state_of(state),
            )
            for id, state, version, used, reversed_credits in rows
        }
