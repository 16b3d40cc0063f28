"""Applies events to the disputes table."""

from collections.abc import Sequence
from typing import Any

from psycopg import Connection

from projections.disputes.project import OpenedDispute, ResolvedDispute, opened, resolved
from projections.ledger_events import LedgerEvent
from services.dispute.events import DisputeOpened, DisputeResolved
from services.postgres.sql import Queries


class Disputes:
    """The disputes projection, over `queries` of `disputes.sql`."""

    name = "disputes"
    tables = ("disputes",)
    topics = frozenset((DisputeOpened.__name__, DisputeResolved.__name__))

    def __init__(self, queries: Queries) -> None:
        self._queries = queries

    def apply(self, connection: Connection[Any], events: Sequence[LedgerEvent]) -> None:
        """Add the disputes that were opened, then move those that were resolved."""
        new, moved = list[OpenedDispute](), list[ResolvedDispute]()
        for each in events:
            if isinstance(each.event, DisputeOpened):
                new.append(opened(each.stream_id, each.event, each.recorded_at, each.position))
            elif isinstance(each.event, DisputeResolved):
                moved.append(resolved(each.stream_id, each.event, each.version))
        if new:
            connection.execute(self._queries["insert_disputes"], _new_rows(new))
        if moved:
            connection.execute(self._queries["move_disputes"], _moved_rows(moved))


def _new_rows(rows: Sequence[OpenedDispute]) -> dict[str, list[Any]]:
    return {
        "ids": [row.dispute_id for row in rows],
        "subscription_ids": [row.subscription_id for row in rows],
        "generation_ids": [row.generation_id for row in rows],
        "reasons": [row.reason for row in rows],
        "instants": [row.opened_at for row in rows],
        "positions": [row.position for row in rows],
    }


def _moved_rows(rows: Sequence[ResolvedDispute]) -> dict[str, list[Any]]:
    return {
        "ids": [row.dispute_id for row in rows],
        "statuses": [row.status for row in rows],
        "versions": [row.version for row in rows],
    }
