"""Disputes: a customer says that a charge was wrong, and somebody decides."""

from typing import Annotated
from uuid import UUID, uuid4

import structlog
from fastapi import APIRouter, Depends
from msgspec import Meta
from starlette.responses import Response

from projections.disputes.view import Dispute
from services.dispute.refusals import (
    ChargeAlreadyReversed,
    DisputeClosed,
    UnknownCharge,
    UnknownDispute,
)
from services.dispute.state import Status
from services.http.audit_requests import OpenDisputeRequest, ResolveDisputeRequest
from services.http.calls import Disputer
from services.http.decoding import JsonBody, QueryOf
from services.http.documentation import audit_examples as examples
from services.http.documentation.examples import page_of
from services.http.documentation.operations import Shown, documented
from services.http.paging import BIGGEST, AtPosition, Page, Paging
from services.http.parameters import DisputeId
from services.http.problems import Problem, Unavailable
from services.http.server.reply import Reply, json_response
from services.integrity.checkpoints import OtherKey
from services.integrity.sealing import LedgerIsOlder
from services.integrity.signing import NoSigningKey
from services.subscription.refusals import CycleClosed, SubscriptionHasEnded, UnknownSubscription

log = structlog.get_logger()

router = APIRouter(tags=["Disputes"])

ZIP = "application/zip"
ZipFile = Annotated[str, Meta(extra_json_schema={"format": "binary"})]


class DisputesWanted(Paging, frozen=True, forbid_unknown_fields=True, kw_only=True):
    """Which disputes to list."""

    subscription_id: UUID | None = None
    status: Status | None = None


@router.post(
    "/v1/disputes",
    openapi_extra=documented(
        {201: Shown(Dispute, examples.DISPUTE, headers=("Location",))},
        refusals=(UnknownSubscription, UnknownCharge),
        request=examples.OPEN_DISPUTE,
    ),
)
def open_dispute(
    call: Disputer, wanted: Annotated[OpenDisputeRequest, Depends(JsonBody(OpenDisputeRequest))]
) -> Response:
    """Dispute a charge.

    An unsatisfying result is no ground for a refund (R14), so a dispute for that reason is rejected at once; every
    other stays open until it is resolved. A charge may be disputed more than once, and is given back once at most.
    Send an `Idempotency-Key` to be able to retry.
    """
    return call.carry_out(wanted.subscription_id, wanted.command(uuid4()), wanted)


@router.get("/v1/disputes", openapi_extra=documented({200: Shown(Page[Dispute], page_of(examples.DISPUTE))}))
def list_disputes(call: Disputer, wanted: Annotated[DisputesWanted, Depends(QueryOf(DisputesWanted))]) -> Response:
    """List disputes, the newest first. The list is a moment behind; one dispute by its id never is."""
    before = wanted.place(AtPosition, AtPosition(BIGGEST)).position
    with call.service.backend.reads.connection() as connection:
        found = call.service.disputes.list(
            connection,
            subscription_id=wanted.subscription_id,
            status=wanted.status,
            before=before,
            limit=wanted.one_more,
        )
    positions = {dispute.dispute_id: position for position, dispute in found}
    return wanted.page([dispute for _, dispute in found], lambda last: AtPosition(positions[last.dispute_id]))


@router.get(
    "/v1/disputes/{dispute_id}",
    openapi_extra=documented({200: Shown(Dispute, examples.UPHELD)}, refusals=(UnknownDispute,)),
)
def get_dispute(call: Disputer, dispute_id: DisputeId) -> Response:
    """Show a dispute as it is now, with its charge as it is now."""
    with call.service.backend.reads.connection() as connection:
        dispute = call.service.disputes.find(connection, dispute_id)
    if dispute is None:
        raise Problem(UnknownDispute())
    return json_response(dispute)


@router.get(
    "/v1/disputes/{dispute_id}/evidence",
    openapi_extra=documented(
        {200: Shown(ZipFile, examples.EVIDENCE, headers=("Content-Disposition",), media_type=ZIP)},
        refusals=(UnknownDispute,),
    ),
)
def get_evidence(call: Disputer, dispute_id: DisputeId) -> Response:
    """Take what is known of a dispute, as a zip file that proves itself: `tallystick verify-evidence FILE`.

    It has the events as they are stored, the hash chain, proofs of inclusion in signed checkpoints, the public keys,
    the price reckoned again, the balance before and after, and a report that a person can read. Events that no
    checkpoint covers yet are sealed first. `docs/reference/evidence-format.md` has the format.
    """
    with call.service.backend.reads.connection() as connection:
        try:
            archive = call.service.evidence.of_dispute(connection, dispute_id)
        except (OtherKey, LedgerIsOlder, NoSigningKey, OSError) as error:
            log.warning("evidence could not be signed", dispute=str(dispute_id), error=str(error))
            raise Problem(Unavailable()) from error
    if archive is None:
        raise Problem(UnknownDispute())
    headers = {"content-disposition": f'attachment; filename="dispute-{dispute_id}.zip"'}
    return Reply(200, archive, headers, ZIP).response()


@router.post(
    "/v1/disputes/{dispute_id}/resolve",
    openapi_extra=documented(
        {200: Shown(Dispute, examples.UPHELD)},
        refusals=(UnknownDispute, DisputeClosed, ChargeAlreadyReversed, CycleClosed, SubscriptionHasEnded),
        request=examples.RESOLVE_DISPUTE,
    ),
)
def resolve_dispute(
    call: Disputer,
    dispute_id: DisputeId,
    wanted: Annotated[ResolveDisputeRequest, Depends(JsonBody(ResolveDisputeRequest))],
) -> Response:
    """Decide a dispute, once.

    Upheld gives the charge's credits back, in the same transaction: to the `original_cycle` while that lasts, or to
    the `current_cycle`, where they lapse like any others. Where that cannot be, the dispute stays open.
    """
    with call.service.backend.reads.connection() as connection:
        head = call.service.disputes.head(connection, dispute_id)
    if head is None:
        raise Problem(UnknownDispute())
    command = wanted.command(dispute_id, head.state.generation_id)
    return call.carry_out(head.state.subscription_id, command, wanted)
