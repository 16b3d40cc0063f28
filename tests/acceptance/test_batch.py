"""Many charges in one request: each decided on its own, in order, and each once."""

import json
from collections import Counter
from concurrent.futures import ThreadPoolExecutor
from typing import Any
from uuid import uuid4

import httpx
import pytest

from tests.acceptance.server import Customer, Server

BATCH = "/v1/charges/batch"


@pytest.fixture
def customer(http: httpx.Client) -> Customer:
    return Customer.with_plan(http, "ai-starter-16500-monthly")


def charge_of(customer: Customer, generation_id: str, model: str = "lyria-3", **more: Any) -> dict[str, Any]:
    return {"subscription_id": customer.subscription_id, "generation_id": generation_id, "model": model, **more}


def results_of(http: httpx.Client, *charges: Any, **headers: str) -> list[dict[str, Any]]:
    answer = http.post(BATCH, json={"charges": charges}, headers=headers)
    assert answer.status_code == 200, answer.text
    results: list[dict[str, Any]] = answer.json()["results"]
    return results


def test_a_result_is_the_charge_as_it_would_have_been_answered_alone(http: httpx.Client, customer: Customer) -> None:
    results = results_of(http, charge_of(customer, "track-1"), charge_of(customer, "track-2", "lyria-3-pro"))

    assert [result["status"] for result in results] == [201, 201]
    assert [result["charge"] for result in results] == [
        customer.get("charges/track-1"),
        customer.get("charges/track-2"),
    ]
    assert [result["charge"]["balance_after"] for result in results] == [16_350, 16_050]
    assert all("problem" not in result for result in results)


def test_each_charge_is_decided_on_its_own(http: httpx.Client, customer: Customer) -> None:
    nobody = {**charge_of(customer, "track-3"), "subscription_id": str(uuid4())}

    results = results_of(
        http,
        charge_of(customer, "track-1"),
        charge_of(customer, "track-2", "lyria-9"),
        nobody,
        charge_of(customer, "track-4", settings={"resolution": "4k"}),
        charge_of(customer, "voice-1", "example-voice-1"),
        charge_of(customer, "track-5"),
    )

    outcomes = [(result["status"], result["problem"]["code"] if "problem" in result else None) for result in results]
    assert outcomes == [
        (201, None),
        (422, "unknown_model"),
        (404, "unknown_subscription"),
        (422, "invalid_settings"),
        (422, "invalid_settings"),
        (201, None),
    ]
    assert all(result["problem"]["status"] == result["status"] for result in results if "problem" in result)
    assert customer.balance == 16_500 - 2 * 150


def test_a_charge_sees_the_ones_before_it(http: httpx.Client, customer: Customer) -> None:
    affordable = 16_500 // 150

    results = results_of(http, *(charge_of(customer, f"track-{number}") for number in range(affordable + 2)))

    assert [result["status"] for result in results] == [201] * affordable + [402] * 2
    assert results[-1]["problem"]["balance_credits"] == 0
    assert [result["charge"]["version"] for result in results[:affordable]] == list(range(3, 3 + affordable))
    assert len(customer.get("refusals")["data"]) == 2


def test_a_charge_happens_once_within_a_batch_and_across_batches(http: httpx.Client, customer: Customer) -> None:
    twice = [
        charge_of(customer, "track-1"),
        charge_of(customer, "track-1"),
        charge_of(customer, "track-1", "lyria-3-pro"),
    ]

    results = results_of(http, *twice)
    again = results_of(http, *twice)

    assert [result["status"] for result in results] == [201, 200, 409]
    assert [result["status"] for result in again] == [200, 200, 409]
    assert results[0]["charge"] == results[1]["charge"] == again[0]["charge"] == results[2]["problem"]["original"]
    assert customer.balance == 16_500 - 150


def test_the_same_batch_from_many_clients_at_once_charges_once(server: Server, http: httpx.Client) -> None:
    customers = [Customer.with_plan(http, "max-pro-240000-yearly") for _ in range(10)]
    batch = {"charges": [charge_of(customer, f"track-{number}") for number in range(20) for customer in customers]}

    with ThreadPoolExecutor(8) as clients:
        answers = list(clients.map(lambda _: http.post(BATCH, json=batch).json()["results"], range(8)))

    statuses = Counter(result["status"] for results in answers for result in results)
    assert statuses == {201: 200, 200: 7 * 200}
    assert {customer.balance for customer in customers} == {240_000 - 20 * 150}


def test_a_thousand_charges_fit_and_one_more_does_not(http: httpx.Client, customer: Customer) -> None:
    charges = [
        charge_of(customer, f"voice-{number}", "example-voice-1", settings={"characters": 1}) for number in range(1_001)
    ]

    refused = http.post(BATCH, json={"charges": charges})
    results = results_of(http, *charges[:1_000])

    assert refused.status_code == 422
    assert refused.json()["errors"][0]["field"] == "charges"
    assert Counter(result["status"] for result in results) == {201: 1_000}


@pytest.mark.parametrize(
    ("content", "status", "code"),
    [
        (b'{"charges": []}', 422, "invalid_request"),
        (b"{}", 422, "invalid_request"),
        (b'{"charges": {}}', 422, "invalid_request"),
        (b'{"charges": [{}], "atomic": true}', 422, "invalid_request"),
        (b'{"charges": [', 400, "malformed_request"),
        (b'{"charges": [' + b" " * (4 * 1024 * 1024) + b"{}]}", 413, "request_too_large"),
    ],
    ids=["none", "no list", "not a list", "unknown field", "no JSON", "too large"],
)
def test_a_malformed_batch_is_refused_whole(http: httpx.Client, content: bytes, status: int, code: str) -> None:
    answer = http.post(BATCH, content=content)

    assert (answer.status_code, answer.json()["code"]) == (status, code)


def test_a_client_that_sends_many_large_refused_batches_waits(http: httpx.Client) -> None:
    content = b'{"charges": [' + b"{}," * 30_000 + b"{}]}"

    answers = [http.post(BATCH, content=content) for _ in range(15)]

    assert {answer.status_code for answer in answers} == {422}
    assert min(answer.elapsed.total_seconds() for answer in answers[-3:]) > 0.05


@pytest.mark.parametrize(
    ("wrong", "code", "field"),
    [
        ({"generation_id": "track 1"}, "invalid_request", "generation_id"),
        ({"subscription_id": "customer-1"}, "invalid_request", "subscription_id"),
        ({"settings": {"duration_seconds": "long"}}, "invalid_request", "settings.duration_seconds"),
        ({"settings": {"loudness": 11}}, "invalid_settings", "settings.loudness"),
        ({"priority": 1}, "invalid_request", "priority"),
        ({"model": None}, "invalid_request", "model"),
    ],
    ids=["generation id", "subscription id", "duration", "setting", "unknown field", "model"],
)
def test_a_malformed_charge_is_refused_in_its_place(
    http: httpx.Client, customer: Customer, wrong: dict[str, Any], code: str, field: str
) -> None:
    charges = [charge_of(customer, f"track-{number}") for number in range(3)]
    charges[1].update(wrong)

    first, refused, last = results_of(http, *charges)

    assert (first["status"], last["status"]) == (201, 201)
    assert (refused["status"], refused["problem"]["code"]) == (422, code)
    assert refused["problem"]["errors"][0]["field"] == field
    assert customer.balance == 16_500 - 300


@pytest.mark.parametrize(
    "item",
    [
        b"null",
        b"[]",
        b'"charge"',
        b"1e-99999999999999999999",
        b"[" * 300 + b"]" * 300,
        b'{"subscription_id":"%s","generation_id":"x","generation_id":"x","model":"lyria-3"}',
        b'{"subscription_id":"%s","generation_id":"x","model":"lyria-3","settings":{"duration_seconds":1e999999999999}}',
    ],
    ids=["null", "list", "text", "number", "nesting", "repeated key", "absurd number"],
)
def test_whatever_a_charge_is_the_others_are_decided(http: httpx.Client, customer: Customer, item: bytes) -> None:
    good = json.dumps(charge_of(customer, "good")).encode()
    content = b'{"charges":[' + item.replace(b"%s", customer.subscription_id.encode()) + b"," + good + b"]}"

    answer = http.post(BATCH, content=content)

    assert answer.status_code == 200, answer.text
    assert [result["status"] for result in answer.json()["results"]] == [422, 201]
    assert customer.balance == 16_500 - 150


def test_a_batch_may_be_larger_than_other_requests(http: httpx.Client, customer: Customer) -> None:
    charges = [charge_of(customer, f"{number:0>128}", "lyria-9") for number in range(500)]

    results = results_of(http, *charges)

    assert {result["status"] for result in results} == {422}


def test_an_idempotency_key_guards_the_body_and_its_charges_are_decided_anew(
    http: httpx.Client, customer: Customer
) -> None:
    batch = {"charges": [charge_of(customer, "track-1")]}
    key = {"Idempotency-Key": "nightly-1"}

    first = http.post(BATCH, json=batch, headers=key)
    again = http.post(BATCH, json=batch, headers=key)
    other = http.post(BATCH, json={"charges": [charge_of(customer, "track-2")]}, headers=key)

    ((made,), (repeated,)) = first.json()["results"], again.json()["results"]
    assert (made["status"], repeated["status"]) == (201, 200)
    assert repeated["charge"] == made["charge"]
    assert (other.status_code, other.json()["code"]) == (422, "idempotency_key_reused")
    assert customer.balance == 16_500 - 150


def test_a_batch_requires_the_scope_to_charge(server: Server, customer: Customer) -> None:
    with server.client("read") as reader:
        answer = reader.post(BATCH, json={"charges": [charge_of(customer, "track-1")]})

    assert (answer.status_code, answer.json()["code"]) == (403, "missing_scope")
