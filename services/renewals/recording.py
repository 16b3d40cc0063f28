"""Submits due subscriptions to the ledger's one write path, as many at a time as fill its batches.

Not more at a time: a batch holds the ledger's head while it commits, and customers' charges wait for it.
"""

import threading
import time
from collections.abc import Callable, Iterable
from functools import partial
from typing import assert_never

from msgspec import Struct

from projections.renewal.due import DueSubscription
from services.ledger.lane import LaneFull, WriterLane
from services.ledger.records import Metadata
from services.ledger.submission import (
    Answer,
    Charged,
    Disputed,
    Done,
    Failed,
    Held,
    Refused,
    Released,
    Repeated,
    Submission,
)
from services.subscription.commands import RecordDue

EVENTS_AT_A_TIME = 256
LANE_SILENCE_SECONDS = 60.0
_FULL_LANE_PAUSE_SECONDS = 0.05


class LaneSilent(RuntimeError):
    """The ledger's writer lane has not answered for a minute."""


class Tally(Struct, frozen=True):
    """A count of recorded events, of subscriptions that are up to date by them, and of those that failed."""

    subscriptions: int = 0
    events: int = 0
    failures: int = 0
    last_error: BaseException | None = None

    def __add__(self, other: "Tally") -> "Tally":
        return Tally(
            self.subscriptions + other.subscriptions,
            self.events + other.events,
            self.failures + other.failures,
            other.last_error or self.last_error,
        )


def record_due(
    lane: WriterLane,
    due: Iterable[DueSubscription],
    metadata: Metadata,
    on_progress: Callable[[Tally], None] = lambda _tally: None,
) -> Tally:
    """Record the due boundaries of every subscription, all of each in one transaction, and count them.

    `on_progress` is called in this thread, with what was recorded so far. Raises LaneClosed where the service stops and
    LaneSilent where the lane hangs; either way some may have been recorded.
    """
    return _Recording(lane, metadata, on_progress).record(due)


class _Recording:
    """The state of one call of `record_due`."""

    def __init__(self, lane: WriterLane, metadata: Metadata, on_progress: Callable[[Tally], None]) -> None:
        self._lane = lane
        self._metadata = metadata
        self._on_progress = on_progress
        self._answered = threading.Condition()
        self._room = EVENTS_AT_A_TIME
        self._tally = Tally()

    def record(self, due: Iterable[DueSubscription]) -> Tally:
        for each in due:
            events = min(each.most_events, EVENTS_AT_A_TIME)
            self._wait_for_room(events)
            self._submit(each, events)
        self._wait_for_room(EVENTS_AT_A_TIME)
        return self._tally

    def _submit(self, due: DueSubscription, events: int) -> None:
        deliver = partial(self._deliver, events)
        submission = Submission(due.subscription_id, RecordDue(), self._metadata, deliver)
        give_up_at = time.monotonic() + LANE_SILENCE_SECONDS
        while True:
            try:
                return self._lane.submit(submission)
            except LaneFull:
                if time.monotonic() > give_up_at:
                    raise
                time.sleep(_FULL_LANE_PAUSE_SECONDS)

    def _wait_for_room(self, events: int) -> None:
        """Wait until so many more events may be in flight, and reserve the room for them."""
        with self._answered:
            if self._room >= events:
                self._room -= events
                return
            if not self._answered.wait_for(lambda: self._room >= events, LANE_SILENCE_SECONDS):
                raise LaneSilent
            self._room -= events
            so_far = self._tally
        self._on_progress(so_far)

    def _deliver(self, events: int, _submission: Submission, answer: Answer) -> None:
        """Count an answer. The lane calls this in its own thread."""
        with self._answered:
            self._tally += _counted(answer)
            self._room += events
            self._answered.notify()


def _counted(answer: Answer) -> Tally:
    match answer:
        case Done(state=state, at=at, event_count=events):
            is_up_to_date = state.next_due_at is None or state.next_due_at > at
            return Tally(subscriptions=1 if events and is_up_to_date else 0, events=events)
        case Failed(error=error):
            return Tally(failures=1, last_error=error)
        case Charged() | Held() | Released() | Disputed() | Repeated() | Refused():
            return Tally(failures=1, last_error=RuntimeError(f"not an answer to RecordDue: {answer}"))
        case _:
            assert_never(answer)
