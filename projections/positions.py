"""How far each catch-up projection has come: its position, its lag, and the event that stopped it, where one did."""

from typing import Any

from msgspec import Struct
from psycopg import Connection

from services.postgres.sql import load_queries


class Lag(Struct, frozen=True):
    """How far a projection is behind the ledger.

    `lag_seconds` is the age of the next event to apply, by the clock that recorded it; 0 where there is none. A stopped
    projection has the position of the event that it could not apply, and the error.
    """

    projection: str
    position: int
    lag_events: int
    stopped_at_position: int | None
    stopped_because: str | None
    lag_seconds: float


class Positions:
    """Reads and moves the positions in one schema. Every method raises psycopg.Error."""

    def __init__(self, schema: str) -> None:
        self._queries = load_queries(__file__, "positions.sql", schema=schema)

    def register(self, connection: Connection[Any], projection: str) -> None:
        """Add the row of a projection, at position 0, unless it exists."""
        connection.execute(self._queries["register"], {"projection": projection})

    def lock(self, connection: Connection[Any], projection: str) -> tuple[int, int | None]:
        """Lock the row until the transaction ends. Returns the position, and that of a stop if there is one."""
        row = connection.execute(self._queries["lock_position"], {"projection": projection}).fetchone()
        if row is None:
            self.register(connection, projection)
            return self.lock(connection, projection)
        return int(row[0]), row[1]

    def move(self, connection: Connection[Any], projection: str, position: int) -> None:
        """Move to a position, and clear a stop."""
        connection.execute(self._queries["move_position"], {"projection": projection, "position": position})

    def record_stop(self, connection: Connection[Any], projection: str, stopped_at: int, because: str) -> None:
        """Record the position of the event that stopped a projection, and the error."""
        arguments = {"projection": projection, "stopped_at": stopped_at, "because": because}
        connection.execute(self._queries["record_stop"], arguments)

    def lags(self, connection: Connection[Any]) -> list[Lag]:
        """Read the lag of every projection that ever ran, in the order of their names."""
        return [Lag(*row) for row in connection.execute(self._queries["select_lags"])]
