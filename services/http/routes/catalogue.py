"""List the plans and rate cards of the catalogue."""

from typing import Annotated, TypeVar

import msgspec
from fastapi import APIRouter

from services.catalogue import Plan, RateCard
from services.http.calls import Reader
from services.http.confinement import Confinement
from services.http.documentation import examples
from services.http.documentation.operations import documented
from services.http.paging import Page
from services.http.problems import require
from services.http.routing import TypedRoute
from services.http.server.reply import Reply
from services.subscription.refusals import UnknownPlan

router = APIRouter(tags=["Catalogue"], route_class=TypedRoute)

T = TypeVar("T")

_AMOUNTS_AS_TEXT = msgspec.json.Encoder()
"""Prices of plans keep their decimals, `"1.00"`, as in the catalogue."""


@router.get("/v1/plans", openapi_extra=documented({200: examples.page_of(examples.PLAN)}))
def list_plans(call: Annotated[Reader, Confinement.FOR_ALL]) -> Reply[Page[Plan]]:
    """List the plans on offer, in the catalogue's order, on one page."""
    return _reply(Page(call.service.backend.catalogue.plans, None))


@router.get("/v1/plans/{plan_id}", openapi_extra=documented({200: examples.PLAN}, missing=(UnknownPlan,)))
def get_plan(call: Annotated[Reader, Confinement.FOR_ALL], plan_id: str) -> Reply[Plan]:
    """Show a plan. One that there is not is 404 here, where it is what was asked for."""
    return _reply(require(call.service.backend.catalogue.plan(plan_id), UnknownPlan(plan_id), status=404))


@router.get("/v1/rate-cards", openapi_extra=documented({200: examples.page_of(examples.RATE_CARD)}))
def list_rate_cards(call: Annotated[Reader, Confinement.FOR_ALL]) -> Page[RateCard]:
    """List the rate cards, past, in force and to come, by the instant from which they hold, on one page."""
    return Page(call.service.backend.catalogue.rate_cards, None)


def _reply(content: T) -> Reply[T]:
    return Reply(200, _AMOUNTS_AS_TEXT.encode(content))
