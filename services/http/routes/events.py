"""The recorded events, as they are stored."""

from typing import Annotated

from fastapi import APIRouter, Depends
from msgspec import Meta, field
from starlette.responses import Response

from services.http.calls import Auditor
from services.http.decoding import QueryOf
from services.http.documentation import examples
from services.http.documentation.operations import Shown, documented
from services.http.exports import JSON, Accepted, streamed
from services.http.paging import AtPosition, AtVersion, Count, Page, Paging
from services.http.parameters import SubscriptionId
from services.ledger.history import StoredEvent
from services.subscription.refusals import UnknownSubscription

router = APIRouter(tags=["Audit"])

EVENT_COLUMNS = StoredEvent.__struct_fields__
"""The columns of events in CSV; `data` and `metadata` are the JSON that is stored."""

EventType = Annotated[
    str, Meta(pattern=r"^[A-Za-z]{1,64}\Z", description="Only events of this type.", examples=["GenerationCharged"])
]


class EventsWanted(Paging, frozen=True, forbid_unknown_fields=True, kw_only=True):
    """Which events of a subscription to list; a cursor goes on from its own page."""

    after_version: Annotated[Count, Meta(description="Only events above this version.")] = 0
    topic: EventType | None = field(name="type", default=None)


class LedgerEventsWanted(Paging, frozen=True, forbid_unknown_fields=True, kw_only=True):
    """Which events of the ledger to list; a cursor goes on from its own page."""

    after_position: Annotated[Count, Meta(description="Only events above this position.")] = 0
    topic: EventType | None = field(name="type", default=None)


@router.get(
    "/v1/subscriptions/{subscription_id}/events",
    openapi_extra=documented(
        {200: Shown(Page[StoredEvent], examples.page_of(examples.EVENT))}, refusals=(UnknownSubscription,)
    ),
)
def list_events(
    call: Auditor, subscription_id: SubscriptionId, wanted: Annotated[EventsWanted, Depends(QueryOf(EventsWanted))]
) -> Response:
    """List what was recorded of a subscription, oldest first, byte for byte, with the hash chain."""
    after = wanted.place(AtVersion, AtVersion(wanted.after_version)).version
    found = call.service.reads.events(subscription_id, after_version=after, topic=wanted.topic, limit=wanted.one_more)
    return wanted.page(found, lambda last: AtVersion(last.version))


@router.get(
    "/v1/events",
    openapi_extra=documented(
        {200: Shown(Page[StoredEvent], examples.page_of(examples.EVENT), streams=examples.EVENT_STREAMS)}
    ),
)
def list_all_events(
    call: Auditor, wanted: Annotated[LedgerEventsWanted, Depends(QueryOf(LedgerEventsWanted))], form: Accepted
) -> Response:
    """List what was recorded in the whole ledger, in its order; as CSV or NDJSON, all of it in one stream.

    Positions have no gaps and are given in the order of commits: who follows them misses nothing.
    """

    def fetch(after: int | None, limit: int) -> list[StoredEvent]:
        above = wanted.after_position if after is None else after
        return call.service.reads.all_events(after_position=above, topic=wanted.topic, limit=limit)

    if form != JSON:
        return streamed(form, "events", EVENT_COLUMNS, wanted, fetch, lambda last: last.position)
    found = fetch(wanted.place(AtPosition, AtPosition(wanted.after_position)).position, wanted.one_more)
    return wanted.page(found, lambda last: AtPosition(last.position))
