"""Tells what a refusal was decided on: the version, the position and the balance of its subscription.

The lane knows version and balance. The position of a version never changes, so it is read after the refusal, outside
the transaction of payments, and kept for those who ask again.
"""

import asyncio
from collections.abc import Iterable, Mapping, Sequence
from functools import partial
from typing import Any
from uuid import UUID

from psycopg import Connection
from psycopg_pool import ConnectionPool

from services.http.problems import RefusedOn
from services.ledger.history import History
from services.ledger.submission import Answer, Refused
from services.postgres.database import read_again

CACHED_MAX = 50_000


class RefusedStates:
    """What refusals were decided on, in one ledger. For one event loop."""

    def __init__(self, connections: ConnectionPool[Connection[Any]], history: History) -> None:
        self._connections = connections
        self._history = history
        self._positions: dict[UUID, tuple[int, int]] = {}
        """The version and the position of the last refusal of each subscription."""

    async def of(self, subscription_id: UUID, answer: Refused) -> RefusedOn | None:
        """Return what a refusal was decided on; None for one that says nothing of it. Raises psycopg.Error."""
        if (decided_on := answer.decided_on) is None:
            return None
        version = decided_on.version
        place = subscription_id, version
        cached_version, position = self._positions.get(subscription_id, (0, 0))
        if cached_version != version:
            position = (await asyncio.to_thread(read_again, partial(self._read, [place])))[place]
            self._remember(subscription_id, version, position)
        return RefusedOn(version, position, decided_on.balance_credits)

    async def of_all(self, answers: Iterable[tuple[UUID, Answer]]) -> Sequence[RefusedOn | None]:
        """The same for many answers, which are None here unless they are such refusals. Raises psycopg.Error."""
        answers = list(answers)
        places = {
            (id, answer.decided_on.version)
            for id, answer in answers
            if isinstance(answer, Refused) and answer.decided_on is not None
        }
        if not places:
            return [None] * len(answers)
        positions = await asyncio.to_thread(read_again, partial(self._read, [*places]))
        return [
            RefusedOn(
                answer.decided_on.version,
                positions[id, answer.decided_on.version],
                answer.decided_on.balance_credits,
            )
            if isinstance(answer, Refused) and answer.decided_on is not None
            else None
            for id, answer in answers
        ]

    def _read(self, places: Sequence[tuple[UUID, int]]) -> Mapping[tuple[UUID, int], int]:
        with self._connections.connection() as connection:
            return self._history.positions(connection, places)

    def _remember(self, subscription_id: UUID, version: int, position: int) -> None:
        if len(self._positions) >= CACHED_MAX:
            self._positions.clear()
        self._positions[subscription_id] = version, position
