"""`Idempotency-Key`: the same key and body again gets the first answer, and does nothing again."""

from concurrent.futures import ThreadPoolExecutor
from typing import Any

import httpx
import pytest

from tests.acceptance.server import Customer, Server

START = {"account_id": "account-1", "plan_id": "ai-suite-40000-monthly"}
KEY = {"Idempotency-Key": "order-1"}


@pytest.fixture
def customer(http: httpx.Client) -> Customer:
    return Customer.with_plan(http, "ai-suite-40000-monthly")


def test_a_start_without_an_id_is_safely_repeated(http: httpx.Client) -> None:
    with ThreadPoolExecutor(20) as clients:
        answers = list(clients.map(lambda _: http.post("/v1/subscriptions", json=START, headers=KEY), range(20)))

    assert [answer.status_code for answer in answers] == [201] * 20
    assert len({answer.content for answer in answers}) == 1
    assert len({answer.headers["Location"] for answer in answers}) == 1
    assert [answer.headers.get("Idempotent-Replayed") for answer in answers].count(None) == 1
    assert len(http.get("/v1/subscriptions", params={"account_id": "account-1"}).json()["data"]) == 1


@pytest.mark.parametrize(
    ("resource", "body"),
    [
        ("upgrade", {"plan_id": "max-pro-240000-monthly"}),
        ("downgrade", {"plan_id": "ai-starter-16500-monthly"}),
        ("cancel", {"when": "now"}),
        ("resume", {}),
        ("upgrade", {"plan_id": "ai-starter-7500-monthly"}),
    ],
)
def test_the_first_answer_is_given_again_whatever_it_was(
    customer: Customer, resource: str, body: dict[str, Any]
) -> None:
    first = customer.http.post(f"{customer.path}/{resource}", json=body, headers=KEY)
    events = customer.events()

    again = customer.http.post(f"{customer.path}/{resource}", json=body, headers=KEY)

    assert (again.status_code, again.content) == (first.status_code, first.content)
    assert again.headers["content-type"] == first.headers["content-type"]
    assert again.headers.get("ETag") == first.headers.get("ETag")
    assert (first.headers.get("Idempotent-Replayed"), again.headers["Idempotent-Replayed"]) == (None, "true")
    assert customer.events() == events


def test_the_layout_of_the_json_does_not_make_another_body(customer: Customer) -> None:
    path = f"{customer.path}/upgrade"
    one = b'{"plan_id":"max-pro-240000-monthly","billing_reference":"i-1"}'
    other = b' {"billing_reference": "i-1", "plan_id": "max-pro-240000-monthly"}'

    answers = [customer.http.post(path, content=body, headers=KEY) for body in (one, other)]

    assert [answer.status_code for answer in answers] == [200, 200]


@pytest.mark.parametrize(
    ("path", "body"),
    [
        ("upgrade", {"plan_id": "max-pro-40000-monthly"}),
        ("downgrade", {"plan_id": "max-pro-240000-monthly"}),
        ("charges", {"generation_id": "g-1", "model": "lyria-3"}),
    ],
)
def test_the_key_with_another_request_is_refused(customer: Customer, path: str, body: dict[str, Any]) -> None:
    customer.http.post(f"{customer.path}/upgrade", json={"plan_id": "max-pro-240000-monthly"}, headers=KEY)

    answer = customer.http.post(f"{customer.path}/{path}", json=body, headers=KEY)

    assert (answer.status_code, answer.json()["code"]) == (422, "idempotency_key_reused")


def test_a_charge_under_a_key_is_repeated_like_any_charge(customer: Customer) -> None:
    path, body = f"{customer.path}/charges", {"generation_id": "g-1", "model": "lyria-3"}

    answers = [customer.http.post(path, json=body, headers=KEY) for _ in range(2)]
    reused = customer.http.post(path, json={**body, "generation_id": "g-2"}, headers=KEY)

    assert [answer.status_code for answer in answers] == [201, 200]
    assert answers[0].content == answers[1].content
    assert (reused.status_code, reused.json()["code"]) == (422, "idempotency_key_reused")


def test_each_api_key_has_idempotency_keys_of_its_own(server: Server, customer: Customer) -> None:
    with server.client("manage") as other:
        first = customer.http.post(f"{customer.path}/cancel", json={"when": "term_end"}, headers=KEY)
        second = other.post(f"{customer.path}/resume", json={}, headers=KEY)

    assert (first.status_code, second.status_code) == (200, 200)
    assert second.json()["status"] == "active"
