"""Disputes as they are now: one is read from its stream, a list as far as its projection has come."""

from collections.abc import Mapping, Sequence
from typing import Any
from uuid import UUID

from psycopg import Connection

from projections.charges.queries import ChargeQueries
from projections.declaration import MAX_POSITION
from projections.disputes.queries import DisputeQueries, ListedDispute
from projections.disputes.view import DisputeView
from services.dispute.state import Status
from services.ledger.history import charge_from_row
from services.ledger.mapper import fold_disputes
from services.ledger.recorder import chained_event
from services.ledger.records import DisputeHead
from services.postgres.sql import load_queries


class Disputes:
    """Reads the disputes of one schema."""

    def __init__(self, schema: str) -> None:
        self._queries = load_queries(__file__, "disputes.sql", schema=schema)
        self._listed = DisputeQueries(schema)
        self._charges = ChargeQueries(schema, charge_from_row)

    def head(self, connection: Connection[Any], dispute_id: UUID) -> DisputeHead | None:
        """Fold a dispute's stream; None where there is no such dispute."""
        return self._heads(connection, {dispute_id: MAX_POSITION}).get(dispute_id)

    def find(self, connection: Connection[Any], dispute_id: UUID) -> DisputeView | None:
        """Return a dispute as it is now; None where there is no such dispute."""
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
        within: Sequence[UUID] | None = None,
    ) -> list[tuple[int, DisputeView]]:
        """Return disputes that were opened before a position, newest first, each with the position of its opening.

        `within` has the subscriptions whose disputes are meant; None: all. The list goes as far as the projection has
        come; the charge of each is shown as it is now.
        """
        found: list[ListedDispute] = self._listed.list(
            connection, subscription_id=subscription_id, status=status, before=before, limit=limit, within=within
        )
        heads = self._heads(connection, {each.dispute_id: each.version for each in found})
        return [(each.position, self._view(connection, heads[each.dispute_id])) for each in found]

    def _view(self, connection: Connection[Any], head: DisputeHead) -> DisputeView:
        state = head.state
        charge = self._charges.find(connection, state.subscription_id, state.generation_id)
        assert charge is not None, "a dispute is opened about a charge, and charges stay"
        return head.view(charge)

    def _heads(self, connection: Connection[Any], versions: Mapping[UUID, int]) -> dict[UUID, DisputeHead]:
        arguments = {"ids": [*versions], "versions": [*versions.values()]}
        rows = connection.execute(self._queries["select_dispute_events"], arguments)
        return fold_disputes(map(chained_event, rows))
