"""Claims shares of the work, so that workers that run at once do different parts of it.

A share is a sixteenth of the subscriptions, by their ids, or all those on one test clock. Correctness does not rest on
claims: where two workers record the same boundary, the second one finds it recorded.
"""

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

from psycopg import Connection

from projections.renewal.due import DueSubscription
from services.postgres.sql import load_queries

_SHARES = 16


def share_of(due: DueSubscription) -> str:
    """Return the share that a due subscription belongs to."""
    return share_of_clock(due.test_clock_id) if due.test_clock_id else f"part {due.subscription_id.int % _SHARES}"


def share_of_clock(test_clock_id: str) -> str:
    """Return the share of the subscriptions on a test clock."""
    return f"clock {test_clock_id}"


class Claims:
    """The claims of one transaction on the caller's autocommit connection."""

    def __init__(self, connection: Connection[Any], schema: str) -> None:
        self._connection = connection
        self._schema = schema
        self._queries = load_queries(__file__, "claims.sql", schema=schema)

    @contextmanager
    def transaction(self) -> Iterator[None]:
        """Open the transaction that holds the claims, and release them at its end.

        Raises psycopg.OperationalError where they were lost.
        """
        with self._connection.transaction():
            self._connection.execute(self._queries["begin_claims"])
            yield

    def try_claim(self, share: str) -> bool:
        """Claim a share unless another worker has it."""
        row = self._connection.execute(self._queries["claim_if_free"], self._parameters(share)).fetchone()
        return row is not None and bool(row[0])

    def claim(self, share: str) -> None:
        """Claim a share as soon as no other worker has it. Raises psycopg.OperationalError after 20 seconds."""
        self._connection.execute(self._queries["claim"], self._parameters(share))

    def claim_all(self) -> None:
        """Claim every subscription that lives in real time, as `claim` does."""
        for part in range(_SHARES):
            self.claim(f"part {part}")

    def keep_alive(self) -> None:
        """Signal that the holder is alive: after 30 seconds of silence the server releases the claims."""
        self._connection.execute(self._queries["keep_claims"])

    def _parameters(self, share: str) -> dict[str, str]:
        return {"schema": self._schema, "share": share}
