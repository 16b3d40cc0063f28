"""Charge many generations in one request."""

from typing import Annotated

from fastapi import APIRouter, Depends
from msgspec import Raw
from starlette.responses import Response

from services.http import examples
from services.http.batch import BatchedCharge, BatchRequest, BatchResults, ChargeResult, charge_all
from services.http.calls import Charger
from services.http.decoding import JsonBody
from services.http.documentation import Shown, documented
from services.http.exchange import BATCH_BODY_LIMIT_BYTES
from services.http.once import answered_once
from services.http.problems import problem_body
from services.http.reply import Reply, encode
from services.http.requests import SettingsRequest
from services.ledger.records import Metadata
from services.subscription.refusals import UnknownModelRefused

router = APIRouter(tags=["Charges"])

_BODY = JsonBody(BatchRequest, limit_bytes=BATCH_BODY_LIMIT_BYTES)

_REFUSAL = UnknownModelRefused("lyria-9")
_SETTINGS = SettingsRequest(duration_seconds=Raw(b"180"))
_EXAMPLE = BatchRequest(
    [
        BatchedCharge("track-7f3a", "lyria-3", _SETTINGS, subscription_id=examples.CHARGE.subscription_id),
        BatchedCharge("track-7f3b", _REFUSAL.model, _SETTINGS, subscription_id=examples.CHARGE.subscription_id),
    ]
)
_EXAMPLE_RESULTS = BatchResults(
    [
        ChargeResult(201, examples.CHARGE),
        ChargeResult(422, problem=problem_body(_REFUSAL, 422, "8rVbW2mJ4kQ1xZpN")),
    ]
)


@router.post(
    "/v1/charges/batch",
    openapi_extra=documented({200: Shown(BatchResults, _EXAMPLE_RESULTS)}, request=_EXAMPLE),
)
def charge_batch(call: Charger, wanted: Annotated[BatchRequest, Depends(_BODY)]) -> Response:
    """Charge many generations, each decided on its own, in order.

    From 1 to 1,000 charges, in at most 4 MiB. Each result has the status that the charge would have been answered with
    alone: 201 with the charge, 200 with the first charge where it was made before, or that of its problem. One that is
    refused does not touch the others; only a request that is not of this form is refused whole. Charges of a batch are
    not one transaction: where the answer is lost, send the batch again, and what was charged is not charged again.
    """

    def answer() -> Reply:
        metadata = Metadata(call.key.key_id, call.exchange.request_id)
        return Reply(200, encode(charge_all(call.service.backend.ledger, wanted, metadata)))

    return answered_once(call, wanted, answer).response()
