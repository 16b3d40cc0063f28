"""The fast path: requests to hot routes (charge, batch, balance) reach their handlers without a framework in between.

A hot route is declared like every other. What is here reads its declaration and calls its handler.
"""

import re
import time
from collections.abc import Iterable
from typing import Any

from services.http.calls import Call
from services.http.decoding import refuse_query
from services.http.exports import refuse_all_but_json
from services.http.parameters import subscription_id_of
from services.http.patience import Payments
from services.http.problems import problem_of
from services.http.routing import HotRoute
from services.http.server.exchange import Exchange
from services.http.server.reply import Reply
from services.http.service import Service


class FastPath:
    """Finds the hot route of a request, and answers by it."""

    def __init__(self, service: Service, routes: Iterable[HotRoute]) -> None:
        self.service = service
        by_method: dict[str, list[HotRoute]] = {}
        for route in routes:
            by_method.setdefault(route.method, []).append(route)
        self._tables = {method: (_pattern(table), table) for method, table in by_method.items()}

    def find(self, method: str, path: str) -> tuple[HotRoute, str] | None:
        """Find the hot route of a request, and the subscription id in its path or ""; None for any other request.

        A path that matches is the same in a URL and decoded, and has no query.
        """
        if (table := self._tables.get(method)) is None:
            return None
        pattern, routes = table
        match = pattern.fullmatch(path)
        if match is None or (number := match.lastindex) is None:
            return None
        return routes[number - 1], match[number]

    async def answer(self, route: HotRoute, subscription_id: str, exchange: Exchange) -> Reply[Any]:
        """Answer a request that `find` knows; every error becomes a reply."""
        started = Payments.asked_at = time.perf_counter()
        service, body = self.service, route.body
        try:
            exchange.refuse_ambiguous()
            authenticator, scope = service.authenticator, route.scope
            key = authenticator.known_caller(exchange, scope) or await authenticator.caller(exchange, scope)
            if exchange.query:
                refuse_query(exchange)
            refuse_all_but_json(exchange)
            arguments: list[Any] = [Call(service, exchange, key)]
            if subscription_id:
                arguments.append(subscription_id_of(subscription_id))
            if body is not None:
                arguments.append(await body.of(exchange))
            reply: Reply[Any] = await route.handler(*arguments)
        except Exception as error:  # noqa: BLE001 - becomes a problem, and is logged there
            reply = problem_of(error, exchange.request_id).reply(exchange.request_id)
        service.metrics.observe(route.method, route.path, reply.status, time.perf_counter() - started)
        return reply


def _pattern(routes: Iterable[HotRoute]) -> re.Pattern[str]:
    """Make the pattern of all paths. Each has one group, the id or nothing, whose number is the place of its route."""
    return re.compile("|".join(_path_pattern(route.path) for route in routes))


def _path_pattern(template: str) -> str:
    before, parameter, after = template.partition("{subscription_id}")
    return f"{re.escape(before)}({'[0-9a-fA-F-]+' if parameter else ''}){re.escape(after)}"
