"""Test clocks: a subscription bound to one lives in its time, which stands still until it is moved forward.

A clock is a row of the database, so every process and every batch of the ledger reads the same instant. `advance` moves
it at once, and reads and commands are right from then on; then it records what has become due, as the renewal worker
would. If that is cut short, the worker does the rest, and so does advancing to the same instant again.
"""

from collections.abc import Callable, Iterator, Sequence
from contextlib import closing, contextmanager
from datetime import UTC, datetime
from typing import Any, Final
from uuid import UUID, uuid4

from msgspec import Struct
from psycopg import Connection
from psycopg_pool import ConnectionPool

from projections.renewal.due import DueQueries, DueSubscription
from services.ledger.lane import WriterLane
from services.ledger.records import Metadata
from services.ledger.submission import UnknownTestClock
from services.postgres.database import Connect
from services.postgres.sql import load_queries
from services.renewals.claims import Claims, share_of_clock
from services.renewals.recording import LaneSilent, Tally, record_due

EARLIEST: Final = datetime(2000, 1, 1, tzinfo=UTC)
LATEST: Final = datetime(9000, 1, 1, tzinfo=UTC)
_DUE_LIMIT = 2048


class Reading(Struct, frozen=True):
    """The instant at which a test clock stands."""

    test_clock_id: str
    now: datetime


class Recorded(Struct, frozen=True):
    """The events that an advance recorded, and the subscriptions that they belong to, counted."""

    subscriptions: int
    events: int


class Advanced(Struct, frozen=True):
    """A clock after it was moved, and the events that were recorded."""

    test_clock_id: str
    now: datetime
    recorded: Recorded


class Backwards(Struct, frozen=True):
    """The clock stands at `now`, which is after the instant that it was to be moved to."""

    now: datetime


class NotAllRecorded(RuntimeError):
    """The clock has moved, but not everything that became due could be recorded yet."""


class Clocks:
    """The test clocks of one ledger, for threads. Every method may raise psycopg.Error."""

    def __init__(
        self,
        lane: WriterLane,
        connections: ConnectionPool[Connection[Any]],
        connect: Connect,
        schema: str,
        clock: Callable[[], datetime],
    ) -> None:
        self._lane = lane
        self._connections = connections
        self._connect = connect
        self._schema = schema
        self._clock = clock
        self._queries = load_queries(__file__, "clocks.sql", schema=schema)
        self._due = DueQueries(schema)

    def create(self, now: datetime, id: UUID | None = None) -> Reading:
        """Make a clock that stands at `now`, between `EARLIEST` and `LATEST`, unless there is one with the id."""
        assert EARLIEST <= now <= LATEST
        reading = Reading(str(id or uuid4()), now)
        arguments = {"test_clock_id": reading.test_clock_id, "now": now, "created_at": self._clock()}
        with self._connections.connection() as connection:
            connection.execute(self._queries["insert_clock"], arguments)
        return reading

    def read(self, test_clock_id: str) -> Reading | UnknownTestClock:
        """Read a clock."""
        with self._connections.connection() as connection:
            row = connection.execute(self._queries["find_clock"], {"test_clock_id": test_clock_id}).fetchone()
        return UnknownTestClock(test_clock_id) if row is None else Reading(test_clock_id, row[0])

    def advance(
        self, test_clock_id: str, to: datetime, metadata: Metadata, on_progress: Callable[[], None] = lambda: None
    ) -> Advanced | Backwards | UnknownTestClock:
        """Move the clock forward and record what has become due on it; `to` may be where it stands already.

        `metadata` is recorded with the events. `on_progress` is called again and again meanwhile, and may raise to end
        it. Raises NotAllRecorded and LaneClosed, after which, as after what it raises, it can be called again.
        """
        assert EARLIEST <= to <= LATEST
        with self._claimed(test_clock_id) as claims:
            moved = self._move(test_clock_id, to)
            if not isinstance(moved, Reading):
                return moved
            tally = self._record(claims, test_clock_id, metadata, on_progress)
        return Advanced(test_clock_id, moved.now, Recorded(tally.subscriptions, tally.events))

    @contextmanager
    def _claimed(self, test_clock_id: str) -> Iterator[Claims]:
        """Claim the clock's subscriptions, against the renewal worker and other advances."""
        with closing(self._connect()) as connection:
            claims = Claims(connection, self._schema)
            with claims.transaction():
                claims.claim(share_of_clock(test_clock_id))
                yield claims

    def _move(self, test_clock_id: str, to: datetime) -> Reading | Backwards | UnknownTestClock:
        arguments = {"test_clock_id": test_clock_id, "to": to}
        with self._connections.connection() as connection, connection.transaction():
            connection.execute(self._queries["begin_move"])
            moved = connection.execute(self._queries["move_clock"], arguments).fetchone()
        if moved is not None:
            return Reading(test_clock_id, moved[0])
        reading = self.read(test_clock_id)
        return Backwards(reading.now) if isinstance(reading, Reading) else reading

    def _record(self, claims: Claims, test_clock_id: str, metadata: Metadata, on_progress: Callable[[], None]) -> Tally:
        def report(_tally: Tally) -> None:
            claims.keep_alive()
            on_progress()

        total = Tally()
        while due := self._list_due(test_clock_id):
            try:
                tally = record_due(self._lane, due, metadata, report)
            except LaneSilent as silence:
                raise NotAllRecorded from silence
            total += tally
            if tally.failures and not tally.events:
                raise NotAllRecorded from tally.last_error
        return total

    def _list_due(self, test_clock_id: str) -> Sequence[DueSubscription]:
        with self._connections.connection() as connection:
            return self._due.list_on_clock(connection, test_clock_id, limit=_DUE_LIMIT)
