"""A session with the database that breaks at the commit, as often and in the way that a test says."""

from collections import deque
from collections.abc import Callable, Mapping
from typing import Any, Literal

import psycopg
from psycopg import Connection

from services.ledger.ledger import Ledger
from services.postgres.database import connect
from services.postgres.session import PendingResult, Session

Fate = Literal["stored", "not stored", "unreachable", "kept"]
"""What becomes of a commit: stored, but its answer lost; not stored; or nothing happens to it. `unreachable` is that of
an attempt to connect."""


class Fates:
    """What becomes of the next commits of a ledger's lane, and of its attempts to connect after them."""

    def __init__(self, database_url: str) -> None:
        self._database_url = database_url
        self._coming: deque[Fate] = deque()
        self.meanwhile: Callable[[], object] = lambda: None
        """Called after each loss, before the lane tries again."""
        self.losses = 0
        self.attempts_to_connect = 0

    def come(self, *fates: Fate) -> None:
        """Let these fates come, one commit each; after them everything is kept."""
        self._coming.extend(fates)

    def clear(self) -> None:
        """Let everything be kept from now on."""
        self._coming.clear()

    def next(self) -> Fate:
        """The fate of the commit that is being made."""
        return self._coming.popleft() if self._coming else "kept"

    def lose(self) -> psycopg.OperationalError:
        """Note a loss; what to raise."""
        self.losses += 1
        self.meanwhile()
        return psycopg.OperationalError("the connection was lost")

    def connect(self) -> "BreakingSession":
        """A session whose commits have these fates. Raises psycopg.OperationalError while it is unreachable."""
        self.attempts_to_connect += 1
        if self._coming and self._coming[0] == "unreachable":
            self._coming.popleft()
            raise psycopg.OperationalError("the server is gone")
        return BreakingSession(connect(self._database_url), self)


class BreakingSession(Session):
    """A session that asks what becomes of its commits."""

    def __init__(self, connection: Connection[Any], fates: Fates) -> None:
        super().__init__(connection)
        self._fates = fates

    def execute(self, query: bytes, arguments: Mapping[str, Any] | None = None) -> PendingResult:
        """As ever, but for a commit: that is stored, or not, and answered, or not."""
        fate = self._fates.next() if query == b"COMMIT" else "kept"
        if fate == "kept":
            return super().execute(query, arguments)
        if fate == "stored":
            super().execute(query, arguments).result()
        self.connection.close()
        raise self._fates.lose()


def break_commits(ledger: Ledger, database_url: str) -> Fates:
    """Have the ledger's lane connect to a line that breaks; before it has connected otherwise."""
    fates = Fates(database_url)
    assert ledger.lane._session is None
    ledger.lane._connect = fates.connect
    return fates
