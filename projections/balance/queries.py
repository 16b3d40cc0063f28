"""Reads the balance table."""

from collections.abc import Sequence
from datetime import datetime
from typing import Any
from uuid import UUID

from msgspec import Struct
from psycopg import Connection

from projections.balance.project import BalanceRow
from services.postgres.arrays import Uuids
from services.postgres.sql import load_queries


class FoundBalance(Struct, frozen=True):
    """A row, the position of its last event, and what its test clock says where it has one."""

    row: BalanceRow
    position: int
    clock_now: datetime | None


class BalanceQueries:
    """The queries of one schema."""

    def __init__(self, schema: str) -> None:
        self._queries = load_queries("projections.balance", "balance.sql", schema=schema)

    def find(self, connection: Connection[Any], ids: Sequence[UUID]) -> dict[UUID, FoundBalance]:
        """The balances of subscriptions as last recorded, of those that there are."""
        rows = connection.execute(self._queries["select_balances"], {"ids": Uuids(ids)})
        return {id: FoundBalance(BalanceRow(*row), position, clock_now) for id, position, clock_now, *row in rows}
