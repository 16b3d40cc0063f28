"""The client of the guide `charge-safely.md`, as a reader copies it: what it generates is paid, and paid once."""

import re
from collections.abc import Callable
from pathlib import Path
from typing import Any

import httpx
import pytest

from tests.acceptance.server import Customer

GUIDE = Path(__file__).parents[2] / "docs/how-to/charge-safely.md"
GENERATION = {"generation_id": "job-1", "model": "lyria-3"}

Pay = Callable[[httpx.Client, str, dict[str, Any]], bool]


@pytest.fixture
def pay() -> Pay:
    (source,) = re.findall(r"```python\n(.*?)```", GUIDE.read_text(), re.DOTALL)
    names: dict[str, Any] = {}
    exec(source, names)
    function: Pay = names["pay"]
    return function


@pytest.fixture
def customer(http: httpx.Client) -> Customer:
    return Customer.with_plan(http, "ai-starter-16500-monthly")


class LosingTransport(httpx.HTTPTransport):
    """A real connection on which the first answers are lost, after the server has sent them."""

    def __init__(self, losses: int) -> None:
        super().__init__()
        self.losses = losses

    def handle_request(self, request: httpx.Request) -> httpx.Response:
        answer = super().handle_request(request)
        if self.losses == 0:
            return answer
        self.losses -= 1
        answer.close()
        raise httpx.ReadError("the answer was lost", request=request)


def test_a_lost_answer_is_asked_for_until_it_comes(pay: Pay, customer: Customer) -> None:
    http = customer.http
    with httpx.Client(transport=LosingTransport(3), base_url=http.base_url, headers=http.headers) as client:
        assert pay(client, customer.subscription_id, GENERATION)

    assert customer.balance == 16_500 - 150


def test_a_refusal_pays_for_nothing_and_can_be_paid_after_an_upgrade(pay: Pay, customer: Customer) -> None:
    dear = {**GENERATION, "settings": {"count": 1000}}

    assert not pay(customer.http, customer.subscription_id, dear)
    customer.post("upgrade", plan_id="max-pro-240000-monthly")
    assert pay(customer.http, customer.subscription_id, dear)


def test_a_charge_that_was_given_back_pays_for_nothing(pay: Pay, customer: Customer) -> None:
    assert pay(customer.http, customer.subscription_id, GENERATION)
    opened = customer.http.post(
        "/v1/disputes",
        json={
            "subscription_id": customer.subscription_id,
            "generation_id": "job-1",
            "reason": "generation_failed",
            "note": "The worker was lost.",
        },
    )
    resolution = {"outcome": "upheld", "note": "So it was.", "credit_to": "original_cycle"}
    customer.http.post(f"/v1/disputes/{opened.json()['dispute_id']}/resolve", json=resolution).raise_for_status()

    assert not pay(customer.http, customer.subscription_id, GENERATION)
    assert pay(customer.http, customer.subscription_id, {**GENERATION, "generation_id": "job-1.again"})
    assert customer.balance == 16_500 - 150


def test_a_request_to_mend_raises(pay: Pay, customer: Customer) -> None:
    with pytest.raises(httpx.HTTPStatusError):
        pay(customer.http, customer.subscription_id, {**GENERATION, "model": "lyria-9"})
