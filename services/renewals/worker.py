"""Looks for what is due and records it, pass after pass, until it is told to stop."""

import random
import threading
import time
from collections.abc import Callable, Iterable
from datetime import datetime, timedelta
from itertools import groupby
from typing import Any, Self
from uuid import uuid4

import psycopg
import structlog
from msgspec import Struct
from psycopg import Connection

from projections.renewal.due import Backlog, DueQueries, DueSubscription
from services.ledger.lane import WriterLane
from services.ledger.records import Metadata
from services.postgres.database import Connect
from services.renewals.claims import Claims, share_of
from services.renewals.recording import Tally, record_due

log = structlog.get_logger()

KEY_ID = "renewals"
"""Who recorded a boundary, in the metadata of its events."""

LISTED = 8192
CLAIMED_EVENTS = 8192
IDLE_SECONDS = 1.0
_OTHERS_AT_WORK_SECONDS = 0.1


class Pass(Struct, frozen=True):
    """One look at what is due: how many were listed, how many of them were this worker's, and what came of those."""

    listed: int
    claimed: int
    tally: Tally


class RenewalWorker:
    """Records due boundaries. A context manager: it holds a connection of its own while it is open; for one thread."""

    def __init__(self, lane: WriterLane, connect: Connect, schema: str, clock: Callable[[], datetime]) -> None:
        self._lane = lane
        self._connect = connect
        self._schema = schema
        self._clock = clock
        self._due = DueQueries(schema)
        self._connection: Connection[Any] | None = None
        self.active_at = time.monotonic()
        """When it last got anywhere, by the monotonic clock: what tells a stuck worker from a busy one."""

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_exception: object) -> None:
        self._disconnect()

    def run(self, stop: threading.Event, on_pass: Callable[[Pass], None] = lambda _pass: None) -> None:
        """Record what becomes due, as it becomes due, until `stop` is set. Raises LaneClosed and LaneSilent."""
        while not stop.is_set():
            pause_seconds = IDLE_SECONDS
            try:
                done = self.record_some()
                on_pass(done)
                pause_seconds = self._pause_after(done)
            except psycopg.Error as error:
                log.warning("due subscriptions could not be looked for", error=str(error))
                self._disconnect()
            self._got_on()
            stop.wait(pause_seconds)

    def catch_up(self, on_pass: Callable[[Pass], None] = lambda _pass: None) -> Tally:
        """Record all that is due now, then return. Raises psycopg.Error, LaneClosed and LaneSilent.

        What fails is tried again once everything else is recorded; what fails then is left, and counted.
        """
        total = Tally()
        while (done := self.record_some()).listed:
            on_pass(done)
            total += done.tally
            if done.tally.failures == done.listed:
                break
            if not done.tally.events:
                time.sleep(_OTHERS_AT_WORK_SECONDS)
        return total

    def backlog(self) -> Backlog:
        """What is due and not recorded. Raises psycopg.Error."""
        return self._due.backlog(self._connected(), self._clock())

    def record_some(self) -> Pass:
        """One pass: some thousands of subscriptions at most, none that another worker is at."""
        connection = self._connected()
        listed = self._due.list(connection, self._clock(), limit=LISTED)
        self._got_on()
        if not listed:
            return Pass(0, 0, Tally())
        claims = Claims(connection, self._schema)
        with claims.held():
            mine = self._due.still(connection, _claimed(claims, listed))
            tally = record_due(self._lane, mine, _metadata(), lambda _tally: self._got_on())
        if tally.failures:
            log.warning("due boundaries were not recorded", count=tally.failures, error=repr(tally.last_error))
        return Pass(len(listed), len(mine), tally)

    def _pause_after(self, done: Pass) -> float:
        if done.tally.events:
            return 0.0
        if done.listed and not done.claimed:
            return _OTHERS_AT_WORK_SECONDS
        if done.listed:
            return IDLE_SECONDS
        next_due_at = self._due.next_due_at(self._connected())
        if next_due_at is None:
            return IDLE_SECONDS
        return min(IDLE_SECONDS, max(timedelta(0), next_due_at - self._clock()).total_seconds())

    def _got_on(self) -> None:
        self.active_at = time.monotonic()

    def _connected(self) -> Connection[Any]:
        if self._connection is None:
            self._connection = self._connect()
        return self._connection

    def _disconnect(self) -> None:
        if self._connection is not None:
            self._connection.close()
            self._connection = None


def _claimed(claims: Claims, listed: Iterable[DueSubscription]) -> list[DueSubscription]:
    """Enough for a pass, from shares of what is listed that nobody else is at, taken in any order."""
    shares = [(share, list(due)) for share, due in groupby(sorted(listed, key=share_of), key=share_of)]
    random.shuffle(shares)
    mine: list[DueSubscription] = []
    events = 0
    for share, due in shares:
        if events < CLAIMED_EVENTS and claims.take_if_free(share):
            for each in due:
                if events < CLAIMED_EVENTS:
                    mine.append(each)
                    events += each.most_events
    return mine


def _metadata() -> Metadata:
    return Metadata(key_id=KEY_ID, request_id=f"renewals-{uuid4()}")
