"""Instants in requests: digits beyond microseconds are cut off, never rounded up, wherever an instant can be given."""

from collections.abc import Iterator
from typing import Any

import httpx
import pytest

from services.catalogue import Catalogue
from tests.acceptance.server import Customer, Listener, Server
from tests.acceptance.time_travel import server_with_clocks
from tests.conftest import SettableClock

# A subscription starts at noon on 15 January 2026 and its cycle ends at noon on 15 February. This is just before it.
LAST_MOMENT = "2026-02-15T11:59:59.999999"
BEYOND = [f"{LAST_MOMENT}Z", f"{LAST_MOMENT}9Z", f"{LAST_MOMENT}9999999999999999999999Z", f"{LAST_MOMENT}99+00:00"]


@pytest.fixture
def server(listener: Listener, database_url: str, catalogue: Catalogue, clock: SettableClock) -> Iterator[Server]:
    with server_with_clocks(listener, database_url, catalogue, clock) as (server, _):
        yield server


@pytest.fixture
def customer(http: httpx.Client, clock: SettableClock) -> Customer:
    """A subscription with one charge, whose second cycle has begun."""
    customer = Customer.with_plan(http, "ai-starter-16500-monthly")
    customer.charge("lyria-3")
    clock.advance(days=31)
    return customer


@pytest.mark.parametrize("written", BEYOND)
def test_the_past_is_that_of_the_microsecond(customer: Customer, written: str) -> None:
    shown = customer.get("as-of", at=written)

    assert shown["balance"]["as_of"] == f"{LAST_MOMENT}Z"
    assert (shown["balance"]["cycle"]["number"], shown["balance"]["balance_credits"]) == (1, 16_350)


@pytest.mark.parametrize("written", BEYOND)
def test_a_replay_ends_and_is_changed_at_the_microsecond(customer: Customer, written: str) -> None:
    extra = {"at": written, "generation_id": "extra", "model": "lyria-3"}

    replayed = customer.post("what-if", until=written, insert_charges=[extra])

    assert replayed["actual"]["cycle"]["number"] == 1
    assert [each["replayed"]["cycle_number"] for each in replayed["differences"]] == [1]


@pytest.mark.parametrize("written", BEYOND)
def test_a_clock_stands_at_the_microsecond(http: httpx.Client, written: str) -> None:
    made = http.post("/v1/test-clocks", json={"now": written}).json()
    path = f"/v1/test-clocks/{made['test_clock_id']}/advance"

    moved = http.post(path, json={"to": written})

    assert made["now"] == f"{LAST_MOMENT}Z"
    assert (moved.status_code, moved.json()["now"]) == (200, f"{LAST_MOMENT}Z")


@pytest.mark.parametrize("written", BEYOND)
def test_lists_are_bounded_at_the_microsecond(http: httpx.Client, clock: SettableClock, written: str) -> None:
    customer = Customer.with_plan(http, "ai-starter-16500-monthly")
    clock.now = clock.now.fromisoformat(f"{LAST_MOMENT}+00:00")
    customer.charge("lyria-3")
    clock.advance(days=31)

    def listed(path: str, **query: Any) -> int:
        return len(http.get(path, params=query).json()["data"])

    for path in (f"{customer.path}/charges", "/v1/charges"):
        assert listed(path, **{"from": written}) == 1
        assert listed(path, to=written) == 0
    assert listed("/v1/renewals", before="2026-04-15T12:00:00.0000009Z") == 0
    assert listed("/v1/renewals", before="2026-04-15T12:00:00.0000010Z") == 1


@pytest.mark.parametrize("name", ["from", "to"])
def test_the_last_microsecond_of_a_day_is_not_the_next_day(customer: Customer, name: str) -> None:
    answer = customer.http.get(f"{customer.path}/usage", params={name: "2026-01-31T23:59:59.9999999Z"})

    assert (answer.status_code, answer.json()["errors"][0]["field"]) == (422, name)


@pytest.mark.parametrize(
    "written",
    ["2026-01-15T12:00:00", "2026-01-15T12:00:00.1234567", "2026-01-15", "1768478400", "2026-01-15T12:00:00.Z"],
)
def test_what_is_no_instant_is_refused_by_name(customer: Customer, written: str) -> None:
    query = customer.http.get(f"{customer.path}/as-of", params={"at": written})
    body = customer.http.post(f"{customer.path}/what-if", json={"insert_charges": [{"at": written}]})

    assert (query.status_code, query.json()["errors"][0]["field"]) == (422, "at")
    assert (body.status_code, body.json()["errors"][0]["field"]) == (422, "insert_charges[0].at")
