"""Charge many generations in one request. The short way to the same is `services/http/server/fast_path.py`."""

from typing import Annotated

from fastapi import APIRouter, Depends
from msgspec import Raw
from starlette.responses import Response

from services.http.batch import BATCH_BODY, BatchedCharge, BatchRequest, BatchResults, ChargeResult, answer_batch
from services.http.calls import Charger
from services.http.documentation import examples
from services.http.documentation.operations import Shown, documented
from services.http.problems import problem_body
from services.http.requests import SettingsRequest
from services.subscription.refusals import UnknownModelRefused

router = APIRouter(tags=["Charges"])

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
async def charge_batch(call: Charger, wanted: Annotated[BatchRequest, Depends(BATCH_BODY)]) -> Response:
    """Charge many generations, each decided on its own, in order.

    From 1 to 1,000 charges, in at most 4 MiB. Each result has the status that the charge would have been answered with
    alone: 201 with the charge, 200 with the first charge where it was made before, or that of its problem. One that is
    refused does not touch the others; only a request that is not of this form is refused whole. Charges of a batch are
    not one transaction: where the answer is lost, send the batch again, and what was charged is not charged again.
    """
    return (await answer_batch(call, wanted)).response()
