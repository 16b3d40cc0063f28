"""Reads the balance table."""

from collections.abc import Sequence
from datetime import datetime
from typing import Any
from uuid import UUID

from msgspec import Struct
from psycopg import Connection

from projections.balance.project import BALANCE, BalanceRow
from services.postgres.arrays import Uuids
from services.postgres.sql import load_queries


class FoundBalance(Struct, frozen=True):
    """A row, and what its test clock says where it has one."""

    row: BalanceRow
    clock_now: datetime | None


class BalanceQueries:
    """The queries of one schema."""

    def __init__(self, schema: str) -> None:
        queries = load_queries("projections.balance", "balance.sql", schema=schema)
        columns = ", ".join(f"b.{column.name}" for column in BALANCE.columns)
        self._select_balances = queries["select_balances"].replace(b"{columns}", columns.encode())

    def find(self, connection: Connection[Any], ids: Sequence[UUID]) -> dict[UUID, FoundBalance]:
        """The balances of subscriptions as last recorded, of those that there are."""
        rows = connection.execute(self._select_balances, {"ids": Uuids(ids)})
        return {id: FoundBalance(BalanceRow(*row), clock_now) for clock_now, id, *row in rows}
