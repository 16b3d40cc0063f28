"""The balance. The socket's short way to the same is `services/http/server/fast_path.py`."""

from fastapi import APIRouter
from starlette.responses import Response

from projections.balance.view import Balance
from services.http.calls import Reader
from services.http.documentation import examples
from services.http.documentation.operations import Shown, documented
from services.http.parameters import SubscriptionId
from services.http.server.reply import json_response
from services.subscription.refusals import UnknownSubscription

router = APIRouter(tags=["Subscriptions"])


@router.get(
    "/v1/subscriptions/{subscription_id}/balance",
    openapi_extra=documented({200: Shown(Balance, examples.BALANCE)}, refusals=(UnknownSubscription,)),
)
async def get_balance(call: Reader, subscription_id: SubscriptionId) -> Response:
    """Show the credits that are left now, and the exact instant at which they renew.

    Always `balance_credits = granted_credits - used_credits + reversed_credits`. A balance that is read after a
    charge was answered includes that charge. A cycle that has ended is shown as reset, whether or not that is recorded
    yet; `version` and `position` are those of the last recorded event.
    """
    return json_response(await call.service.balances.balance(subscription_id))
