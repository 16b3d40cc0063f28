"""The past, what-if, disputes and evidence of a subscription that lives by a test clock, in its time."""

from collections.abc import Iterator
from typing import Any

import httpx
import pytest

from services.catalogue import Catalogue
from services.evidence.verify import verify
from tests.acceptance.server import Customer, Listener
from tests.acceptance.time_travel import TimeMachine, server_with_clocks
from tests.conftest import SettableClock

STARTED, NEXT_CYCLE = "2030-01-31T10:00:00Z", "2030-02-28T10:00:00Z"


@pytest.fixture
def http(listener: Listener, database_url: str, catalogue: Catalogue, clock: SettableClock) -> Iterator[httpx.Client]:
    with server_with_clocks(listener, database_url, catalogue, clock) as (_, client):
        yield client


@pytest.fixture
def machine(http: httpx.Client) -> TimeMachine:
    """Years ahead of the real clock, which stands at 15 January 2026."""
    return TimeMachine.at(http, STARTED)


@pytest.fixture
def customer(machine: TimeMachine) -> Customer:
    customer = machine.customer("ai-suite-40000-monthly")
    machine.advance("2030-02-01T00:00:00Z")
    assert customer.try_charge("lyria-3", "track").status_code == 201
    machine.advance("2030-03-05T00:00:00Z")
    return customer


def opened(customer: Customer) -> Any:
    body = {
        "subscription_id": customer.subscription_id,
        "generation_id": "track",
        "reason": "duplicate",
        "note": "Twice!",
    }
    return customer.http.post("/v1/disputes", json=body).json()


def test_as_of_goes_up_to_the_clocks_now(customer: Customer) -> None:
    before = customer.get("as-of", at="2030-02-28T09:59:59.999999Z")
    then = customer.get("as-of", at=NEXT_CYCLE)
    beyond = customer.http.get(f"{customer.path}/as-of", params={"at": "2030-03-05T00:00:00.000001Z"})

    assert (before["balance"]["balance_credits"], then["balance"]["balance_credits"]) == (39_850, 40_000)
    assert before["balance"]["as_of"] == "2030-02-28T09:59:59.999999Z"
    assert customer.get("as-of", at="2030-03-05T00:00:00Z")["balance"] == customer.get("balance")
    assert (beyond.status_code, beyond.json()["errors"][0]["field"]) == (422, "at")


def test_what_if_ends_at_the_clocks_now(customer: Customer) -> None:
    late = {"at": "2030-03-04T00:00:00Z", "generation_id": "more", "model": "lyria-3"}

    answer = customer.post("what-if", insert_charges=[late])
    beyond = customer.http.post(f"{customer.path}/what-if", json={"until": "2030-03-06T00:00:00Z"})

    assert answer["actual"]["as_of"] == "2030-03-05T00:00:00Z"
    assert (answer["actual"]["balance_credits"], answer["replayed"]["balance_credits"]) == (40_000, 39_850)
    assert (beyond.status_code, beyond.json()["errors"][0]["field"]) == (422, "until")


def test_disputes_and_evidence_show_the_clocks_time(customer: Customer, machine: TimeMachine) -> None:
    dispute = opened(customer)
    machine.advance("2030-03-06T00:00:00Z")
    path = f"/v1/disputes/{dispute['dispute_id']}"
    body = {"outcome": "upheld", "note": "It was.", "credit_to": "original_cycle"}

    closed = customer.http.post(f"{path}/resolve", json=body)
    upheld = customer.http.post(f"{path}/resolve", json={**body, "credit_to": "current_cycle"}).json()
    verified = verify(customer.http.get(f"{path}/evidence").content)

    assert (dispute["opened_at"], upheld["resolved_at"]) == ("2030-03-05T00:00:00Z", "2030-03-06T00:00:00Z")
    assert (closed.status_code, closed.json()["code"]) == (409, "cycle_closed")
    assert customer.balance == 40_150
    assert verified.facts.reversal is not None
    assert verified.facts.charge_record.stored.recorded_at.year == 2030
