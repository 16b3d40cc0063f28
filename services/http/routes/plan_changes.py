"""Upgrade, downgrade, cancel and resume subscriptions."""

from collections.abc import Callable
from typing import Annotated, Any, TypeVar

from fastapi import APIRouter, Depends
from msgspec import Struct

from projections.renewal.view import SubscriptionView
from services.http.calls import Manager, Reader
from services.http.commands import execute
from services.http.decoding import JsonBody, QueryOf
from services.http.documentation import examples
from services.http.documentation.operations import Shown, documented
from services.http.parameters import IfMatch, SubscriptionId
from services.http.previews import DowngradePreview, UpgradePreview, downgrade_preview_of, preview_of
from services.http.problems import require
from services.http.requests import (
    AlertsRequest,
    CancelRequest,
    DowngradeRequest,
    PlanId,
    ReinstateRequest,
    ResumeRequest,
    SuspendRequest,
    UpgradeRequest,
)
from services.http.routing import TypedRoute
from services.http.server.reply import Reply
from services.subscription.refusals import (
    NotADowngrade,
    NotAnUpgrade,
    NothingScheduled,
    Refusal,
    SubscriptionHasEnded,
    UnknownPlan,
    UnknownSubscription,
    VersionMismatch,
)

T = TypeVar("T", bound=Callable[..., Any])

router = APIRouter(tags=["Plan changes"], route_class=TypedRoute)


class PreviewQuery(Struct, frozen=True, forbid_unknown_fields=True):
    """The plan of the change to preview."""

    plan_id: PlanId


def _post(change: str, answer: SubscriptionView, request: Struct, *refusals: type[Refusal]) -> Callable[[T], T]:
    """Route the handler of a plan change, with an example of the answer and one of the request."""
    always = (UnknownSubscription, SubscriptionHasEnded, VersionMismatch)
    shown = {200: Shown(answer, headers=("ETag",))}
    documentation = documented(shown, refusals=(*always, *refusals), request=request)
    return router.post(f"/v1/subscriptions/{{subscription_id}}/{change}", openapi_extra=documentation)


@router.get(
    "/v1/subscriptions/{subscription_id}/upgrade-preview",
    openapi_extra=documented(
        {200: examples.UPGRADE_PREVIEW},
        refusals=(UnknownSubscription, SubscriptionHasEnded, UnknownPlan, NotAnUpgrade),
    ),
)
def preview_upgrade(
    call: Reader, subscription_id: SubscriptionId, query: Annotated[PreviewQuery, Depends(QueryOf(PreviewQuery))]
) -> UpgradePreview:
    """Show what an upgrade now would do, by the same rules; records nothing.

    `lapsing_credits` is what of the balance would be lost by it: nothing, unless the policy of the new plan drops
    leftover credits or its allowance is smaller than what is left.
    """
    current = require(call.service.reads.subscription(subscription_id), UnknownSubscription())
    return preview_of(current, query.plan_id, call.service.backend.catalogue)


@router.get(
    "/v1/subscriptions/{subscription_id}/downgrade-preview",
    openapi_extra=documented(
        {200: examples.DOWNGRADE_PREVIEW},
        refusals=(UnknownSubscription, SubscriptionHasEnded, UnknownPlan, NotADowngrade),
    ),
)
def preview_downgrade(
    call: Reader, subscription_id: SubscriptionId, query: Annotated[PreviewQuery, Depends(QueryOf(PreviewQuery))]
) -> DowngradePreview:
    """Show what a downgrade would do at the end of the term, by the same rules; records nothing."""
    current = require(call.service.reads.subscription(subscription_id), UnknownSubscription())
    return downgrade_preview_of(current, query.plan_id, call.service.backend.catalogue)


@_post("upgrade", examples.UPGRADED, examples.UPGRADE, UnknownPlan, NotAnUpgrade)
async def upgrade(
    call: Manager,
    subscription_id: SubscriptionId,
    body: Annotated[UpgradeRequest, Depends(JsonBody(UpgradeRequest, may_be_empty=True))],
    expected: IfMatch,
) -> Reply[SubscriptionView]:
    """Move to a plan of a higher tier, at once.

    The new term and the new credit cycle both start now; what is left of the old credits, the upgrade policy decides.
    A scheduled change is cleared.
    """
    return await execute(call, subscription_id, body.command(), body, expected_versions=expected)


@_post("downgrade", examples.DOWNGRADING, examples.DOWNGRADE, UnknownPlan, NotADowngrade)
async def downgrade(
    call: Manager,
    subscription_id: SubscriptionId,
    body: Annotated[DowngradeRequest, Depends(JsonBody(DowngradeRequest, may_be_empty=True))],
    expected: IfMatch,
) -> Reply[SubscriptionView]:
    """Move to another plan of the same or a lower tier when the term ends; replaces a change scheduled before."""
    return await execute(call, subscription_id, body.command(), body, expected_versions=expected)


@_post("cancel", examples.CANCELLING, examples.CANCEL)
async def cancel(
    call: Manager,
    subscription_id: SubscriptionId,
    body: Annotated[CancelRequest, Depends(JsonBody(CancelRequest, may_be_empty=True))],
    expected: IfMatch,
) -> Reply[SubscriptionView]:
    """End the subscription with its term, keeping the credits until then, or now; replaces a scheduled change."""
    return await execute(call, subscription_id, body.command(), body, expected_versions=expected)


@_post("alerts", examples.ALERTING, examples.ALERTS)
async def change_alerts(
    call: Manager,
    subscription_id: SubscriptionId,
    body: Annotated[AlertsRequest, Depends(JsonBody(AlertsRequest, may_be_empty=True))],
    expected: IfMatch,
) -> Reply[SubscriptionView]:
    """Set the thresholds at which credits are low for this subscription; null: those of the catalogue again.

    They hold from the next charge on. A threshold that was crossed in this cycle is not crossed again.
    """
    return await execute(call, subscription_id, body.command(), body, expected_versions=expected)


@_post("resume", examples.SUBSCRIPTION, ResumeRequest(), NothingScheduled)
async def resume(
    call: Manager,
    subscription_id: SubscriptionId,
    body: Annotated[ResumeRequest, Depends(JsonBody(ResumeRequest, may_be_empty=True))],
    expected: IfMatch,
) -> Reply[SubscriptionView]:
    """Take back the scheduled cancellation or downgrade. The body may be left out."""
    return await execute(call, subscription_id, body.command(), body, expected_versions=expected)


@_post("suspend", examples.SUSPENDED, examples.SUSPEND)
async def suspend(
    call: Manager,
    subscription_id: SubscriptionId,
    body: Annotated[SuspendRequest, Depends(JsonBody(SuspendRequest, may_be_empty=True))],
    expected: IfMatch,
) -> Reply[SubscriptionView]:
    """Refuse charges and new holds until the subscription is reinstated, say because its renewal was not paid.

    Time goes on, open holds are captured and released, and the plan can be changed. It is no error to suspend what is
    suspended.
    """
    return await execute(call, subscription_id, body.command(), body, expected_versions=expected)


@_post("reinstate", examples.SUBSCRIPTION, examples.REINSTATE)
async def reinstate(
    call: Manager,
    subscription_id: SubscriptionId,
    body: Annotated[ReinstateRequest, Depends(JsonBody(ReinstateRequest, may_be_empty=True))],
    expected: IfMatch,
) -> Reply[SubscriptionView]:
    """Take charges and holds again. It is no error to reinstate what is not suspended."""
    return await execute(call, subscription_id, body.command(), body, expected_versions=expected)
