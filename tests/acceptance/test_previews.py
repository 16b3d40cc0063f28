"""Previews of plan changes: what would be, by the rules that carry it out, and the price that it is due with."""

from collections.abc import Iterator

import pytest

from services.catalogue import Catalogue, load_catalogue
from services.catalogue.packaged import PACKAGED_SOURCE, packaged
from tests.acceptance.holding import MONTHLY
from tests.acceptance.server import Customer, Listener
from tests.acceptance.time_travel import TimeMachine, server_with_clocks
from tests.conftest import SettableClock

NOW, TERM_ENDS = "2026-03-15T12:00:00Z", "2026-04-15T12:00:00Z"
YEARLY, MAX = "max-pro-240000-yearly", "max-pro-240000-monthly"
PRICES = {YEARLY: "1990.00", MONTHLY: "9.50"}
"""In euros; the other plans have none."""


@pytest.fixture
def catalogue() -> Catalogue:
    """The packaged catalogue, with prices."""
    text = packaged()
    for plan_id, amount in PRICES.items():
        name = f'id = "{plan_id}"\n'
        assert name in text
        text = text.replace(name, f'{name}price = {{ amount = "{amount}", currency = "EUR" }}\n')
    return load_catalogue(text, PACKAGED_SOURCE)


@pytest.fixture
def machine(listener: Listener, database_url: str, catalogue: Catalogue, clock: SettableClock) -> Iterator[TimeMachine]:
    """A clock in the middle of a month."""
    with server_with_clocks(listener, database_url, catalogue, clock) as (_, client):
        yield TimeMachine.at(client, NOW)


@pytest.fixture
def customer(machine: TimeMachine) -> Customer:
    """A subscription with 40,000 credits a month, of a plan without a price."""
    return machine.customer("ai-suite-40000-monthly")


def last_event(customer: Customer, kind: str) -> dict[str, object]:
    data: dict[str, object] = customer.get("events", type=kind)["data"][-1]["data"]
    return data


def test_an_upgrade_shows_the_price_that_it_is_then_recorded_with(customer: Customer) -> None:
    preview = customer.get("upgrade-preview", plan_id=YEARLY)
    customer.post("upgrade", plan_id=YEARLY)

    assert preview["price"] == {"amount": "1990.00", "currency": "EUR"}
    plan = last_event(customer, "PlanUpgraded")["plan"]
    assert plan == {**preview["plan"], "price": preview["price"]}


def test_a_downgrade_shows_the_price_that_the_new_term_is_then_recorded_with(
    machine: TimeMachine, customer: Customer
) -> None:
    preview = customer.get("downgrade-preview", plan_id=MONTHLY)
    customer.post("downgrade", plan_id=MONTHLY)
    machine.advance(TERM_ENDS)

    assert preview["price"] == {"amount": "9.50", "currency": "EUR"}
    renewed = last_event(customer, "TermRenewed")
    assert renewed == {"plan": {**preview["plan"], "price": preview["price"]}, "term": preview["term"]}
    assert customer.balance == preview["balance_after"]


def test_a_plan_without_a_price_shows_null(customer: Customer) -> None:
    assert customer.get("upgrade-preview", plan_id=MAX)["price"] is None
    assert customer.get("downgrade-preview", plan_id="ai-suite-40000-yearly")["price"] is None


def test_a_downgrade_is_previewed_as_it_will_be_at_the_end_of_the_term(customer: Customer) -> None:
    downgrade = customer.get("downgrade-preview", plan_id=MONTHLY)

    assert (downgrade["plan"]["plan_id"], downgrade["effective_at"]) == (MONTHLY, "2026-04-15T12:00:00Z")
    assert (downgrade["balance_before"], downgrade["balance_after"], downgrade["lapsing_credits"]) == (
        40_000,
        16_500,
        40_000,
    )
    assert downgrade["term"]["starts_at"] == downgrade["effective_at"]
    refused = customer.http.get(f"{customer.path}/downgrade-preview", params={"plan_id": "max-pro-240000-yearly"})
    assert (refused.status_code, refused.json()["code"]) == (409, "not_a_downgrade")
    customer.post("downgrade", plan_id=MONTHLY)
    assert customer.get("downgrade-preview", plan_id=MONTHLY) == downgrade
