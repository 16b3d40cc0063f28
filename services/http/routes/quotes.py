"""Prices, without charging."""

from typing import Annotated

from fastapi import APIRouter, Depends
from starlette.responses import Response

from services.http.calls import Reader
from services.http.decoding import JsonBody
from services.http.documentation import examples
from services.http.documentation.operations import Shown, documented
from services.http.once import answered_once
from services.http.previews import Quote, price_for, price_of
from services.http.requests import QuoteRequest
from services.http.server.reply import Reply, encode
from services.subscription.refusals import InvalidSettingsRefused, UnknownModelRefused, UnknownSubscription

router = APIRouter(tags=["Charges"])


@router.post(
    "/v1/quotes",
    openapi_extra=documented(
        {200: Shown(Quote, examples.QUOTE)},
        refusals=(UnknownSubscription, UnknownModelRefused, InvalidSettingsRefused),
        request=examples.QUOTE_REQUEST,
    ),
)
def quote(call: Reader, wanted: Annotated[QuoteRequest, Depends(JsonBody(QuoteRequest))]) -> Response:
    """Price a generation by the rate card in force; charges nothing.

    With `subscription_id` it also says whether that subscription could pay for it now, by balance, plan and status.
    """

    def answer() -> Reply:
        backend, settings = call.service.backend, wanted.settings.settings()
        if wanted.subscription_id is None:
            return Reply(200, encode(price_of(wanted.model, settings, backend.clock(), backend.catalogue)))
        current = call.service.reads.subscription(wanted.subscription_id)
        return Reply(200, encode(price_for(current, wanted.model, settings, backend.catalogue)))

    return answered_once(call, wanted, answer).response()
