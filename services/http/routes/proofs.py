"""Take what proves itself without the ledger: the receipt of a charge, the evidence of a dispute."""

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Annotated

import structlog
from fastapi import APIRouter, Depends
from msgspec import Meta, Struct

from services.dispute.refusals import UnknownCharge, UnknownDispute
from services.evidence import gathering
from services.evidence.proving import BeyondCheckpoint
from services.http.calls import Disputer, Reader
from services.http.confinement import Confinement
from services.http.decoding import QueryOf
from services.http.documentation import audit_examples as examples
from services.http.documentation.operations import Shown, documented
from services.http.parameters import DisputeId, SubscriptionId
from services.http.problems import NotSealedYet, Problem, Unavailable, invalid, require
from services.http.requests import GENERATION_ID
from services.http.routing import TypedRoute
from services.http.server.reply import Reply
from services.integrity.sealing.refusing import SealerBusy, SealerRefused
from services.integrity.signing import NoSigningKey
from services.ledger.disputes import Disputes
from services.log.checkpoint import SIZE_LIMIT
from services.subscription.refusals import UnknownSubscription

log = structlog.get_logger()

router = APIRouter(route_class=TypedRoute)

ZIP = "application/zip"
TEXT = "text/plain"
File = Annotated[str, Meta(extra_json_schema={"format": "binary"})]


class SinceQuery(Struct, frozen=True, forbid_unknown_fields=True, kw_only=True):
    """The size of a checkpoint that was written down."""

    since: (
        Annotated[
            int,
            Meta(
                ge=0,
                le=SIZE_LIMIT - 1,
                description="The size of a checkpoint that you wrote down: the proof that it is extended comes along.",
            ),
        ]
        | None
    ) = None


@router.get(
    "/v1/subscriptions/{subscription_id}/charges/{generation_id}/receipt",
    tags=["Charges"],
    openapi_extra=documented(
        {200: Shown(examples.RECEIPT, headers=("Content-Disposition",), media_type=TEXT)},
        refusals=(UnknownSubscription, UnknownCharge, NotSealedYet),
    ),
)
def get_receipt(
    call: Reader,
    subscription_id: SubscriptionId,
    generation_id: str,
    query: Annotated[SinceQuery, Depends(QueryOf(SinceQuery))],
) -> Reply[File]:
    """Take the receipt of a charge, to keep: `tallystick verify-receipt FILE --key VKEY` checks it without a network.

    It is a C2SP `tlog-proof` with the event, which proves that the log has the charge. A moment after the charge there
    is none yet: 404 `not_sealed_yet`, and `Retry-After` says when to ask again.
    """
    if not GENERATION_ID.fullmatch(generation_id):
        raise Problem(UnknownCharge(generation_id))
    evidence = call.service.evidence
    with call.connection() as connection, _signed_and_covered():
        receipt = evidence.of_charge(connection, subscription_id, generation_id, query.since)
        if receipt is None:
            call.check_known(connection, subscription_id)
            raise Problem(UnknownCharge(generation_id))
    return _file(receipt, f"{generation_id}.tlog-proof", TEXT)


@router.get(
    "/v1/disputes/{dispute_id}/evidence",
    tags=["Disputes"],
    openapi_extra=documented(
        {200: Shown(examples.EVIDENCE, headers=("Content-Disposition",), media_type=ZIP)},
        refusals=(UnknownDispute,),
    ),
)
def get_evidence(
    call: Annotated[Disputer, Confinement.BY_HANDLER],
    dispute_id: DisputeId,
    query: Annotated[SinceQuery, Depends(QueryOf(SinceQuery))],
) -> Reply[File]:
    """Take what is known of a dispute, as a zip file that proves itself: `tallystick verify-evidence FILE --key VKEY`.

    It has the events as they are stored, the hash chain, their proofs in the log, its newest checkpoint with all
    hand-overs of keys and cosignatures, the price reckoned again, the balance before and after, the refusals around the
    charge, and a report that a person can read. Events that no checkpoint covers yet are sealed first.
    `docs/reference/evidence-format.md` has the format.
    """
    with call.connection() as connection, _signed_and_covered():
        if call.key.is_confined:
            head = require(call.queries(Disputes).head(connection, dispute_id), UnknownDispute())
            call.check_confinement_now(head.state.subscription_id, UnknownDispute())
        archive = require(call.service.evidence.of_dispute(connection, dispute_id, query.since), UnknownDispute())
    return _file(archive, f"dispute-{dispute_id}.zip", ZIP)


@contextmanager
def _signed_and_covered() -> Iterator[None]:
    """Answer what keeps a proof from being made as problems."""
    try:
        yield
    except gathering.NotSealedYet:
        raise Problem(NotSealedYet()) from None
    except BeyondCheckpoint as error:
        raise invalid("since", f"is beyond what there is: {error}") from None
    except (SealerBusy, SealerRefused, NoSigningKey, OSError) as error:
        log.warning("a proof could not be signed", error=str(error))
        raise Problem(Unavailable()) from error


def _file(content: bytes, name: str, media_type: str) -> Reply[File]:
    return Reply(200, content, {"content-disposition": f'attachment; filename="{name}"'}, media_type)
