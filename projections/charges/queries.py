"""Reads charges: from the charges table where they are recorded, from their events what they were."""

from collections.abc import Callable, Sequence
from datetime import datetime
from typing import Any
from uuid import UUID

from msgspec import Struct
from msgspec.structs import asdict, replace
from psycopg import Connection

from projections.charges.view import Charge
from services.catalogue.model import AssetType
from services.postgres.sql import load_queries

ReadCharge = Callable[[Sequence[Any], Sequence[Any] | None], Charge]
"""Makes a charge from the columns of its event, and from those of its reversal, all in the recorder's order."""

EVENT_COLUMNS = 7


class ChargeFilter(Struct, frozen=True):
    """The charges to list: those recorded in `[since, until)` that equal the other fields. None matches everything."""

    since: datetime | None = None
    until: datetime | None = None
    model: str | None = None
    asset_type: AssetType | None = None
    cycle: int | None = None
    member: str | None = None
    within: Sequence[UUID] | None = None


class ChargeQueries:
    """Reads the charges of one schema. Every method raises psycopg.Error."""

    def __init__(self, schema: str, read_charge: ReadCharge) -> None:
        queries = load_queries("projections.charges", "charges.sql", schema=schema)
        page = queries["list_charges"].replace(b"{filters}", queries["filters"])
        one_stream, version = b"e.originator_id = %(id)s AND ", b"e.originator_version"
        self._find = queries["find_charge"]
        self._of_subscription = page.replace(b"{scope}", one_stream).replace(b"{place}", version)
        self._of_ledger = page.replace(b"{scope}", b"").replace(b"{place}", b"e.notification_id")
        self._of_generation = queries["list_charges_of_generation"].replace(b"{filters}", queries["filters"])
        self._read_charge = read_charge

    def find(self, connection: Connection[Any], subscription_id: UUID, generation_id: str) -> Charge | None:
        """Read the charge of a generation; None where there is none."""
        arguments = {"id": subscription_id, "generation_id": generation_id}
        row = connection.execute(self._find, arguments).fetchone()
        return None if row is None else self._charge(row)

    def of_subscription(
        self,
        connection: Connection[Any],
        subscription_id: UUID,
        charge_filter: ChargeFilter,
        *,
        before: int,
        limit: int,
    ) -> list[Charge]:
        """List charges of a subscription below the version `before`, newest first."""
        return self._list(
            connection, self._of_subscription, charge_filter, id=subscription_id, before=before, limit=limit
        )

    def of_ledger(
        self,
        connection: Connection[Any],
        charge_filter: ChargeFilter,
        *,
        generation_id: str | None,
        before: int,
        limit: int,
        within: Sequence[UUID] | None = None,
    ) -> list[Charge]:
        """List charges of all subscriptions below the position `before`, newest first; of one generation if given.

        `within` has the subscriptions that are meant; None: all.
        """
        if within is not None:
            charge_filter = replace(charge_filter, within=within)
        if generation_id is None:
            return self._list(connection, self._of_ledger, charge_filter, before=before, limit=limit)
        of_generation = {"generation_id": generation_id, "before": before, "limit": limit}
        return self._list(connection, self._of_generation, charge_filter, **of_generation)

    def _list(self, connection: Connection[Any], query: bytes, fields: ChargeFilter, **arguments: Any) -> list[Charge]:
        rows = connection.execute(query, {**asdict(fields), **arguments})
        return [self._charge(row) for row in rows]

    def _charge(self, row: Sequence[Any]) -> Charge:
        event, reversal = row[:EVENT_COLUMNS], row[EVENT_COLUMNS:]
        return self._read_charge(event, None if reversal[0] is None else reversal)
