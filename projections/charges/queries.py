"""Reads charges: which there are from the charges table, what they were from their events."""

from collections.abc import Callable, Sequence
from datetime import datetime
from typing import Any
from uuid import UUID

from msgspec import Struct
from msgspec.structs import asdict
from psycopg import Connection

from projections.charges.view import Charge
from services.catalogue.model import AssetType
from services.postgres.sql import load_queries

ReadCharge = Callable[[Sequence[Any], bool], Charge]
"""From an event's columns, in the recorder's order, and whether the charge was reversed. The ledger reads events."""


class ChargeFilter(Struct, frozen=True):
    """Which charges to list: recorded in `[since, until)`, and alike in the rest; None lets everything through."""

    since: datetime | None = None
    until: datetime | None = None
    model: str | None = None
    asset_type: AssetType | None = None
    cycle: int | None = None


class ChargeQueries:
    """The queries of one schema."""

    def __init__(self, schema: str, read_charge: ReadCharge) -> None:
        self._queries = load_queries("projections.charges", "charges.sql", schema=schema)
        self._read_charge = read_charge

    def find(self, connection: Connection[Any], subscription_id: UUID, generation_id: str) -> Charge | None:
        """The charge of a generation; None where there is none."""
        arguments = {"id": subscription_id, "generation_id": generation_id}
        row = connection.execute(self._queries["find_charge"], arguments).fetchone()
        return None if row is None else self._charge(row)

    def of_subscription(
        self, connection: Connection[Any], subscription_id: UUID, wanted: ChargeFilter, *, before: int, limit: int
    ) -> list[Charge]:
        """Charges of a subscription below a version, newest first."""
        return self._list(connection, "list_charges", wanted, id=subscription_id, before=before, limit=limit)

    def of_ledger(
        self,
        connection: Connection[Any],
        wanted: ChargeFilter,
        *,
        generation_id: str | None,
        before: int,
        limit: int,
    ) -> list[Charge]:
        """Charges of all subscriptions below a position, newest first; of one generation id, where it is given."""
        if generation_id is None:
            return self._list(connection, "list_all_charges", wanted, before=before, limit=limit)
        of_generation = {"generation_id": generation_id, "before": before, "limit": limit}
        return self._list(connection, "list_charges_of_generation", wanted, **of_generation)

    def _list(self, connection: Connection[Any], query: str, wanted: ChargeFilter, **arguments: Any) -> list[Charge]:
        rows = connection.execute(self._queries[query], {**asdict(wanted), **arguments})
        return [self._charge(row) for row in rows]

    def _charge(self, row: Sequence[Any]) -> Charge:
        *event, is_reversed = row
        return self._read_charge(event, is_reversed)
