"""Start subscriptions and read them."""

from typing import Annotated
from uuid import UUID, uuid4

from fastapi import APIRouter, Depends
from msgspec import Struct
from msgspec.structs import replace

from projections.renewal.queries import SubscriptionFilter
from projections.renewal.view import Renewal, SubscriptionView, renewal_view
from services.http.calls import Manager, Reader
from services.http.commands import execute, subscription_reply
from services.http.confinement import Confinement
from services.http.decoding import JsonBody, QueryOf
from services.http.documentation import examples
from services.http.documentation.operations import Shown, documented
from services.http.paging import AtSubscription, Page, Paging
from services.http.parameters import SubscriptionId, time_zone
from services.http.problems import ClocksDisabled, KeyConfined, Problem, invalid, require
from services.http.requests import AccountId, PlanId, StartRequest, TimeZone
from services.http.routing import TypedRoute
from services.http.server.reply import Reply, json_reply
from services.ledger.submission import Done, UnknownTestClock
from services.subscription.refusals import SubscriptionExists, UnknownPlan, UnknownSubscription
from services.subscription.state import ShownStatus

router = APIRouter(tags=["Subscriptions"], route_class=TypedRoute)

NOBODY = UUID(int=0)
"""The nil UUID, which sorts before all others; no subscription has it."""


class SubscriptionQuery(Paging, frozen=True, forbid_unknown_fields=True, kw_only=True):
    """Filters of a list of subscriptions, by what they are now."""

    account_id: AccountId | None = None
    plan_id: PlanId | None = None
    status: ShownStatus | None = None


class RenewalQuery(Struct, frozen=True, forbid_unknown_fields=True):
    """The time zone for local times, beside those in UTC."""

    tz: TimeZone | None = None


@router.post(
    "/v1/subscriptions",
    openapi_extra=documented(
        dict.fromkeys((201, 200), Shown(examples.SUBSCRIPTION, headers=("ETag", "Location"))),
        refusals=(SubscriptionExists, UnknownPlan, UnknownTestClock, ClocksDisabled, KeyConfined),
        request=examples.START,
    ),
)
async def start_subscription(
    call: Annotated[Manager, Confinement.BY_HANDLER], body: Annotated[StartRequest, Depends(JsonBody(StartRequest))]
) -> Reply[SubscriptionView]:
    """Start a subscription, from now.

    201 once it is started; 200 when the same id was started before with the same body. The first allowance is granted
    at once. Without `subscription_id` a new one is made up: send an `Idempotency-Key`, or an id, to be able to retry.
    """
    if call.key.is_confined and body.account_id not in call.key.account_ids:
        raise Problem(KeyConfined())
    if body.test_clock_id is not None and not call.service.backend.test_clocks_enabled:
        raise Problem(ClocksDisabled())
    if body.subscription_id == NOBODY:
        raise invalid("subscription_id", "must not be the nil UUID")

    def render(done: Done) -> Reply[SubscriptionView]:
        reply = subscription_reply(done, 201 if done.event_count else 200)
        location = f"/v1/subscriptions/{done.subscription_id}"
        return replace(reply, headers={**reply.headers, "location": location})

    id = body.subscription_id or uuid4()
    return await execute(call, id, body.command(), body, render=render)


@router.get(
    "/v1/subscriptions",
    openapi_extra=documented({200: examples.page_of(examples.SUBSCRIPTION)}),
)
def list_subscriptions(
    call: Annotated[Reader, Confinement.BY_HANDLER],
    query: Annotated[SubscriptionQuery, Depends(QueryOf(SubscriptionQuery))],
) -> Page[SubscriptionView]:
    """List subscriptions by id: of an account, on a plan, of a status; ended ones too. Without a filter, all."""
    after = query.place(AtSubscription, AtSubscription(NOBODY)).subscription_id
    chosen = SubscriptionFilter(query.account_id, query.plan_id, query.status)
    subscriptions = call.service.reads.subscriptions(call.key, chosen, after=after, limit=query.one_more)
    return query.page(subscriptions, lambda last: AtSubscription(last.subscription_id))


@router.get(
    "/v1/subscriptions/{subscription_id}",
    openapi_extra=documented({200: Shown(examples.SUBSCRIPTION, headers=("ETag",))}, refusals=(UnknownSubscription,)),
)
def get_subscription(call: Reader, subscription_id: SubscriptionId) -> Reply[SubscriptionView]:
    """Show a subscription as it is now.

    Resets, renewals and ends that are due are applied, whether or not they are recorded yet. `version` is that of the
    last recorded event, and the `ETag` to send back as `If-Match`.
    """
    current = require(call.service.reads.subscription(subscription_id), UnknownSubscription())
    return json_reply(current.view(), headers={"etag": f'"{current.state.version}"'})


@router.get(
    "/v1/subscriptions/{subscription_id}/renewal",
    openapi_extra=documented({200: examples.RENEWAL}, refusals=(UnknownSubscription,)),
)
def get_renewal(
    call: Reader, subscription_id: SubscriptionId, query: Annotated[RenewalQuery, Depends(QueryOf(RenewalQuery))]
) -> Renewal:
    """Show when credits and subscription renew, and the next twelve boundaries.

    With `tz` every instant comes in that zone's time as well, with its offset; what decides is always UTC.
    """
    zone = None if query.tz is None else time_zone(query.tz)
    current = require(call.service.reads.subscription(subscription_id), UnknownSubscription())
    return renewal_view(subscription_id, current.state, zone)
