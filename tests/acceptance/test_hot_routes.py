"""Hot routes: one function answers on the fast path and through FastAPI, and is the one that is documented."""

import json
from collections.abc import Iterator
from dataclasses import replace
from typing import Any
from uuid import uuid4

import httpx
import pytest

from services.http.app import create_app
from services.http.documentation.openapi import openapi_document
from services.http.routes import ROUTERS, balances, batches, charges, holds
from services.http.routing import HotRoute, typed_routes
from services.http.server.edge import Edge
from services.http.server.fast_path import FastPath
from tests.acceptance.server import Customer, Server, listening

HOT = [route for route in typed_routes(ROUTERS) if isinstance(route, HotRoute)]

every_hot_route = pytest.mark.parametrize("route", HOT, ids=lambda route: route.handler.__name__)


@pytest.fixture
def clients(server: Server) -> Iterator[dict[str, httpx.Client]]:
    """A client of the whole service, and one whose requests the fast path leaves to FastAPI, all of them."""
    app = create_app(server.backend)
    behind = Edge(FastPath(app.api.state.service, ()), app.api, app.api.state.service.metrics)
    with (
        listening(behind) as (url, _),
        server.client() as whole,
        replace(server, url=url).client() as fastapi,
    ):
        yield {"fast path": whole, "FastAPI": fastapi}


def test_the_hot_routes_are_charge_hold_capture_batch_and_balance() -> None:
    handlers = {route.handler for route in HOT}
    assert handlers == {
        charges.charge_generation,
        holds.hold_credits,
        holds.capture_hold,
        batches.charge_batch,
        balances.get_balance,
    }


@every_hot_route
def test_the_fast_path_finds_the_function_that_is_documented(
    server: Server, route: HotRoute, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = route.path.format(subscription_id=uuid4(), generation_id="a-track:1.5")
    match = create_app(server.backend).fast_path.find(route.method, path)
    assert match is not None
    monkeypatch.setattr(match[0].handler, "__doc__", "This very function.")

    operation = json.loads(openapi_document(ROUTERS))["paths"][route.path][route.method.lower()]

    assert operation["description"] == "This very function."
    assert match[0].handler is route.handler


@every_hot_route
def test_both_ways_give_the_same_answer(clients: dict[str, httpx.Client], route: HotRoute) -> None:
    customer = Customer.with_plan(clients["fast path"], "ai-suite-40000-monthly")
    _request(clients["fast path"], route, customer)  # so that neither is the first

    answers = {way: _request(client, route, customer) for way, client in clients.items()}

    fast, slow = answers["fast path"], answers["FastAPI"]
    assert fast.status_code == slow.status_code == 200
    assert fast.json() == slow.json()
    assert _headers(fast) == _headers(slow)


@every_hot_route
@pytest.mark.parametrize("way", ["fast path", "FastAPI"])
def test_both_ways_call_the_function(
    clients: dict[str, httpx.Client], route: HotRoute, way: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    customer = Customer.with_plan(clients["fast path"], "ai-suite-40000-monthly")

    async def fail(*_arguments: Any, **_named: Any) -> None:
        raise RuntimeError("this function was called")

    assert _request(clients[way], route, customer).status_code in {200, 201}  # FastAPI has read its signature
    monkeypatch.setattr(route.handler, "__code__", fail.__code__)

    answer = _request(clients[way], route, customer)

    assert (answer.status_code, answer.json()["code"]) == (500, "internal_error")


def _request(client: httpx.Client, route: HotRoute, customer: Customer) -> httpx.Response:
    charge = {"generation_id": "track-1", "model": "lyria-3"}
    bodies: dict[Any, Any] = {
        charges.charge_generation: charge,
        holds.hold_credits: charge,
        batches.charge_batch: {"charges": [{**charge, "subscription_id": customer.subscription_id}]},
    }
    path = route.path.format(subscription_id=customer.subscription_id, generation_id="held:1.5")
    if route.handler is holds.capture_hold:
        client.post(f"{customer.path}/holds", json={**charge, "generation_id": "held:1.5"})
    return client.request(route.method, path, json=bodies.get(route.handler))


def _headers(answer: httpx.Response) -> dict[str, str]:
    """Return the headers, but for those of one request and of the server."""
    return {name: text for name, text in answer.headers.items() if name not in {"request-id", "date"}}
