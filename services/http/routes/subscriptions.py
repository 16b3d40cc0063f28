"""Start subscriptions and read them."""

from typing import Annotated
from uuid import UUID, uuid4

from fastapi import APIRouter, Depends
from msgspec import Struct
from msgspec.structs import replace
from starlette.responses import Response

from projections.renewal.view import Renewal, Subscription, renewal_view
from services.http.calls import Manager, Reader
from services.http.commands import subscription_reply
from services.http.decoding import JsonBody, QueryOf
from services.http.documentation import examples
from services.http.documentation.operations import Shown, documented
from services.http.paging import AtSubscription, Page, Paging
from services.http.parameters import SubscriptionId, time_zone
from services.http.problems import ClocksDisabled, Problem, invalid
from services.http.requests import AccountId, StartRequest, TimeZone
from services.http.server.reply import Reply, json_response
from services.ledger.submission import Done, UnknownTestClock
from services.subscription.refusals import SubscriptionExists, UnknownPlan, UnknownSubscription

router = APIRouter(tags=["Subscriptions"])

NOBODY = UUID(int=0)
"""The id before all others; no subscription has it."""


class SubscriptionsOf(Paging, frozen=True, forbid_unknown_fields=True, kw_only=True):
    """Whose subscriptions to list."""

    account_id: AccountId


class RenewalQuery(Struct, frozen=True, forbid_unknown_fields=True):
    """In which zone to show local times too."""

    tz: TimeZone | None = None


@router.post(
    "/v1/subscriptions",
    openapi_extra=documented(
        {
            201: Shown(Subscription, examples.SUBSCRIPTION, headers=("ETag", "Location")),
            200: Shown(Subscription, examples.SUBSCRIPTION, headers=("ETag", "Location")),
        },
        refusals=(SubscriptionExists, UnknownPlan, UnknownTestClock, ClocksDisabled),
        request=examples.START,
    ),
)
def start_subscription(call: Manager, wanted: Annotated[StartRequest, Depends(JsonBody(StartRequest))]) -> Response:
    """Start a subscription, from now.

    201 once it is started; 200 when the same id was started before with the same body. The first allowance is granted
    at once. Without `subscription_id` a new one is made up: send an `Idempotency-Key`, or an id, to be able to retry.
    """
    if wanted.test_clock_id is not None and not call.service.backend.test_clocks_enabled:
        raise Problem(ClocksDisabled())
    if wanted.subscription_id == NOBODY:
        raise invalid("subscription_id", "must not be the nil UUID")

    def render(done: Done) -> Reply:
        reply = subscription_reply(done, 201 if done.event_count else 200)
        location = f"/v1/subscriptions/{done.subscription_id}"
        return replace(reply, headers={**reply.headers, "location": location})

    id = wanted.subscription_id or uuid4()
    return call.carry_out(id, wanted.command(), wanted, render=render)


@router.get(
    "/v1/subscriptions",
    openapi_extra=documented({200: Shown(Page[Subscription], examples.page_of(examples.SUBSCRIPTION))}),
)
def list_subscriptions(call: Reader, wanted: Annotated[SubscriptionsOf, Depends(QueryOf(SubscriptionsOf))]) -> Response:
    """List the subscriptions of an account, ended ones too, by id."""
    after = wanted.place(AtSubscription, AtSubscription(NOBODY)).subscription_id
    found = call.service.reads.subscriptions(wanted.account_id, after=after, limit=wanted.one_more)
    return wanted.page(found, lambda last: AtSubscription(last.subscription_id))


@router.get(
    "/v1/subscriptions/{subscription_id}",
    openapi_extra=documented(
        {200: Shown(Subscription, examples.SUBSCRIPTION, headers=("ETag",))}, refusals=(UnknownSubscription,)
    ),
)
def get_subscription(call: Reader, subscription_id: SubscriptionId) -> Response:
    """Show a subscription as it is now.

    Resets, renewals and ends that are due are applied, whether or not they are recorded yet. `version` is that of the
    last recorded event, and the `ETag` to send back as `If-Match`.
    """
    current = call.service.reads.subscription(subscription_id)
    return json_response(current.view(), headers={"etag": f'"{current.state.version}"'})


@router.get(
    "/v1/subscriptions/{subscription_id}/renewal",
    openapi_extra=documented({200: Shown(Renewal, examples.RENEWAL)}, refusals=(UnknownSubscription,)),
)
def get_renewal(
    call: Reader, subscription_id: SubscriptionId, wanted: Annotated[RenewalQuery, Depends(QueryOf(RenewalQuery))]
) -> Response:
    """Show when credits and subscription renew, and the next twelve boundaries.

    With `tz` every instant comes in that zone's time as well, with its offset; what decides is always UTC.
    """
    zone = None if wanted.tz is None else time_zone(wanted.tz)
    current = call.service.reads.subscription(subscription_id)
    return json_response(renewal_view(subscription_id, current.state, zone))
