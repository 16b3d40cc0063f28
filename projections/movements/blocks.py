"""Keeps sums of blocks of movements, by the minute, so that no trial balance has to read all rows.

A block is `BLOCK_ROWS` rows one after the other, and never changes: rows are only added behind it. What is behind the
last block is read from the rows, so that nothing depends on when blocks are made.
"""

from typing import Any

from psycopg import Connection

from projections.statements import Executor
from services.postgres.sql import load_queries

BLOCK_ROWS = 10_000


class Blocks:
    """The blocks of one schema. Every method raises psycopg.Error."""

    def __init__(self, schema: str) -> None:
        self._queries = load_queries("projections.movements", "blocks.sql", schema=schema)

    def fill(self, connection: Executor, rows: int = BLOCK_ROWS) -> int:
        """Add the next block, where there are rows for it, and return in how many minutes these were recorded, else 0.

        The caller's transaction holds the position of the projection.
        """
        return int(connection.execute(self._queries["fill"], {"rows": rows}).rowcount)

    def clear(self, connection: Connection[Any]) -> None:
        """Forget all blocks."""
        connection.execute(self._queries["clear"])

    def differences(self, connection: Connection[Any]) -> list[tuple[int, int]]:
        """List the blocks that are not the sums of their rows, each by its first and last position."""
        return connection.execute(self._queries["select_differences"]).fetchall()
