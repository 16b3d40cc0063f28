"""Holds, H6 to H8: over resets, renewals, upgrades and ends, in the time of a test clock."""

from collections.abc import Iterator
from datetime import timedelta

import httpx
import pytest

from services.catalogue import Catalogue, load_catalogue
from services.catalogue.packaged import PACKAGED_SOURCE, packaged
from tests.acceptance.holding import (
    BEFORE_THE_RESET,
    MONTHLY,
    RESET,
    START,
    TRACK,
    VIDEO,
    capture,
    code,
    credits_of,
    hold,
    put,
    release,
)
from tests.acceptance.server import Customer, Listener
from tests.acceptance.time_travel import MICROSECOND, TimeMachine, instant, server_with_clocks
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


def test_h6_over_a_reset_a_hold_stays_and_leaves_the_new_allowance_alone(
    machine: TimeMachine, customer: Customer
) -> None:
    machine.advance(BEFORE_THE_RESET)
    hold(customer, **VIDEO)
    assert customer.get("renewal")["lapsing_credits"] == 16_350

    machine.advance(RESET)

    assert credits_of(customer) == (16_500, 0, 16_500)
    assert customer.get("holds/job")["status"] == "held"
    (reset,) = customer.http.get(f"{customer.path}/events", params={"type": "CycleReset"}).json()["data"]
    assert (reset["data"]["lapsed_credits"], reset["data"]["held_credits"]) == (16_350, 150)
    assert code(customer, "holds/job/capture", settings={"duration_seconds": 13}) == "cycle_closed"
    charge = capture(customer, settings={"duration_seconds": 10})
    assert (charge["credits"], charge["cycle_number"]) == (125, 1)
    assert (charge["balance_before"], charge["balance_after"]) == (16_500, 16_500)
    assert credits_of(customer) == (16_500, 0, 16_500)
    assert customer.get("balance")["used_credits"] == 0


@pytest.mark.parametrize("ending", ["released", "expired"])
def test_h6_what_is_released_or_expires_after_its_cycle_lapses(
    machine: TimeMachine, customer: Customer, ending: str
) -> None:
    machine.advance(BEFORE_THE_RESET)
    hold(customer)
    machine.advance(RESET)
    if ending == "released":
        release(customer)
    else:
        machine.advance("2026-02-28T10:14:00Z")

    (event,) = customer.http.get(f"{customer.path}/events", params={"type": "HoldReleased"}).json()["data"]
    assert (event["data"]["cause"], event["data"]["lapsed_credits"]) == (ending, 150)
    assert credits_of(customer) == (16_500, 0, 16_500)


def test_h6_an_expiry_in_the_microsecond_of_a_reset_comes_after_it(machine: TimeMachine, customer: Customer) -> None:
    machine.advance(instant(RESET) - timedelta(seconds=60))
    hold(customer, **TRACK, expires_in_seconds=60)
    machine.advance(instant(RESET) - MICROSECOND)
    assert customer.events()[-1] == "CreditsHeld"

    machine.advance(RESET)

    assert customer.events()[-3:] == ["CycleReset", "TermRenewed", "HoldReleased"]
    (event,) = customer.http.get(f"{customer.path}/events", params={"type": "HoldReleased"}).json()["data"]
    assert (event["data"]["lapsed_credits"], event["data"]["cycle_number"]) == (150, 1)
    assert credits_of(customer) == (16_500, 0, 16_500)


def test_h6_over_the_renewal_of_a_term_it_is_as_over_a_reset(machine: TimeMachine, customer: Customer) -> None:
    customer.post("downgrade", plan_id="ai-starter-7500-monthly")
    machine.advance(BEFORE_THE_RESET)
    hold(customer)

    machine.advance(RESET)

    assert (customer.get()["plan"]["plan_id"], credits_of(customer)) == ("ai-starter-7500-monthly", (7_500, 0, 7_500))
    assert capture(customer)["cycle_number"] == 1  # of music, which the new plan does not include


@pytest.mark.parametrize(
    ("plan_id", "balance"), [("max-pro-240000-monthly", 239_850), ("max-pro-240000-yearly", 239_850)]
)
def test_h7_over_an_upgrade_holds_come_along_and_count_against_the_new_balance(
    customer: Customer, plan_id: str, balance: int
) -> None:
    customer.charge("lyria-3")
    hold(customer, **VIDEO)

    customer.post("upgrade", plan_id=plan_id)

    assert credits_of(customer) == (balance, 150, balance - 150)
    assert customer.get("holds/job")["cycle_number"] == 2
    charge = capture(customer, settings={"duration_seconds": 20})
    assert (charge["credits"], charge["cycle_number"]) == (250, 2)
    assert credits_of(customer) == (balance - 250, 0, balance - 250)


def test_h7_a_hold_of_an_earlier_cycle_stays_with_it(machine: TimeMachine, customer: Customer) -> None:
    machine.advance(BEFORE_THE_RESET)
    hold(customer)
    machine.advance(RESET)

    customer.post("upgrade", plan_id="max-pro-240000-monthly")

    assert credits_of(customer) == (240_000, 0, 240_000)
    assert customer.get("holds/job")["cycle_number"] == 1
    assert capture(customer)["cycle_number"] == 1


def test_h8_holds_outlive_the_end(machine: TimeMachine, customer: Customer) -> None:
    hold(customer, "one")
    hold(customer, "other")
    hold(customer, "third")

    customer.post("cancel", when="now")

    assert credits_of(customer) == (0, 0, 0)
    status, again = put(customer, "holds", generation_id="one", **TRACK)
    assert (status, again["status"]) == (200, "held")
    assert code(customer, "holds", generation_id="new", **TRACK) == "subscription_ended"
    charge = capture(customer, "one")
    assert (charge["credits"], charge["balance_after"], charge["cycle_number"]) == (150, 0, 1)
    release(customer, "other")
    machine.advance("2026-01-31T10:15:00Z")
    assert customer.get("holds/third")["status"] == "expired"
    assert credits_of(customer) == (0, 0, 0)


def test_h8_at_the_end_of_a_term_too(machine: TimeMachine, customer: Customer) -> None:
    customer.post("cancel", when="term_end")
    machine.advance(BEFORE_THE_RESET)
    hold(customer)

    machine.advance(RESET)

    (ended,) = customer.http.get(f"{customer.path}/events", params={"type": "SubscriptionEnded"}).json()["data"]
    assert (ended["data"]["lapsed_credits"], ended["data"]["held_credits"]) == (16_350, 150)
    assert capture(customer)["cycle_number"] == 1


def test_expiries_are_no_renewals(machine: TimeMachine, http: httpx.Client) -> None:
    sooner, later = machine.customer(MONTHLY), machine.customer("max-pro-40000-yearly")
    before = sooner.get("renewal")
    hold(later, **TRACK)
    hold(sooner, **TRACK, expires_in_seconds=60)
    hold(sooner, "other", **TRACK, expires_in_seconds=120)

    renewal = sooner.get("renewal")

    assert renewal == before
    assert (renewal["credits_renew_at"], renewal["credits_at_renewal"]) == (RESET, 16_500)
    assert {each["kind"] for each in renewal["upcoming"]} == {"term_renewal"}
    listed = http.get("/v1/renewals").json()["data"]
    assert {each["next_boundary_at"] for each in listed} == {RESET}
    later.post("cancel", when="now")
    assert [each["subscription_id"] for each in http.get("/v1/renewals").json()["data"]] == [sooner.subscription_id]
    assert later.get("renewal")["upcoming"] == []


@pytest.mark.parametrize(
    ("policy", "balance"), [("deduct_used", 239_850), ("add_leftover", 256_350), ("fresh", 240_000)]
)
def test_h7_open_holds_count_against_what_each_policy_leaves(
    listener: Listener, database_url: str, clock: SettableClock, policy: str, balance: int
) -> None:
    chosen = packaged().replace('upgrade_policy = "deduct_used"', f'upgrade_policy = "{policy}"')
    catalogue = load_catalogue(chosen, PACKAGED_SOURCE)
    with server_with_clocks(listener, database_url, catalogue, clock) as (_, http):
        customer = TimeMachine.at(http, START).customer(MONTHLY)
        customer.charge("lyria-3")
        hold(customer, **VIDEO)
        preview = customer.get("upgrade-preview", plan_id="max-pro-240000-monthly")

        customer.post("upgrade", plan_id="max-pro-240000-monthly")

        assert preview["balance_after"] == balance
        assert credits_of(customer) == (balance, 150, balance - 150)
        charge = capture(customer)
        assert (charge["cycle_number"], charge["balance_after"]) == (2, balance - 150)


def test_h7_an_upgrade_that_would_leave_less_than_is_held_is_refused(
    listener: Listener, database_url: str, clock: SettableClock
) -> None:
    smaller = packaged().replace("monthly_credits = 240000", "monthly_credits = 1000")
    catalogue = load_catalogue(smaller, PACKAGED_SOURCE)
    with server_with_clocks(listener, database_url, catalogue, clock) as (_, http):
        customer = TimeMachine.at(http, START).customer(MONTHLY)
        hold(customer, **VIDEO)
        customer.use(860)

        status, problem = put(customer, "upgrade", plan_id="max-pro-240000-monthly")

        assert (status, problem["code"]) == (409, "holds_outstanding")
        assert (problem["held_credits"], problem["balance_after"]) == (150, 140)
        preview = http.get(f"{customer.path}/upgrade-preview", params={"plan_id": "max-pro-240000-monthly"})
        assert (preview.status_code, preview.json()["code"]) == (409, "holds_outstanding")
        release(customer)
        assert customer.post("upgrade", plan_id="max-pro-240000-monthly")["cycle"]["number"] == 2
        assert credits_of(customer) == (140, 0, 140)


def test_h7_an_upgrade_at_the_instant_of_the_reset_leaves_the_hold_in_its_cycle(
    machine: TimeMachine, customer: Customer
) -> None:
    machine.advance(BEFORE_THE_RESET)
    hold(customer)
    machine.advance(RESET)

    customer.post("upgrade", plan_id="max-pro-240000-monthly")

    assert credits_of(customer) == (240_000, 0, 240_000)
    assert capture(customer)["cycle_number"] == 1


def test_h8_after_the_end_a_hold_can_come_to_what_was_held_at_most(customer: Customer) -> None:
    hold(customer, **VIDEO)
    customer.post("cancel", when="now")

    assert code(customer, "holds/job/capture", settings={"duration_seconds": 13}) == "cycle_closed"
    assert capture(customer, settings={"duration_seconds": 4})["credits"] == 50


def test_suspended_holds_are_captured_and_released_and_none_are_made(customer: Customer) -> None:
    hold(customer, "one")
    hold(customer, "two")
    customer.post("suspend", reason="not paid")

    assert code(customer, "holds", generation_id="three", **TRACK) == "subscription_suspended"
    assert put(customer, "holds", generation_id="one", **TRACK)[0] == 200
    assert capture(customer, "one")["credits"] == 150
    assert release(customer, "two")["status"] == "released"
    assert credits_of(customer) == (16_350, 0, 16_350)
