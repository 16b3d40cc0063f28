"""Disputes for those who read them: one is always fresh from its stream, a list as far as its projection has come."""

from collections.abc import Iterable, Mapping
from itertools import groupby
from typing import Any
from uuid import UUID

from psycopg import Connection

from projections.charges.queries import ChargeQueries
from projections.charges.view import Charge
from projections.disputes.queries import DisputeQueries, FoundDispute
from projections.disputes.view import Dispute, dispute_view
from services.dispute.events import DisputeOpened
from services.dispute.state import Status
from services.ledger.history import read_charge
from services.ledger.mapper import read_dispute_event
from services.ledger.recorder import chained_event
from services.ledger.records import ChainedEvent, DisputeHead, extend_dispute
from services.postgres.sql import load_queries

_NEWEST = 2**63 - 1


class Disputes:
    """The disputes of one schema."""

    def __init__(self, schema: str) -> None:
        self._queries = load_queries(__file__, "disputes.sql", schema=schema)
        self._listed = DisputeQueries(schema)
        self._charges = ChargeQueries(schema, read_charge)

    def head(self, connection: Connection[Any], dispute_id: UUID) -> DisputeHead | None:
        """The newest end of a dispute's stream; None where there is no such dispute."""
        return self._heads(connection, {dispute_id: _NEWEST}).get(dispute_id)

    def find(self, connection: Connection[Any], dispute_id: UUID) -> Dispute | None:
        """A dispute as it is now; None where there is none."""
        head = self.head(connection, dispute_id)
        return None if head is None else self._view(connection, head)

    def list(
        self,
        connection: Connection[Any],
        *,
        subscription_id: UUID | None,
        status: Status | None,
        before: int,
        limit: int,
    ) -> list[tuple[int, Dispute]]:
        """Disputes that were opened before a position, newest first, each with the position of its opening.

        As far as the projection has come; the charge of each is shown as it is now.
        """
        found: list[FoundDispute] = self._listed.list(
            connection, subscription_id=subscription_id, status=status, before=before, limit=limit
        )
        heads = self._heads(connection, {each.dispute_id: each.version for each in found})
        return [(each.position, self._view(connection, heads[each.dispute_id])) for each in found]

    def _view(self, connection: Connection[Any], head: DisputeHead) -> Dispute:
        state = head.state
        charge = self._charges.find(connection, state.subscription_id, state.generation_id)
        assert charge is not None, "a dispute is opened about a charge, and charges stay"
        return view_of(head, charge)

    def _heads(self, connection: Connection[Any], versions: Mapping[UUID, int]) -> dict[UUID, DisputeHead]:
        wanted = {"ids": [*versions], "versions": [*versions.values()]}
        rows = connection.execute(self._queries["select_dispute_events"], wanted)
        return fold_disputes(map(chained_event, rows))


def view_of(head: DisputeHead, charge: Charge) -> Dispute:
    """The public form of a dispute."""
    return dispute_view(head.originator_id, head.state, charge, opened_at=head.opened_at, moved_at=head.recorded_at)


def fold_disputes(events: Iterable[ChainedEvent]) -> dict[UUID, DisputeHead]:
    """The heads of the disputes among streams, whose events come in order. Raises UnreadableEvent."""
    heads: dict[UUID, DisputeHead] = {}
    for id, stream in groupby(events, key=lambda stored: stored.originator_id):
        first, *others = stream
        if first.topic == DisputeOpened.__name__:
            head = extend_dispute(None, map(read_dispute_event, (first, *others)))
            assert head is not None
            heads[id] = head
    return heads
