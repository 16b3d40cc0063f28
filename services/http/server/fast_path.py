"""The hot paths, charge, batch and balance, answered without a framework between the socket and the rules.

They are ordinary routes as well (`charges.py`, `batches.py` and `balances.py` in `routes`), which documents them and
shows the same steps; what is here only takes the short way to them.
"""

import re
from collections.abc import Awaitable, Callable
from typing import NamedTuple

from services.http.batch import BATCH_BODY, answer_batch
from services.http.calls import Call
from services.http.decoding import JsonBody, refuse_query
from services.http.parameters import subscription_id_of
from services.http.requests import ChargeRequest
from services.http.server.exchange import BATCH_BODY_LIMIT_BYTES, Exchange
from services.http.server.reply import Reply, encode
from services.http.service import Service

_BATCH = "/v1/charges/batch"
_OF_SUBSCRIPTION = re.compile(r"/v1/subscriptions/([0-9a-fA-F-]+)/(charges|balance)")
_CHARGE_BODY = JsonBody(ChargeRequest)


class HotRoute(NamedTuple):
    """A route template and what answers it, given the exchange and the subscription id as it was written."""

    method: str
    template: str
    answer: Callable[[Exchange, str], Awaitable[Reply]]


class HotPaths:
    """Finds the requests that take the short way."""

    def __init__(self, service: Service) -> None:
        self._service = service
        routes = (
            HotRoute("POST", "/v1/subscriptions/{subscription_id}/charges", self._charge),
            HotRoute("GET", "/v1/subscriptions/{subscription_id}/balance", self._balance),
            HotRoute("POST", _BATCH, self._batch),
        )
        self._routes = {(route.method, route.template.rpartition("/")[2]): route for route in routes}

    def find(self, method: str, path: str) -> tuple[HotRoute, str] | None:
        """The hot route of a request, and the subscription id in its path; None for any other request.

        A path that is found is the same in a URL and decoded, and has no query.
        """
        if found := _OF_SUBSCRIPTION.fullmatch(path):
            subscription_id, resource = found.groups()
        elif path == _BATCH:
            subscription_id, resource = "", "batch"
        else:
            return None
        route = self._routes.get((method, resource))
        return None if route is None else (route, subscription_id)

    async def _charge(self, exchange: Exchange, subscription_id: str) -> Reply:
        key = await self._service.authenticator.caller(exchange, "charge")
        refuse_query(exchange)
        id = subscription_id_of(subscription_id)
        wanted = _CHARGE_BODY.decode(await exchange.body())
        return await self._service.charging.charge(id, wanted, exchange, key)

    async def _balance(self, exchange: Exchange, subscription_id: str) -> Reply:
        await self._service.authenticator.caller(exchange, "read")
        refuse_query(exchange)
        balance = await self._service.balances.balance(subscription_id_of(subscription_id))
        return Reply(200, encode(balance))

    async def _batch(self, exchange: Exchange, _: str) -> Reply:
        key = await self._service.authenticator.caller(exchange, "charge")
        refuse_query(exchange)
        wanted = BATCH_BODY.decode(await exchange.body(BATCH_BODY_LIMIT_BYTES))
        return await answer_batch(Call(self._service, exchange, key), wanted)
