"""Plans and rate cards, as the catalogue has them."""

import msgspec
from fastapi import APIRouter
from starlette.responses import Response

from services.catalogue import Plan, RateCard
from services.http.calls import Reader
from services.http.documentation import examples
from services.http.documentation.operations import Shown, documented
from services.http.paging import Page
from services.http.problems import Problem
from services.http.server.reply import Reply, json_response
from services.subscription.refusals import UnknownPlan

router = APIRouter(tags=["Catalogue"])

_AMOUNTS_AS_TEXT = msgspec.json.Encoder()
"""Prices of plans keep their decimals, `"1.00"`, as in the catalogue."""


@router.get("/v1/plans", openapi_extra=documented({200: Shown(Page[Plan], examples.page_of(examples.PLAN))}))
def list_plans(call: Reader) -> Response:
    """List the plans on offer, in the catalogue's order, on one page."""
    plans = Page(call.service.backend.catalogue.plans, None)
    return Reply(200, _AMOUNTS_AS_TEXT.encode(plans)).response()


@router.get(
    "/v1/plans/{plan_id}",
    openapi_extra=documented({200: Shown(Plan, examples.PLAN)}, missing=(UnknownPlan,)),
)
def get_plan(call: Reader, plan_id: str) -> Response:
    """Show a plan. One that there is not is 404 here, where it is what was asked for."""
    plan = call.service.backend.catalogue.plan(plan_id)
    if plan is None:
        raise Problem(UnknownPlan(plan_id), status=404)
    return Reply(200, _AMOUNTS_AS_TEXT.encode(plan)).response()


@router.get(
    "/v1/rate-cards", openapi_extra=documented({200: Shown(Page[RateCard], examples.page_of(examples.RATE_CARD))})
)
def list_rate_cards(call: Reader) -> Response:
    """List the rate cards, past, in force and to come, by the instant from which they hold, on one page."""
    return json_response(Page(call.service.backend.catalogue.rate_cards, None))
