"""Open, read and resolve disputes about charges."""

from typing import Annotated
from uuid import UUID, uuid4

from fastapi import APIRouter, Depends
from starlette.concurrency import run_in_threadpool

from projections.declaration import MAX_POSITION
from projections.disputes.view import DisputeView
from services.dispute.refusals import (
    ChargeAlreadyReversed,
    ChargeHasOpenDispute,
    DisputeClosed,
    UnknownCharge,
    UnknownDispute,
)
from services.dispute.state import Status
from services.http.audit_requests import OpenDisputeRequest, ResolveDisputeRequest
from services.http.calls import Call, Disputer
from services.http.commands import execute
from services.http.confinement import Confinement
from services.http.decoding import JsonBody, QueryOf
from services.http.documentation import audit_examples as examples
from services.http.documentation.examples import page_of
from services.http.documentation.operations import Shown, documented
from services.http.paging import AtPosition, Page, Paging
from services.http.parameters import DisputeId
from services.http.problems import require
from services.http.routing import TypedRoute
from services.http.server.reply import Reply
from services.ledger.disputes import Disputes
from services.ledger.records import DisputeHead
from services.subscription.refusals import CycleClosed, SubscriptionHasEnded, UnknownSubscription

router = APIRouter(tags=["Disputes"], route_class=TypedRoute)


class DisputeQuery(Paging, frozen=True, forbid_unknown_fields=True, kw_only=True):
    """Filters of the list of disputes."""

    subscription_id: UUID | None = None
    status: Status | None = None


@router.post(
    "/v1/disputes",
    openapi_extra=documented(
        {201: Shown(examples.DISPUTE, headers=("Location",))},
        refusals=(UnknownSubscription, UnknownCharge, ChargeHasOpenDispute),
        request=examples.OPEN_DISPUTE,
    ),
)
async def open_dispute(
    call: Annotated[Disputer, Confinement.BY_HANDLER],
    body: Annotated[OpenDisputeRequest, Depends(JsonBody(OpenDisputeRequest))],
) -> Reply[DisputeView]:
    """Dispute a charge.

    An unsatisfying result is no ground for a refund (R14), so a dispute for that reason is rejected at once; every
    other stays open until it is resolved. A charge has one open dispute at a time, may be disputed again when that is
    resolved, and is given back once at most, wholly or in part: a later dispute can only be rejected. Send an
    `Idempotency-Key` to be able to retry.
    """
    await call.check_confinement(body.subscription_id)
    return await execute(call, body.subscription_id, body.command(uuid4()), body)


@router.get("/v1/disputes", openapi_extra=documented({200: page_of(examples.DISPUTE)}))
def list_disputes(
    call: Annotated[Disputer, Confinement.BY_HANDLER], query: Annotated[DisputeQuery, Depends(QueryOf(DisputeQuery))]
) -> Page[DisputeView]:
    """List disputes, the newest first. The list is a moment behind; one dispute by its id never is."""
    with call.connection() as connection:
        rows = call.queries(Disputes).list(
            connection,
            subscription_id=query.subscription_id,
            status=query.status,
            before=query.place(AtPosition, AtPosition(MAX_POSITION)).position,
            limit=query.one_more,
            within=call.own_subscriptions(connection),
        )
    positions = {dispute.dispute_id: position for position, dispute in rows}
    return query.page([dispute for _, dispute in rows], lambda last: AtPosition(positions[last.dispute_id]))


@router.get(
    "/v1/disputes/{dispute_id}",
    openapi_extra=documented({200: examples.UPHELD}, refusals=(UnknownDispute,)),
)
def get_dispute(call: Annotated[Disputer, Confinement.BY_HANDLER], dispute_id: DisputeId) -> DisputeView:
    """Show a dispute as it is now, with its charge as it is now."""
    with call.connection() as connection:
        dispute = require(call.queries(Disputes).find(connection, dispute_id), UnknownDispute())
    call.check_confinement_now(dispute.subscription_id, UnknownDispute())
    return dispute


@router.post(
    "/v1/disputes/{dispute_id}/resolve",
    openapi_extra=documented(
        {200: examples.UPHELD},
        refusals=(UnknownDispute, DisputeClosed, ChargeAlreadyReversed, CycleClosed, SubscriptionHasEnded),
        request=examples.RESOLVE_DISPUTE,
    ),
)
async def resolve_dispute(
    call: Annotated[Disputer, Confinement.BY_HANDLER],
    dispute_id: DisputeId,
    body: Annotated[ResolveDisputeRequest, Depends(JsonBody(ResolveDisputeRequest))],
) -> Reply[DisputeView]:
    """Decide a dispute, once.

    Upheld gives the charge's credits back, in the same transaction: to the `original_cycle` while that lasts, or to
    the `current_cycle`, where they lapse like any others. Where that cannot be, the dispute stays open.
    """
    state = (await run_in_threadpool(_head, call, dispute_id)).state
    return await execute(call, state.subscription_id, body.command(dispute_id, state.generation_id), body)


def _head(call: Call, dispute_id: UUID) -> DisputeHead:
    with call.connection() as connection:
        head = require(call.queries(Disputes).head(connection, dispute_id), UnknownDispute())
    call.check_confinement_now(head.state.subscription_id, UnknownDispute())
    return head
