"""Upgrades, downgrades, cancellations, and what takes them back."""

from typing import Annotated

from fastapi import APIRouter, Depends
from msgspec import Struct
from starlette.responses import Response

from projections.renewal.view import Subscription
from services.http.calls import Manager, Reader
from services.http.decoding import JsonBody, QueryOf
from services.http.documentation import examples
from services.http.documentation.operations import Shown, documented
from services.http.parameters import IfMatch, SubscriptionId
from services.http.previews import UpgradePreview, preview_of
from services.http.requests import CancelRequest, DowngradeRequest, PlanId, ResumeRequest, UpgradeRequest
from services.http.server.reply import json_response
from services.subscription.refusals import (
    NotADowngrade,
    NotAnUpgrade,
    NothingScheduled,
    SubscriptionHasEnded,
    UnknownPlan,
    UnknownSubscription,
    VersionMismatch,
)

router = APIRouter(tags=["Plan changes"])

_ALWAYS = (UnknownSubscription, SubscriptionHasEnded, VersionMismatch)


class PreviewQuery(Struct, frozen=True, forbid_unknown_fields=True):
    """Which upgrade to look at."""

    plan_id: PlanId


@router.get(
    "/v1/subscriptions/{subscription_id}/upgrade-preview",
    openapi_extra=documented(
        {200: Shown(UpgradePreview, examples.UPGRADE_PREVIEW)},
        refusals=(UnknownSubscription, SubscriptionHasEnded, UnknownPlan, NotAnUpgrade),
    ),
)
def preview_upgrade(
    call: Reader, subscription_id: SubscriptionId, wanted: Annotated[PreviewQuery, Depends(QueryOf(PreviewQuery))]
) -> Response:
    """Show what an upgrade now would do, by the same rules; records nothing.

    `lapsing_credits` is what of the balance would be lost by it: nothing, unless the policy of the new plan drops
    leftover credits or its allowance is smaller than what is left.
    """
    current = call.service.reads.subscription(subscription_id)
    return json_response(preview_of(current, wanted.plan_id, call.service.backend.catalogue))


@router.post(
    "/v1/subscriptions/{subscription_id}/upgrade",
    openapi_extra=documented(
        {200: Shown(Subscription, examples.UPGRADED, headers=("ETag",))},
        refusals=(*_ALWAYS, UnknownPlan, NotAnUpgrade),
        request=examples.UPGRADE,
    ),
)
def upgrade(
    call: Manager,
    subscription_id: SubscriptionId,
    wanted: Annotated[UpgradeRequest, Depends(JsonBody(UpgradeRequest))],
    expected: IfMatch,
) -> Response:
    """Move to a plan of a higher tier, at once.

    The new term and the new credit cycle both start now; what is left of the old credits, the upgrade policy decides.
    A scheduled change is cleared.
    """
    return call.carry_out(subscription_id, wanted.command(), wanted, expected_version=expected)


@router.post(
    "/v1/subscriptions/{subscription_id}/downgrade",
    openapi_extra=documented(
        {200: Shown(Subscription, examples.DOWNGRADING, headers=("ETag",))},
        refusals=(*_ALWAYS, UnknownPlan, NotADowngrade),
        request=examples.DOWNGRADE,
    ),
)
def downgrade(
    call: Manager,
    subscription_id: SubscriptionId,
    wanted: Annotated[DowngradeRequest, Depends(JsonBody(DowngradeRequest))],
    expected: IfMatch,
) -> Response:
    """Move to another plan of the same or a lower tier when the term ends; replaces a change scheduled before."""
    return call.carry_out(subscription_id, wanted.command(), wanted, expected_version=expected)


@router.post(
    "/v1/subscriptions/{subscription_id}/cancel",
    openapi_extra=documented(
        {200: Shown(Subscription, examples.CANCELLING, headers=("ETag",))},
        refusals=_ALWAYS,
        request=examples.CANCEL,
    ),
)
def cancel(
    call: Manager,
    subscription_id: SubscriptionId,
    wanted: Annotated[CancelRequest, Depends(JsonBody(CancelRequest))],
    expected: IfMatch,
) -> Response:
    """End the subscription with its term, keeping the credits until then, or now; replaces a scheduled change."""
    return call.carry_out(subscription_id, wanted.command(), wanted, expected_version=expected)


@router.post(
    "/v1/subscriptions/{subscription_id}/resume",
    openapi_extra=documented(
        {200: Shown(Subscription, examples.SUBSCRIPTION, headers=("ETag",))},
        refusals=(*_ALWAYS, NothingScheduled),
        request=ResumeRequest(),
    ),
)
def resume(
    call: Manager,
    subscription_id: SubscriptionId,
    wanted: Annotated[ResumeRequest, Depends(JsonBody(ResumeRequest, may_be_empty=True))],
    expected: IfMatch,
) -> Response:
    """Take back the scheduled cancellation or downgrade. The body may be left out."""
    return call.carry_out(subscription_id, wanted.command(), wanted, expected_version=expected)
