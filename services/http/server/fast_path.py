"""The fast path: requests to hot routes reach their handlers without a framework in between.

A hot route (a charge, a hold, its capture, a batch, a balance) is declared like every other. What is here reads its
declaration and calls its handler.
"""

import re
import time
from collections.abc import Iterable, Mapping, Sequence
from itertools import zip_longest
from typing import Any

from msgspec.structs import replace

from services.http.calls import Call, confine
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
        self._tables = {method: (_pattern(table), _by_group(table)) for method, table in by_method.items()}

    def find(self, method: str, path: str) -> tuple[HotRoute, Sequence[str]] | None:
        """Find the hot route of a request, and the parameters in its path; None for any other request.

        A path that matches is the same in a URL and decoded, and has no query.
        """
        if (table := self._tables.get(method)) is None:
            return None
        pattern, routes = table
        match = pattern.fullmatch(path)
        if match is None or (number := match.lastindex) is None:
            return None
        route, count = routes[number]
        return route, match.groups()[number - count : number]

    async def answer(self, route: HotRoute, parameters: Sequence[str], exchange: Exchange) -> Reply[Any]:
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
            call = Call(service, exchange, key)
            if key.is_confined:
                await confine(call, route.confinement, parameters[0] if parameters else None)
            arguments: list[Any] = [call]
            if parameters:
                subscription_id, *others = parameters
                arguments += (subscription_id_of(subscription_id), *others)
            if body is not None:
                arguments.append(await body.of(exchange))
            reply: Reply[Any] = await route.handler(*arguments)
        except Exception as error:  # noqa: BLE001 - becomes a problem, and is logged there
            reply = _refused(error, exchange)
        if exchange.quota is not None:
            reply = replace(reply, headers={**reply.headers, **exchange.quota.headers()})
        seconds = time.perf_counter() - started
        service.metrics.observe(route.method, route.path, reply.status, seconds)
        service.request_log.note(exchange, route.method, route.path, reply.status, seconds)
        return reply


def _refused(error: Exception, exchange: Exchange) -> Reply[Any]:
    """Make the reply of an error. A variable of the frame that raised it would keep it, and the request with it."""
    problem = problem_of(error, exchange.request_id)
    exchange.code = problem.refusal.code
    return problem.reply(exchange.request_id)


_PARAMETERS = {"{subscription_id}": "([0-9a-fA-F-]+)", "{generation_id}": "([A-Za-z0-9._:-]+)"}
"""The patterns of parameters. What has another form is left to FastAPI."""
_PARAMETER = re.compile("|".join(map(re.escape, _PARAMETERS)))


def _pattern(routes: Iterable[HotRoute]) -> re.Pattern[str]:
    """Make the pattern of all paths. Each has a group for each parameter, or an empty one where it has none."""
    return re.compile("|".join(_path_pattern(route.path) for route in routes))


def _path_pattern(template: str) -> str:
    texts = map(re.escape, _PARAMETER.split(template))
    names: list[str] = _PARAMETER.findall(template)
    return "".join(map("".join, zip_longest(texts, map(_PARAMETERS.__getitem__, names), fillvalue=""))) + (
        "" if names else "()"
    )


def _by_group(routes: Iterable[HotRoute]) -> Mapping[int, tuple[HotRoute, int]]:
    """Return each route by the number of its last group, with the number of its parameters."""
    found: dict[int, tuple[HotRoute, int]] = {}
    group = 0
    for route in routes:
        count = len(_PARAMETER.findall(route.path))
        group += max(1, count)
        found[group] = route, count
    return found
