"""List the charges that were refused."""

from typing import Annotated

from fastapi import APIRouter, Depends

from services.http.calls import Auditor
from services.http.decoding import QueryOf
from services.http.documentation import examples
from services.http.documentation.operations import documented
from services.http.paging import Page, Paging
from services.http.parameters import SubscriptionId
from services.http.routing import TypedRoute
from services.ledger.history import NEWEST, History, RefusalPlace, StoredRefusal
from services.subscription.refusals import UnknownSubscription

router = APIRouter(tags=["Audit"], route_class=TypedRoute)


@router.get(
    "/v1/subscriptions/{subscription_id}/refusals",
    openapi_extra=documented({200: examples.page_of(examples.REFUSAL)}, refusals=(UnknownSubscription,)),
)
def list_refusals(
    call: Auditor, subscription_id: SubscriptionId, query: Annotated[Paging, Depends(QueryOf(Paging))]
) -> Page[StoredRefusal]:
    """List the charges that were refused for want of credits, plan or subscription, newest first.

    One row per generation and version of the subscription: trying again without anything having changed adds nothing.
    """
    after = query.place(RefusalPlace, NEWEST)
    with call.connection() as connection:
        refusals = call.queries(History).refusals(connection, subscription_id, after=after, limit=query.one_more)
        if not refusals:
            call.check_known(connection, subscription_id)
    return query.page(refusals, lambda last: RefusalPlace(last.refused_at, last.version, last.generation_id))
