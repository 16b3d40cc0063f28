"""Test clocks over HTTP: made, read and moved, repeated under a key, refused, disabled."""

from collections.abc import Iterator
from typing import Any
from uuid import uuid4

import httpx
import pytest

from services.catalogue import Catalogue
from tests.acceptance.server import Customer, Listener, Server
from tests.acceptance.time_travel import TimeMachine, server_with_clocks
from tests.conftest import SettableClock

JANUARY_31 = "2026-01-31T10:00:00Z"
NOWHERE = "0b6f3b0e-1b7a-4c1e-9a63-6d1e2f3a4b5c"
START = {"account_id": "account-1", "plan_id": "ai-suite-40000-yearly"}
KEY = {"Idempotency-Key": "clock-1"}


@pytest.fixture
def enabled(listener: Listener, database_url: str, catalogue: Catalogue, clock: SettableClock) -> Iterator[Server]:
    with server_with_clocks(listener, database_url, catalogue, clock) as (server, _):
        yield server


@pytest.fixture
def http(enabled: Server) -> Iterator[httpx.Client]:
    with enabled.client() as client:
        yield client


def problem(answer: httpx.Response) -> tuple[int, str]:
    return answer.status_code, answer.json()["code"]


def test_a_clock_is_made_and_read(http: httpx.Client) -> None:
    made = http.post("/v1/test-clocks", json={"now": "2026-01-31T11:00:00+01:00"})

    assert made.status_code == 201
    assert made.json() == {"test_clock_id": made.json()["test_clock_id"], "now": JANUARY_31}
    read = http.get(made.headers["Location"])
    assert (read.status_code, read.json()) == (200, made.json())


@pytest.mark.parametrize(
    ("method", "path", "body"),
    [
        ("POST", "/v1/test-clocks", {"now": JANUARY_31}),
        ("GET", f"/v1/test-clocks/{NOWHERE}", None),
        ("POST", f"/v1/test-clocks/{NOWHERE}/advance", {"to": JANUARY_31}),
        ("POST", "/v1/subscriptions", {**START, "test_clock_id": NOWHERE}),
    ],
)
def test_disabled_clocks_are_not_found(server: Server, method: str, path: str, body: Any) -> None:
    with server.client() as http:
        assert problem(http.request(method, path, json=body)) == (404, "test_clocks_disabled")


def test_a_subscription_stays_in_its_time_where_clocks_are_disabled_later(
    http: httpx.Client, server: Server, clock: SettableClock
) -> None:
    bound = TimeMachine.at(http, JANUARY_31).customer("ai-suite-40000-yearly")
    clock.advance(days=500)

    with server.client() as elsewhere:
        assert Customer(elsewhere, bound.subscription_id).get("balance")["as_of"] == JANUARY_31


@pytest.mark.parametrize("clock_id", [NOWHERE, "nowhere", "%00", "a%2Fb"])
def test_an_unknown_clock_is_not_found(http: httpx.Client, clock_id: str) -> None:
    read = http.get(f"/v1/test-clocks/{clock_id}")
    advanced = http.post(f"/v1/test-clocks/{clock_id}/advance", json={"to": JANUARY_31})

    expected = {(404, "unknown_test_clock")} if "%2F" not in clock_id else {(404, "not_found")}
    assert {problem(read), problem(advanced)} == expected


def test_a_subscription_cannot_be_bound_to_an_unknown_clock(http: httpx.Client) -> None:
    answer = http.post("/v1/subscriptions", json={**START, "test_clock_id": NOWHERE})

    assert problem(answer) == (422, "unknown_test_clock")
    assert answer.json()["test_clock_id"] == NOWHERE


def test_the_same_start_on_another_clock_is_another_start(http: httpx.Client) -> None:
    body = {**START, "subscription_id": str(uuid4())}
    one, other = (TimeMachine.at(http, JANUARY_31).test_clock_id for _ in range(2))

    first = http.post("/v1/subscriptions", json={**body, "test_clock_id": one})
    again = http.post("/v1/subscriptions", json={**body, "test_clock_id": one})
    elsewhere = [http.post("/v1/subscriptions", json={**body, **on}) for on in ({"test_clock_id": other}, {})]

    assert (first.status_code, again.status_code) == (201, 200)
    assert first.json()["test_clock_id"] == one
    assert [problem(answer) for answer in elsewhere] == [(409, "subscription_exists")] * 2


@pytest.mark.parametrize(
    "to", ["2026-01-31T09:59:59.999999Z", "1999-12-31T23:59:59Z", "9000-01-01T00:00:01Z", "2026-02-01", "soon", 5, None]
)
def test_an_instant_that_a_clock_cannot_be_moved_to_is_named(http: httpx.Client, to: object) -> None:
    machine = TimeMachine.at(http, JANUARY_31)

    answer = http.post(f"/v1/test-clocks/{machine.test_clock_id}/advance", json={"to": to})

    assert problem(answer) == (422, "invalid_request")
    assert [error["field"] for error in answer.json()["errors"]] == ["to"]
    assert machine.now == JANUARY_31


@pytest.mark.parametrize("now", ["1999-12-31T23:59:59Z", "9000-01-01T00:00:01Z", "2026-01-31T10:00:00", "soon"])
def test_an_instant_that_a_clock_cannot_stand_at_is_named(http: httpx.Client, now: str) -> None:
    answer = http.post("/v1/test-clocks", json={"now": now})

    assert problem(answer) == (422, "invalid_request")
    assert [error["field"] for error in answer.json()["errors"]] == ["now"]


def test_a_request_repeated_under_a_key_happens_once(http: httpx.Client) -> None:
    made = [http.post("/v1/test-clocks", json={"now": JANUARY_31}, headers=KEY) for _ in range(2)]
    machine = TimeMachine(http, made[0].json()["test_clock_id"])
    machine.customer("ai-suite-40000-yearly")
    path, body, key = f"/v1/test-clocks/{machine.test_clock_id}/advance", {"to": "2026-03-01T00:00:00Z"}, "advance-1"
    moved = [http.post(path, json=body, headers={"Idempotency-Key": key}) for _ in range(2)]
    machine.advance("2026-04-01T00:00:00Z")
    later = http.post(path, json=body, headers={"Idempotency-Key": key})

    for first, *others in (made, [*moved, later]):
        assert {(each.status_code, each.content) for each in others} == {(first.status_code, first.content)}
        assert (first.headers.get("Idempotent-Replayed"), others[0].headers["Idempotent-Replayed"]) == (None, "true")
    assert moved[0].json()["recorded"] == {"subscriptions": 1, "events": 1}
    assert machine.now == "2026-04-01T00:00:00Z"
    reused = http.post(path, json={"to": "2026-05-01T00:00:00Z"}, headers={"Idempotency-Key": key})
    assert problem(reused) == (422, "idempotency_key_reused")


def test_clocks_and_the_agenda_need_their_scopes(enabled: Server) -> None:
    with enabled.client("read", "charge", "dispute") as http:
        answers = [
            http.post("/v1/test-clocks", json={"now": JANUARY_31}),
            http.get(f"/v1/test-clocks/{NOWHERE}"),
            http.post(f"/v1/test-clocks/{NOWHERE}/advance", json={"to": JANUARY_31}),
            http.get("/v1/renewals"),
        ]

    assert [problem(answer) for answer in answers] == [(403, "missing_scope")] * 4
    assert [answer.json()["scope"] for answer in answers] == ["manage", "manage", "manage", "audit"]


@pytest.mark.parametrize(
    ("query", "field"),
    [
        ({"before": "soon"}, "before"),
        ({"before": "2026-01-31T10:00:00"}, "before"),
        ({"cursor": "AAAA"}, "cursor"),
        ({"limit": "0"}, "limit"),
        ({"until": JANUARY_31}, "until"),
    ],
)
def test_a_bad_query_to_the_agenda_names_the_parameter(http: httpx.Client, query: dict[str, str], field: str) -> None:
    answer = http.get("/v1/renewals", params=query)

    assert problem(answer) == (422, "invalid_request")
    assert [error["field"] for error in answer.json()["errors"]] == [field]
