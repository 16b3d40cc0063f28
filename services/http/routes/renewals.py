"""List subscriptions by the instant at which time changes them next."""

from datetime import UTC, datetime
from typing import Annotated, Final
from uuid import UUID

from fastapi import APIRouter, Depends
from msgspec import Meta, Struct

from projections.renewal.agenda import Agenda, UpcomingChange
from services.http.calls import Auditor
from services.http.confinement import Confinement
from services.http.decoding import QueryOf
from services.http.documentation import examples
from services.http.documentation.operations import documented
from services.http.instants import Instant
from services.http.paging import Page, Paging
from services.http.routing import TypedRoute

router = APIRouter(tags=["Audit"], route_class=TypedRoute)


class AtBoundary(Struct, frozen=True, array_like=True, tag=True):
    """A place in the list: a boundary, and its subscription."""

    next_boundary_at: Annotated[datetime, Meta(tz=True)]
    subscription_id: UUID


class AgendaQuery(Paging, frozen=True, forbid_unknown_fields=True, kw_only=True):
    """The end of the list: boundaries before an instant."""

    before: Annotated[Instant, Meta(description="Only boundaries before this instant.")] | None = None


_START: Final = AtBoundary(datetime.min.replace(tzinfo=UTC), UUID(int=0))


@router.get(
    "/v1/renewals",
    openapi_extra=documented({200: examples.page_of(examples.UPCOMING_CHANGE)}),
)
def list_renewals(
    call: Annotated[Auditor, Confinement.BY_HANDLER], query: Annotated[AgendaQuery, Depends(QueryOf(AgendaQuery))]
) -> Page[UpcomingChange]:
    """List subscriptions by when time will next change them, the nearest first.

    `next_boundary_at` is when the credit cycle ends: then credits renew, with the subscription where its term ends too,
    or the subscription ends. What is due is applied, whether or not it is recorded yet, so every boundary is to come.
    Ended subscriptions are not listed.
    """
    after = query.place(AtBoundary, _START)
    with call.connection() as connection:
        changes = call.queries(Agenda).list(
            connection,
            call.service.backend.clock(),
            after=(after.next_boundary_at, after.subscription_id),
            before=query.before,
            within=call.own_subscriptions(connection),
            limit=query.one_more,
        )
    return query.page(changes, lambda last: AtBoundary(last.next_boundary_at, last.subscription_id))
