"""A database session that breaks at its commits, as often and in the way that a test schedules."""

from collections import deque
from collections.abc import Callable, Mapping
from typing import Any, Literal

import psycopg
from psycopg import Connection

from services.ledger.ledger import Ledger
from services.postgres.database import connect
from services.postgres.session import PendingResult, Session

Fate = Literal["stored", "not stored", "unreachable", "answered"]
"""The fate of a commit: stored, though its answer is lost; not stored; or stored and answered. `unreachable` is the
fate of an attempt to connect."""


class Fates:
    """The fates of a lane's next commits, and of its attempts to connect after them."""

    def __init__(self, database_url: str) -> None:
        self._database_url = database_url
        self._scheduled: deque[Fate] = deque()
        self.on_loss: Callable[[], object] = lambda: None
        """Called after each loss, before the lane tries again."""
        self.losses = 0
        self.attempts_to_connect = 0

    def schedule(self, *fates: Fate) -> None:
        """Schedule these fates, one a commit; the commits after them are answered."""
        self._scheduled.extend(fates)

    def clear(self) -> None:
        """Answer every commit from now on."""
        self._scheduled.clear()

    def next(self) -> Fate:
        """Return the fate of the next commit."""
        return self._scheduled.popleft() if self._scheduled else "answered"

    def lose(self) -> psycopg.OperationalError:
        """Count a loss; return the error to raise."""
        self.losses += 1
        self.on_loss()
        return psycopg.OperationalError("the connection was lost")

    def connect(self) -> "BreakingSession":
        """Open a session whose commits have these fates. Raises psycopg.OperationalError where unreachable."""
        self.attempts_to_connect += 1
        if self._scheduled and self._scheduled[0] == "unreachable":
            self._scheduled.popleft()
            raise psycopg.OperationalError("the server is gone")
        return BreakingSession(connect(self._database_url), self)


class BreakingSession(Session):
    """A session whose commits have scheduled fates."""

    def __init__(self, connection: Connection[Any], fates: Fates) -> None:
        super().__init__(connection)
        self._fates = fates

    def execute(self, query: bytes, arguments: Mapping[str, Any] | None = None) -> PendingResult:
        """Execute a statement; a commit is stored and answered, or not, as scheduled."""
        fate = self._fates.next() if query == b"COMMIT" else "answered"
        if fate == "answered":
            return super().execute(query, arguments)
        if fate == "stored":
            super().execute(query, arguments).result()
        self.connection.close()
        raise self._fates.lose()


def break_commits(ledger: Ledger, database_url: str) -> Fates:
    """Let the ledger's lane connect through breaking sessions. Call it before the lane has connected."""
    fates = Fates(database_url)
    assert ledger.lane._session is None
    ledger.lane._connect = fates.connect
    return fates
