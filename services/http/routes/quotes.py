"""Price generations without charging them."""

from typing import Annotated

from fastapi import APIRouter, Depends

from services.http.calls import Call, Reader
from services.http.confinement import Confinement
from services.http.decoding import JsonBody
from services.http.documentation import examples
from services.http.documentation.operations import documented
from services.http.idempotency import answer_once
from services.http.previews import Quote, price_for, price_of
from services.http.problems import require
from services.http.requests import QuoteRequest, settings_of
from services.http.routing import TypedRoute
from services.http.server.reply import Reply, json_reply
from services.subscription.refusals import InvalidSettingsRefused, UnknownModelRefused, UnknownSubscription

router = APIRouter(tags=["Charges"], route_class=TypedRoute)


@router.post(
    "/v1/quotes",
    openapi_extra=documented(
        {200: examples.QUOTE},
        refusals=(UnknownSubscription, UnknownModelRefused, InvalidSettingsRefused),
        request=examples.QUOTE_REQUEST,
    ),
)
def quote(
    call: Annotated[Reader, Confinement.BY_HANDLER], body: Annotated[QuoteRequest, Depends(JsonBody(QuoteRequest))]
) -> Reply[Quote]:
    """Price a generation by the rate card in force; charges nothing.

    With `subscription_id` it also says whether that subscription could pay for it now, by balance, plan and status.
    """
    if body.subscription_id is not None:
        call.check_confinement_now(body.subscription_id)
    return answer_once(call, body, lambda: json_reply(_quote(call, body)))


def _quote(call: Call, body: QuoteRequest) -> Quote:
    backend, settings = call.service.backend, settings_of(body.settings)
    if body.subscription_id is None:
        return price_of(body.model, settings, backend.clock(), backend.catalogue)
    current = require(call.service.reads.subscription(body.subscription_id), UnknownSubscription())
    return price_for(current, body.model, settings, backend.catalogue)
