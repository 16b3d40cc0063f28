"""A 402, and a 403 of a subscription, say on which version, position and balance they were decided."""

from typing import Any

import httpx
import pytest

from tests.acceptance.server import Customer, Server
from tests.conftest import SettableClock


def state_of(problem: Any) -> tuple[int, int, int]:
    return problem["version"], problem["position"], problem["balance_credits"]


def state_now(customer: Customer) -> tuple[int, int, int]:
    return state_of(customer.get("balance"))


@pytest.fixture
def customer(http: httpx.Client) -> Customer:
    """A subscription that has 100 credits left, and is not the only one."""
    customer = Customer.with_plan(http, "ai-starter-16500-monthly")
    Customer.with_plan(http, "ai-suite-40000-monthly").charge("lyria-3")
    customer.use(16_400)
    Customer.with_plan(http, "ai-suite-40000-monthly").charge("lyria-3")
    return customer


def test_for_want_of_credits(customer: Customer) -> None:
    refused = [customer.try_charge("lyria-3") for _ in range(2)]

    assert [answer.status_code for answer in refused] == [402, 402]
    assert {state_of(answer.json()) for answer in refused} == {state_now(customer)}
    assert state_now(customer)[2] == 100


def test_for_want_of_the_plan(http: httpx.Client) -> None:
    customer = Customer.with_plan(http, "ai-starter-7500-monthly")
    refused = customer.try_charge("lyria-3")

    assert (refused.status_code, refused.json()["code"]) == (403, "not_in_plan")
    assert state_of(refused.json()) == state_now(customer) == (2, 2, 7_500)


def test_while_suspended(customer: Customer) -> None:
    customer.post("suspend", reason="not paid")
    body = {"generation_id": "held", "model": "lyria-3"}
    refused = [customer.try_charge("lyria-3"), customer.http.post(f"{customer.path}/holds", json=body)]

    assert [answer.json()["code"] for answer in refused] == ["subscription_suspended"] * 2
    assert {state_of(answer.json()) for answer in refused} == {state_now(customer)}


def test_a_capture(http: httpx.Client) -> None:
    customer = Customer.with_plan(http, "ai-starter-16500-monthly")
    customer.post("holds", generation_id="h", model="example-image-1", settings={"count": 1})
    customer.use(16_400)
    refused = http.post(f"{customer.path}/holds/h/capture", json={"settings": {"count": 10}})

    assert refused.status_code == 402
    assert state_of(refused.json()) == state_now(customer)


def test_the_boundaries_that_were_due_are_counted(customer: Customer, clock: SettableClock) -> None:
    version, position, _ = state_now(customer)
    clock.now = clock.now.replace(month=3)
    refused = customer.try_charge("lyria-3", count=1_000)

    assert refused.status_code == 402
    assert state_of(refused.json()) == (version + 4, customer.get("balance")["position"], 16_500)
    assert state_now(customer)[1] > position
    assert refused.json()["version"] == customer.get("events", limit=1_000)["data"][-1]["version"]


def test_in_a_batch_each_refusal_says_its_own(http: httpx.Client, customer: Customer) -> None:
    other = Customer.with_plan(http, "ai-starter-7500-monthly")
    items = [
        {"subscription_id": customer.subscription_id, "generation_id": "a", "model": "lyria-3"},
        {"subscription_id": customer.subscription_id, "generation_id": "b", "model": "example-image-1"},
        {"subscription_id": customer.subscription_id, "generation_id": "c", "model": "lyria-3"},
        {"subscription_id": other.subscription_id, "generation_id": "d", "model": "lyria-3"},
    ]
    before = state_now(customer)
    results = http.post("/v1/charges/batch", json={"charges": items}).json()["results"]

    assert [each["status"] for each in results] == [402, 201, 402, 403]
    assert state_of(results[0]["problem"]) == before
    charge = results[1]["charge"]
    assert state_of(results[2]["problem"]) == (charge["version"], charge["position"], charge["balance_after"])
    assert state_of(results[3]["problem"]) == state_now(other)


def test_other_refusals_say_nothing_of_it(server: Server, customer: Customer) -> None:
    with server.client("read") as client:
        missing = client.post(f"{customer.path}/charges", json={"generation_id": "x", "model": "lyria-3"})
    ended = customer.post("cancel", when="now")
    refused = customer.try_charge("lyria-3")

    assert ended["status"] == "ended"
    assert (missing.status_code, refused.status_code) == (403, 409)
    assert not {"version", "position", "balance_credits"} & {*missing.json(), *refused.json()}
