"""What time will do next, over all subscriptions."""

from datetime import UTC, datetime
from typing import Annotated, Final
from uuid import UUID

from fastapi import APIRouter, Depends
from msgspec import Meta, Struct
from starlette.responses import Response

from projections.renewal.agenda import UpcomingChange
from services.http.calls import Auditor
from services.http.decoding import QueryOf
from services.http.documentation import examples
from services.http.documentation.operations import Shown, documented
from services.http.paging import Page, Paging
from services.http.requests import Instant

router = APIRouter(tags=["Audit"])


class AtBoundary(Struct, frozen=True, array_like=True, tag=True):
    """A place in the list: a boundary, and the subscription whose it is."""

    next_boundary_at: Instant
    subscription_id: UUID


class RenewalsWanted(Paging, frozen=True, forbid_unknown_fields=True, kw_only=True):
    """How far to look ahead."""

    before: Annotated[Instant, Meta(description="Only boundaries before this instant.")] | None = None


_START: Final = AtBoundary(datetime.min.replace(tzinfo=UTC), UUID(int=0))


@router.get(
    "/v1/renewals",
    openapi_extra=documented({200: Shown(Page[UpcomingChange], examples.page_of(examples.UPCOMING_CHANGE))}),
)
def list_renewals(call: Auditor, wanted: Annotated[RenewalsWanted, Depends(QueryOf(RenewalsWanted))]) -> Response:
    """List subscriptions by when time will next change them, the nearest first.

    `next_boundary_at` is when the credit cycle ends: then credits renew, with the subscription where its term ends too,
    or the subscription ends. What is due is applied, whether or not it is recorded yet, so every boundary is to come.
    Ended subscriptions are not listed.
    """
    after = wanted.place(AtBoundary, _START)
    found = call.service.reads.agenda(
        after=(after.next_boundary_at, after.subscription_id), before=wanted.before, limit=wanted.one_more
    )
    return wanted.page(found, lambda last: AtBoundary(last.next_boundary_at, last.subscription_id))
