"""Read the balance."""

from fastapi import APIRouter

from projections.balance.view import Balance
from services.http.calls import Reader
from services.http.documentation import examples
from services.http.documentation.operations import documented
from services.http.parameters import SubscriptionId
from services.http.problems import Problem
from services.http.routing import HotRoute
from services.http.server.reply import Reply, json_reply
from services.subscription.refusals import UnknownSubscription

router = APIRouter(tags=["Subscriptions"], route_class=HotRoute)


@router.get(
    "/v1/subscriptions/{subscription_id}/balance",
    openapi_extra=documented({200: examples.BALANCE}, refusals=(UnknownSubscription,)),
)
async def get_balance(call: Reader, subscription_id: SubscriptionId) -> Reply[Balance]:
    """Show the credits that are left now, and the exact instant at which they renew.

    Always `balance_credits = granted_credits - used_credits + reversed_credits`. A balance that is read after a
    charge was answered includes that charge. A cycle that has ended is shown as reset, whether or not that is recorded
    yet; `version` and `position` are those of the last recorded event.
    """
    balance = await call.service.balances.balance(subscription_id)
    if balance is None:
        raise Problem(UnknownSubscription())
    return json_reply(balance)
