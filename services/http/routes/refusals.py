"""The charges that were refused."""

from typing import Annotated

from fastapi import APIRouter, Depends
from starlette.responses import Response

from services.http.calls import Auditor
from services.http.decoding import QueryOf
from services.http.documentation import examples
from services.http.documentation.operations import Shown, documented
from services.http.paging import Page, Paging
from services.http.parameters import SubscriptionId
from services.ledger.history import NEWEST, RefusalPlace, StoredRefusal
from services.subscription.refusals import UnknownSubscription

router = APIRouter(tags=["Audit"])


@router.get(
    "/v1/subscriptions/{subscription_id}/refusals",
    openapi_extra=documented(
        {200: Shown(Page[StoredRefusal], examples.page_of(examples.REFUSAL))}, refusals=(UnknownSubscription,)
    ),
)
def list_refusals(
    call: Auditor, subscription_id: SubscriptionId, wanted: Annotated[Paging, Depends(QueryOf(Paging))]
) -> Response:
    """List the charges that were refused for want of credits, plan or subscription, newest first.

    One row per generation and version of the subscription: trying again without anything having changed adds nothing.
    """
    after = wanted.place(RefusalPlace, NEWEST)
    found = call.service.reads.refusals(subscription_id, after=after, limit=wanted.one_more)
    return wanted.page(found, lambda last: RefusalPlace(last.refused_at, last.version, last.generation_id))
