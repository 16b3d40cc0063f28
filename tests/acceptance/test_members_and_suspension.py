"""Subscriptions that are shared, and subscriptions that are suspended."""

from collections.abc import Iterator
from typing import Any

import httpx
import pytest

from services.catalogue import Catalogue
from tests.acceptance.holding import MONTHLY, RESET, START, TRACK, VIDEO, capture, code, credits_of, hold, put
from tests.acceptance.server import Customer, Listener
from tests.acceptance.time_travel import TimeMachine, server_with_clocks
from tests.conftest import SettableClock


@pytest.fixture
def http(listener: Listener, database_url: str, catalogue: Catalogue, clock: SettableClock) -> Iterator[httpx.Client]:
    """A client of a service with test clocks."""
    with server_with_clocks(listener, database_url, catalogue, clock) as (_, client):
        yield client


@pytest.fixture
def machine(http: httpx.Client) -> TimeMachine:
    """A clock at the start."""
    return TimeMachine.at(http, START)


@pytest.fixture
def customer(machine: TimeMachine) -> Customer:
    """A subscription with 16,500 credits a month."""
    return machine.customer(MONTHLY)


def test_a_charge_names_its_member_wherever_it_is_shown(customer: Customer) -> None:
    charge = customer.post("charges", generation_id="track", member="ada", **TRACK)
    customer.post("charges", generation_id="another", member="bob", **TRACK)
    customer.post("charges", generation_id="nobody", **TRACK)

    assert (charge["member"], customer.get("charges/track")) == ("ada", charge)
    assert "member" not in customer.get("charges/nobody")
    for path in (f"{customer.path}/charges", "/v1/charges"):
        listed = customer.http.get(path, params={"member": "bob"}).json()["data"]
        assert [each["generation_id"] for each in listed] == ["another"]
    event = customer.http.get(f"{customer.path}/events", params={"type": "GenerationCharged"}).json()["data"][0]
    assert event["data"]["member"] == "ada"


def test_the_member_is_part_of_what_makes_a_request_the_same(customer: Customer) -> None:
    body: dict[str, Any] = {"generation_id": "track", "member": "ada", **TRACK}
    charge = customer.post("charges", **body)

    assert put(customer, "charges", **body) == (200, charge)
    for other in ({**body, "member": "bob"}, {"generation_id": "track", **TRACK}):
        assert code(customer, "charges", **other) == "generation_id_conflict"


def test_a_hold_has_a_member_and_so_has_its_capture(customer: Customer) -> None:
    held = hold(customer, **VIDEO, member="ada")
    hold(customer, "another", **VIDEO, member="bob")

    assert held["member"] == "ada"
    assert code(customer, "holds", generation_id="job", **VIDEO) == "generation_id_conflict"
    assert [each["generation_id"] for each in customer.get("holds", member="bob")["data"]] == ["another"]
    assert capture(customer)["member"] == "ada"
    assert put(customer, "holds/job/capture")[0] == 200


def test_a_member_has_the_form_of_a_generation_id(customer: Customer) -> None:
    for member in ("", "two words", "x" * 129, 7):
        status, problem = put(customer, "charges", generation_id="track", member=member, **TRACK)
        assert (status, problem["errors"][0]["field"]) == (422, "member")


def test_a_suspended_subscription_pays_for_nothing_new_and_time_goes_on(
    machine: TimeMachine, customer: Customer
) -> None:
    customer.post("charges", generation_id="before", **TRACK)
    hold(customer, **VIDEO)

    suspended = customer.post("suspend", reason="the renewal was not paid")

    assert suspended["status"] == customer.get()["status"] == customer.get("balance")["status"] == "suspended"
    for resource in ("charges", "holds"):
        status, problem = put(customer, resource, generation_id="new", model="no-such-model")
        assert (status, problem["code"]) == (403, "subscription_suspended")
    assert put(customer, "charges", generation_id="before", **TRACK)[0] == 200
    assert capture(customer)["credits"] == 150
    machine.advance(RESET)
    assert (customer.get()["status"], credits_of(customer)) == ("suspended", (16_500, 0, 16_500))
    assert {each["code"] for each in customer.get("refusals")["data"]} == {"subscription_suspended"}

    assert customer.post("reinstate", reason="paid")["status"] == "active"
    assert customer.post("charges", generation_id="new", **TRACK)["credits"] == 150


def test_what_is_so_already_records_nothing(customer: Customer) -> None:
    assert put(customer, "reinstate", reason="paid")[0] == 200
    customer.post("suspend", reason="not paid")
    events = customer.events()

    assert put(customer, "suspend", reason="again")[0] == 200
    assert customer.events() == events
    assert put(customer, "suspend")[0] == put(customer, "reinstate", reason="")[0] == 422
    answers = [customer.http.post(f"{customer.path}/{each}") for each in ("suspend", "reinstate")]
    assert {(each.status_code, each.json()["errors"][0]["field"]) for each in answers} == {(422, "reason")}


def test_changes_of_the_plan_go_on_and_do_not_lift_it(customer: Customer) -> None:
    customer.post("suspend", reason="not paid")

    assert customer.post("upgrade", plan_id="max-pro-240000-monthly")["status"] == "suspended"
    assert customer.post("cancel", when="term_end")["status"] == "suspended"
    assert customer.post("reinstate", reason="paid")["status"] == "cancelling"
    customer.post("suspend", reason="not paid")
    assert customer.post("cancel", when="now")["status"] == "ended"
    assert code(customer, "reinstate", reason="paid") == "subscription_ended"


def test_without_a_suspension_nothing_differs_in_a_replay(customer: Customer) -> None:
    customer.post("suspend", reason="not paid")
    put(customer, "charges", generation_id="refused", **TRACK)
    customer.post("reinstate", reason="paid")
    customer.post("charges", generation_id="refused", **TRACK)

    assert customer.post("what-if")["differences"] == []
    history = [each["type"] for each in customer.get("events")["data"]]
    assert history[-3:] == ["SubscriptionSuspended", "SubscriptionReinstated", "GenerationCharged"]
