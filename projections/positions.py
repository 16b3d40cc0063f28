"""How far each catch-up projection has come: its position, its lag, and the event that stopped it, where one did."""

from typing import Any

from msgspec import Struct
from psycopg import Connection

from services.postgres.sql import load_queries


class Lag(Struct, frozen=True):
    """How far a projection is behind the ledger.

    `lag_seconds` is the age of the next event that it has not taken (by the event's own clock), 0 where there is none.
    A stopped projection names the position that it could not take, and why.
    """

    projection: str
    position: int
    lag_events: int
    stopped_at_position: int | None
    stopped_because: str | None
    lag_seconds: float


class Positions:
    """The positions of one schema."""

    def __init__(self, schema: str) -> None:
        self._queries = load_queries(__file__, "positions.sql", schema=schema)

    def register(self, connection: Connection[Any], projection: str) -> None:
        """Make sure that there is a row."""
        connection.execute(self._queries["register"], {"projection": projection})

    def lock(self, connection: Connection[Any], projection: str) -> tuple[int, int | None]:
        """The position, and the one that stopped it if any; nobody else moves it before this transaction ends."""
        row = connection.execute(self._queries["lock_position"], {"projection": projection}).fetchone()
        if row is None:
            self.register(connection, projection)
            return self.lock(connection, projection)
        return int(row[0]), row[1]

    def move(self, connection: Connection[Any], projection: str, position: int) -> None:
        """Move on to a position, and go on if it was stopped."""
        connection.execute(self._queries["move_position"], {"projection": projection, "position": position})

    def note_stop(self, connection: Connection[Any], projection: str, stopped_at: int, because: str) -> None:
        """Note the event that stopped it."""
        arguments = {"projection": projection, "stopped_at": stopped_at, "because": because}
        connection.execute(self._queries["note_stop"], arguments)

    def lags(self, connection: Connection[Any]) -> list[Lag]:
        """The lag of every projection that ever ran, by name."""
        return [Lag(*row) for row in connection.execute(self._queries["select_lags"])]
