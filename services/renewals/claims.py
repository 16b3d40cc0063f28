"""Claims on shares of the work, so that workers that run at once do different parts of it.

A share is a sixteenth of the subscriptions, by their ids, or all those on one test clock. Correctness does not rest on
claims: what two workers record at once, the second finds recorded.
"""

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

from psycopg import Connection

from projections.renewal.due import DueSubscription
from services.postgres.sql import load_queries

_SHARES = 16


def share_of(due: DueSubscription) -> str:
    """The share that a due subscription belongs to."""
    return share_of_clock(due.test_clock_id) if due.test_clock_id else f"part {due.subscription_id.int % _SHARES}"


def share_of_clock(test_clock_id: str) -> str:
    """The share of the subscriptions on a test clock."""
    return f"clock {test_clock_id}"


class Claims:
    """The claims of one transaction, which is on the caller's autocommit connection and ends with `held`."""

    def __init__(self, connection: Connection[Any], schema: str) -> None:
        self._connection = connection
        self._schema = schema
        self._queries = load_queries(__file__, "claims.sql", schema=schema)

    @contextmanager
    def held(self) -> Iterator[None]:
        """Within it claims can be taken; they are given back at its end. Raises psycopg.OperationalError when lost."""
        with self._connection.transaction():
            self._connection.execute(self._queries["begin_claims"])
            yield

    def take_if_free(self, share: str) -> bool:
        """Claim a share unless someone else has it."""
        row = self._connection.execute(self._queries["claim_if_free"], self._named(share)).fetchone()
        return row is not None and bool(row[0])

    def take(self, share: str) -> None:
        """Claim a share as soon as nobody else has it. Raises psycopg.OperationalError after 20 seconds."""
        self._connection.execute(self._queries["claim"], self._named(share))

    def keep(self) -> None:
        """Say that the holder is alive: after 30 seconds of silence the server gives the claims to others."""
        self._connection.execute(self._queries["keep_claims"])

    def _named(self, share: str) -> dict[str, str]:
        return {"schema": self._schema, "share": share}
