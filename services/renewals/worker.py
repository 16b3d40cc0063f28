"""Looks for due subscriptions and records their boundaries, pass after pass, until it is stopped."""

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
"""The key id in the metadata of events that a worker records."""

LISTED_MAX = 8192
CLAIMED_EVENTS_MAX = 8192
IDLE_SECONDS = 1.0
_OTHERS_BUSY_SECONDS = 0.1


class Pass(Struct, frozen=True):
    """One look at what is due: the numbers of subscriptions listed and claimed, and the tally of those claimed."""

    listed: int
    claimed: int
    tally: Tally


class RenewalWorker:
    """Records due boundaries. A context manager with a connection of its own, for one thread."""

    def __init__(self, lane: WriterLane, connect: Connect, schema: str, clock: Callable[[], datetime]) -> None:
        self._lane = lane
        self._connect = connect
        self._schema = schema
        self._clock = clock
        self._due = DueQueries(schema)
        self._connection: Connection[Any] | None = None
        self.active_at = time.monotonic()
        """The time of its last progress, by the monotonic clock, which tells a stuck worker from a busy one."""

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_exception: object) -> None:
        self._disconnect()

    def run(self, stop: threading.Event, on_pass: Callable[[Pass], None] = lambda _pass: None) -> None:
        """Record what becomes due, as it becomes due, until `stop` is set. Raises LaneClosed and LaneSilent."""
        while not stop.is_set():
            pause_seconds = IDLE_SECONDS
            try:
                done = self.record_pass()
                on_pass(done)
                pause_seconds = self._pause_after(done)
            except psycopg.Error as error:
                log.warning("due subscriptions could not be looked for", error=str(error))
                self._disconnect()
            self._mark_active()
            stop.wait(pause_seconds)

    def catch_up(self, on_pass: Callable[[Pass], None] = lambda _pass: None) -> Tally:
        """Record all that is due now, then return. Raises psycopg.Error, LaneClosed and LaneSilent.

        A failed subscription is tried again once all others are recorded; one that fails then is left, and counted.
        """
        total = Tally()
        while (done := self.record_pass()).listed:
            on_pass(done)
            total += done.tally
            if done.tally.failures == done.listed:
                break
            if not done.tally.events:
                time.sleep(_OTHERS_BUSY_SECONDS)
        return total

    def backlog(self) -> Backlog:
        """Measure what is due and not recorded. Raises psycopg.Error."""
        return self._due.backlog(self._connected(), self._clock())

    def record_pass(self) -> Pass:
        """Record one pass: at most some thousands of subscriptions, none that another worker has claimed."""
        connection = self._connected()
        listed = self._due.list(connection, self._clock(), limit=LISTED_MAX)
        self._mark_active()
        if not listed:
            return Pass(0, 0, Tally())
        claims = Claims(connection, self._schema)
        with claims.transaction():
            claimed = self._due.still_due(connection, _claim_shares(claims, listed))
            tally = record_due(self._lane, claimed, _metadata(), lambda _tally: self._mark_active())
        if tally.failures:
            log.warning("due boundaries were not recorded", count=tally.failures, error=repr(tally.last_error))
        return Pass(len(listed), len(claimed), tally)

    def _pause_after(self, done: Pass) -> float:
        if done.tally.events:
            return 0.0
        if done.listed and not done.claimed:
            return _OTHERS_BUSY_SECONDS
        if done.listed:
            return IDLE_SECONDS
        next_due_at = self._due.next_due_at(self._connected())
        if next_due_at is None:
            return IDLE_SECONDS
        return min(IDLE_SECONDS, max(timedelta(0), next_due_at - self._clock()).total_seconds())

    def _mark_active(self) -> None:
        self.active_at = time.monotonic()

    def _connected(self) -> Connection[Any]:
        if self._connection is None:
            self._connection = self._connect()
        return self._connection

    def _disconnect(self) -> None:
        if self._connection is not None:
            self._connection.close()
            self._connection = None


def _claim_shares(claims: Claims, listed: Iterable[DueSubscription]) -> list[DueSubscription]:
    """Claim listed subscriptions for one pass, from shares that no other worker has, in random order."""
    shares = [(share, list(due)) for share, due in groupby(sorted(listed, key=share_of), key=share_of)]
    random.shuffle(shares)
    claimed: list[DueSubscription] = []
    events = 0
    for share, due in shares:
        if events < CLAIMED_EVENTS_MAX and claims.try_claim(share):
            for each in due:
                if events < CLAIMED_EVENTS_MAX:
                    claimed.append(each)
                    events += each.most_events
    return claimed


def _metadata() -> Metadata:
    return Metadata(key_id=KEY_ID, request_id=f"renewals-{uuid4()}")
