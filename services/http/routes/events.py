"""List the recorded events, as they are stored."""

import re
import time
from collections.abc import AsyncGenerator
from functools import partial
from typing import TYPE_CHECKING, Annotated, Literal
from uuid import UUID

from fastapi import APIRouter, Depends
from msgspec import Meta, field
from msgspec.structs import replace
from starlette.concurrency import run_in_threadpool
from starlette.responses import Response, StreamingResponse
from starlette.types import Receive, Scope, Send

from projections.declaration import MAX_POSITION
from services.http import feed
from services.http.calls import Auditor, Call
from services.http.decoding import QueryOf
from services.http.documentation import examples
from services.http.documentation.operations import Shown, documented
from services.http.exports import EVENT_STREAM, JSON, FeedAccepted, Format, refuse_pages, streamed
from services.http.paging import AtPosition, AtVersion, Count, Page, Paging
from services.http.parameters import SubscriptionId
from services.http.problems import invalid
from services.http.routing import TypedRoute
from services.ledger.history import EVERYTHING, EventFilter, History, Scan, StoredEvent
from services.ledger.mapper import TOPICS
from services.postgres.database import read_again
from services.subscription.refusals import UnknownSubscription

router = APIRouter(tags=["Audit"], route_class=TypedRoute)

_POSITION = re.compile(r"[0-9]{1,19}")
_SCAN_SECONDS = 2.0

EVENT_COLUMNS = tuple(name for name in StoredEvent.__struct_fields__ if name != "entry")
"""The columns of events in CSV; `data` and `metadata` are the JSON that is stored."""

if TYPE_CHECKING:
    EventType = str
else:
    EventType = Annotated[
        Literal[TOPICS], Meta(description="Only events of this type.", examples=["GenerationCharged"])
    ]


RequestId = Annotated[
    str, Meta(pattern=r"^[A-Za-z0-9._:-]{1,128}\Z", description="Only events that this request brought about.")
]


class EventQuery(Paging, frozen=True, forbid_unknown_fields=True, kw_only=True):
    """Filters of the events of a subscription; a cursor overrides `after_version`."""

    after_version: Annotated[Count, Meta(description="Only events above this version.")] = 0
    topic: EventType | None = field(name="type", default=None)


class LedgerEventQuery(Paging, frozen=True, forbid_unknown_fields=True, kw_only=True):
    """Filters of the events of the ledger; a cursor overrides `after_position`."""

    after_position: Annotated[Count, Meta(description="Only events above this position.")] = 0
    topic: EventType | None = field(name="type", default=None)
    subscription_id: Annotated[
        UUID | None, Meta(description="Only events of this subscription, those of its disputes included.")
    ] = None
    request_id: RequestId | None = None
    entries: Annotated[
        bool, Meta(description="With the entry of each event in the log, in base64: its leaf hash is `hash`.")
    ] = False
    wait_seconds: Annotated[
        int,
        Meta(
            ge=0,
            le=feed.WAIT_SECONDS_MAX,
            description="Where there are none yet, wait for so many seconds until there are.",
        ),
    ] = 0

    @property
    def chosen(self) -> EventFilter:
        """The filter that these parameters make."""
        return EventFilter(self.topic, self.subscription_id, self.request_id)


@router.get(
    "/v1/subscriptions/{subscription_id}/events",
    openapi_extra=documented({200: examples.page_of(examples.EVENT)}, refusals=(UnknownSubscription,)),
)
def list_events(
    call: Auditor, subscription_id: SubscriptionId, query: Annotated[EventQuery, Depends(QueryOf(EventQuery))]
) -> Page[StoredEvent]:
    """List what was recorded of a subscription, oldest first, byte for byte, with the hash chain."""
    after = query.place(AtVersion, AtVersion(query.after_version)).version
    with call.connection() as connection:
        events = call.queries(History).of_stream(
            connection, subscription_id, after_version=after, topic=query.topic, limit=query.one_more
        )
        if not events:
            call.check_known(connection, subscription_id)
    return query.page(events, lambda last: AtVersion(last.version))


@router.get(
    "/v1/events",
    openapi_extra=documented({200: Shown(examples.page_of(examples.EVENT), streams=examples.EVENT_STREAMS)}),
)
async def list_all_events(
    call: Auditor, query: Annotated[LedgerEventQuery, Depends(QueryOf(LedgerEventQuery))], form: FeedAccepted
) -> Page[StoredEvent] | Response:
    """List what was recorded in the whole ledger, in its order; as CSV or NDJSON, all of it in one stream.

    Positions have no gaps and are given in the order of commits: who follows them misses nothing. With `wait_seconds`
    an answer that would be empty waits until there is an event. As `text/event-stream` the list never ends: each event
    follows when it is recorded, with its position as `id` and its type as `event`. Such a stream goes on behind
    `Last-Event-ID`, which goes before `after_position`.

    A filter that matches little is answered in parts: `data` may then be short, or empty, while there is a
    `next_cursor`. The list ends where that is null.
    """
    if form == EVENT_STREAM:
        return _follow(call, query)
    if form != JSON:
        return await run_in_threadpool(_stream_events, call, query, form)
    after = query.place(AtPosition, AtPosition(query.after_position)).position
    give_up_at = time.monotonic() + min(query.wait_seconds, feed.WAIT_SECONDS_MAX)
    while True:
        scan = await run_in_threadpool(read_again, partial(_scan, call, query, after))
        left = give_up_at - time.monotonic()
        if scan.events or not scan.is_at_end or left <= 0 or call.exchange.is_asker_gone:
            break
        after = scan.position
        await call.service.feed.wait_beyond(after, left, lambda: call.exchange.is_asker_gone)
        if call.service.feed.is_stopped:
            break
    if len(scan.events) > query.limit or scan.is_at_end:
        return query.page(scan.events, lambda last: AtPosition(last.position))
    return query.part(scan.events, AtPosition(scan.position))


def _scan(call: Call, query: LedgerEventQuery, after: int) -> Scan:
    """Look for one event more than fit a page."""
    with call.connection() as connection:
        end = 0 if query.chosen == EVERYTHING else call.queries(History).last_position(connection)
        scan = call.queries(History).scan(
            connection, after_position=after, limit=query.one_more, chosen=query.chosen, seconds=_SCAN_SECONDS
        )
        if query.entries:
            scan = replace(scan, events=call.queries(History).with_entries(connection, scan.events))
    return replace(scan, position=max(scan.position, end)) if scan.is_at_end else scan


def _stream_events(call: Call, query: LedgerEventQuery, form: Format) -> StreamingResponse:
    def fetch(after: int | None, limit: int) -> list[StoredEvent]:
        above = query.after_position if after is None else after
        with call.connection() as connection:
            history = call.queries(History)
            events = history.scan(connection, after_position=above, limit=limit, chosen=query.chosen).events
            return history.with_entries(connection, events) if query.entries else events

    return streamed(form, "events", EVENT_COLUMNS, query, fetch, lambda last: last.position)


def _follow(call: Call, query: LedgerEventQuery) -> Response:
    """Follow the ledger for ever. Raises Problem."""
    refuse_pages(query)
    if query.entries:
        raise invalid("entries", "is not for a stream that follows the ledger")
    after, exchange = query.after_position, call.exchange
    if (last := exchange.last_event_id) is not None:
        after = int(last) if _POSITION.fullmatch(last) else MAX_POSITION + 1
    if after > MAX_POSITION:
        raise invalid("Last-Event-ID", "must be the id of an event of this stream, which is a position")
    call.service.feed.refuse_too_many()
    if exchange.is_head:
        return Response(media_type=EVENT_STREAM)

    async def is_welcome() -> bool:
        """Whether somebody is there, whose key is still valid."""
        return not exchange.is_asker_gone and await call.service.authenticator.is_valid(exchange)

    return EventStream(call.service.feed.follow(after, query.chosen, is_welcome))


class EventStream(StreamingResponse):
    """A stream of events, which ends when its client is gone."""

    media_type = EVENT_STREAM

    def __init__(self, frames: AsyncGenerator[bytes, None]) -> None:
        super().__init__(frames, headers={"x-accel-buffering": "no", "vary": "Accept"})
        self._frames = frames

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        try:
            await super().__call__(scope, receive, send)
        finally:
            await self._frames.aclose()
