"""Lists the messages of an endpoint with where each stands, the newest first.

Only what differs from "delivered at the first try" has a row, so the list is made of events and these rows.
"""

import time
from collections.abc import Iterator, Sequence
from datetime import datetime, timedelta
from heapq import merge
from itertools import islice
from typing import Any, Literal, NamedTuple
from uuid import UUID

from msgspec import Struct
from psycopg import Connection

from services.ledger.history import History, StoredEvent
from services.webhooks.messages import (
    ALERTS_MARK,
    BALANCE_LOW,
    TOPIC_BY_TYPE,
    LedgerMessage,
    Place,
    messages_of,
    notice_id_of,
)
from services.webhooks.store import Endpoint, HoldUp, Outcome, WebhookStore

DETAILS_KEPT = timedelta(days=7)
"""So long it is known of a message that was delivered how many tries that took."""
_SCANNED_POSITIONS = 20_000
_SCAN_SECONDS = 2.0

Status = Literal["pending", "retrying", "delivered", "parked"]


class Delivery(Struct, frozen=True):
    """A message to an endpoint. `position` is null for what no event brought about, such as a test.

    `attempts` and `last_status` of a message that was delivered are known for a week, and null after that.
    """

    message_id: str
    type: str
    position: int | None
    status: Status
    attempts: int | None
    last_status: int | None
    last_error: str | None
    next_attempt_at: datetime | None


class Before(NamedTuple):
    """A place in the list: messages of events and notices below these are still to come."""

    place: Place
    notice_id: int


class Part(NamedTuple):
    """Some of the list, and where it goes on; None at its end."""

    deliveries: Sequence[Delivery]
    rest: Before | None


class _Found(NamedTuple):
    at: datetime
    key: Place | int
    delivery: Delivery


class Deliveries:
    """Reads the deliveries of one schema. For threads; raises psycopg.Error."""

    def __init__(self, schema: str) -> None:
        self._store = WebhookStore(schema)
        self._history = History(schema)

    def part(self, connection: Connection[Any], endpoint: Endpoint, before: Before, limit: int, now: datetime) -> Part:
        """Return so many deliveries below a place, or fewer where finding them takes long."""
        found, scanned = self._of_events(connection, endpoint, before.place, limit + 1, now)
        notices = list(self._of_notices(connection, endpoint, before.notice_id, limit + 1))
        newest = list(islice(merge(found, notices, key=lambda each: each.at, reverse=True), limit))
        places = [each.key for each in newest if isinstance(each.key, Place)]
        numbers = [each.key for each in newest if isinstance(each.key, int)]
        has_more = len(newest) < len(found) + len(notices)
        if not has_more and scanned is None:
            return Part([each.delivery for each in newest], None)
        place = places[-1] if has_more and places else before.place if has_more else scanned or before.place
        return Part([each.delivery for each in newest], Before(place, numbers[-1] if numbers else before.notice_id))

    def _of_events(
        self, connection: Connection[Any], endpoint: Endpoint, before: Place, limit: int, now: datetime
    ) -> tuple[list[_Found], Place | None]:
        """Return messages of events below a place, and how far down was looked; None at the beginning."""
        hold_ups = {each.subscription_id: each for each in self._store.hold_ups(connection, endpoint.webhook_id)}
        until = min(before.position, self._history.last_position(connection))
        found: list[_Found] = []
        give_up_at = time.monotonic() + _SCAN_SECONDS
        while until > endpoint.first_position and len(found) < limit and time.monotonic() < give_up_at:
            after = max(endpoint.first_position, until - _SCANNED_POSITIONS)
            messages = list(self._messages(connection, endpoint, after, until, limit))
            chosen = [(event, each) for event, each in messages if each.place < before]
            positions = {each.place.position for _, each in chosen}
            outcomes = self._store.outcomes(connection, endpoint.webhook_id, positions)
            for event, each in chosen:
                delivery = _delivery(endpoint, each, event, hold_ups, outcomes, now)
                found.append(_Found(event.recorded_at, each.place, delivery))
            is_whole = len({each.place.position for _, each in messages}) < limit
            until = after if is_whole else messages[-1][1].place.position - 1
        return found, None if until <= endpoint.first_position else Place(until + 1)

    def _messages(
        self, connection: Connection[Any], endpoint: Endpoint, after: int, until: int, limit: int
    ) -> Iterator[tuple[StoredEvent, LedgerMessage]]:
        arguments = {
            "after": after,
            "until": until,
            "topics": [TOPIC_BY_TYPE[each] for each in endpoint.types if each in TOPIC_BY_TYPE],
            "mark": ALERTS_MARK if BALANCE_LOW in endpoint.types else b"\x00",
            "limit": limit,
        }
        rows = connection.execute(self._store.queries["list_messages"], arguments).fetchall()
        for event in self._history.read(connection, rows):
            messages = [*messages_of(endpoint.webhook_id, endpoint.types, event)]
            yield from ((event, each) for each in reversed(messages))

    def _of_notices(self, connection: Connection[Any], endpoint: Endpoint, before: int, limit: int) -> Iterator[_Found]:
        arguments = {"webhook_id": endpoint.webhook_id, "before": before, "limit": limit}
        for number, kind, made_at, status, *rest in connection.execute(
            self._store.queries["list_notices"], arguments
        ).fetchall():
            delivery = Delivery(notice_id_of(endpoint.webhook_id, number), kind, None, status, *rest)
            yield _Found(made_at, number, delivery)


def _delivery(
    endpoint: Endpoint,
    message: LedgerMessage,
    event: StoredEvent,
    hold_ups: dict[UUID, HoldUp],
    outcomes: dict[Place, Outcome],
    now: datetime,
) -> Delivery:
    """Say where a message stands."""
    place, held = message.place, hold_ups.get(message.subscription_id)
    if held is not None and place == held.place and held.attempts:
        return _shown(message, "retrying", held.attempts, held.last_status, held.last_error, held.next_attempt_at)
    if (outcome := outcomes.get(place)) is not None:
        status: Status = "parked" if outcome.status == "parked" else "delivered"
        return _shown(message, status, outcome.attempts, outcome.last_status, outcome.last_error)
    if place.position > endpoint.position or (held is not None and place >= held.place):
        return _shown(message, "pending", 0)
    if event.recorded_at < now - DETAILS_KEPT:
        return _shown(message, "delivered", None)
    return _shown(message, "delivered", 1, 200)


def _shown(
    message: LedgerMessage,
    status: Status,
    attempts: int | None,
    last_status: int | None = None,
    last_error: str | None = None,
    next_attempt_at: datetime | None = None,
) -> Delivery:
    return Delivery(
        message.message_id,
        message.type,
        message.place.position,
        status,
        attempts,
        last_status,
        last_error,
        next_attempt_at,
    )
