"""Reads balances as last recorded."""

from collections.abc import Sequence
from datetime import datetime
from typing import Any
from uuid import UUID

from msgspec import Struct
from psycopg import Connection

from projections.balance.project import BALANCE, BalanceRow
from services.postgres.arrays import Uuids
from services.postgres.sql import load_queries


class RecordedBalance(Struct, frozen=True):
    """The row of a subscription; `clock_now` is the time of its test clock, where it lives by one."""

    row: BalanceRow
    clock_now: datetime | None


class BalanceQueries:
    """Reads the balance table of one schema."""

    def __init__(self, schema: str) -> None:
        queries = load_queries("projections.balance", "balance.sql", schema=schema)
        columns = ", ".join(f"b.{column.name}" for column in BALANCE.columns)
        self._count_by_plan = queries["count_by_plan"]
        self._select_balances = queries["select_balances"].replace(b"{columns}", columns.encode())

    def find(self, connection: Connection[Any], ids: Sequence[UUID]) -> dict[UUID, RecordedBalance]:
        """Read the balances of subscriptions by id; an id that is unknown is missing. Raises psycopg.Error."""
        rows = connection.execute(self._select_balances, {"ids": Uuids(ids)})
        return {id: RecordedBalance(BalanceRow(*row), clock_now) for clock_now, id, *row in rows}

    def count_by_plan(self, connection: Connection[Any]) -> dict[str, int]:
        """Count the subscriptions that have not ended, by the id of their plan. Raises psycopg.Error."""
        return dict(connection.execute(self._count_by_plan).fetchall())
