"""List the recorded events, as they are stored."""

from typing import TYPE_CHECKING, Annotated, Literal

from fastapi import APIRouter, Depends
from msgspec import Meta, field
from starlette.responses import StreamingResponse

from services.http.calls import Auditor
from services.http.decoding import QueryOf
from services.http.documentation import examples
from services.http.documentation.operations import Shown, documented
from services.http.exports import JSON, Accepted, streamed
from services.http.paging import AtPosition, AtVersion, Count, Page, Paging
from services.http.parameters import SubscriptionId
from services.http.routing import TypedRoute
from services.ledger.history import History, StoredEvent
from services.ledger.mapper import TOPICS
from services.subscription.refusals import UnknownSubscription

router = APIRouter(tags=["Audit"], route_class=TypedRoute)

EVENT_COLUMNS = StoredEvent.__struct_fields__
"""The columns of events in CSV; `data` and `metadata` are the JSON that is stored."""

if TYPE_CHECKING:
    EventType = str
else:
    EventType = Annotated[
        Literal[TOPICS], Meta(description="Only events of this type.", examples=["GenerationCharged"])
    ]


class EventQuery(Paging, frozen=True, forbid_unknown_fields=True, kw_only=True):
    """Filters of the events of a subscription; a cursor overrides `after_version`."""

    after_version: Annotated[Count, Meta(description="Only events above this version.")] = 0
    topic: EventType | None = field(name="type", default=None)


class LedgerEventQuery(Paging, frozen=True, forbid_unknown_fields=True, kw_only=True):
    """Filters of the events of the ledger; a cursor overrides `after_position`."""

    after_position: Annotated[Count, Meta(description="Only events above this position.")] = 0
    topic: EventType | None = field(name="type", default=None)


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
def list_all_events(
    call: Auditor, query: Annotated[LedgerEventQuery, Depends(QueryOf(LedgerEventQuery))], form: Accepted
) -> Page[StoredEvent] | StreamingResponse:
    """List what was recorded in the whole ledger, in its order; as CSV or NDJSON, all of it in one stream.

    Positions have no gaps and are given in the order of commits: who follows them misses nothing.
    """

    def fetch(after: int | None, limit: int) -> list[StoredEvent]:
        above = query.after_position if after is None else after
        with call.connection() as connection:
            return call.queries(History).of_ledger(connection, after_position=above, topic=query.topic, limit=limit)

    if form != JSON:
        return streamed(form, "events", EVENT_COLUMNS, query, fetch, lambda last: last.position)
    events = fetch(query.place(AtPosition, AtPosition(query.after_position)).position, query.one_more)
    return query.page(events, lambda last: AtPosition(last.position))
