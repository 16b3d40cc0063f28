"""Subscriptions that move in with an anchor and used credits, and lists of subscriptions by what they are now."""

from collections.abc import Iterator
from typing import Any
from uuid import uuid4

import httpx
import pytest

from services.catalogue import Catalogue
from services.integrity.verify.trust import Trust
from services.integrity.verify.verification import Verification
from tests.acceptance.holding import MONTHLY
from tests.acceptance.server import Customer, Listener
from tests.acceptance.time_travel import TimeMachine, server_with_clocks
from tests.conftest import SCHEMA, SettableClock

NOW = "2026-03-15T12:00:00Z"
ANCHOR = "2025-10-31T10:00:00Z"
YEARLY = "ai-suite-40000-yearly"


@pytest.fixture
def http(listener: Listener, database_url: str, catalogue: Catalogue, clock: SettableClock) -> Iterator[httpx.Client]:
    """A client of a service with test clocks."""
    with server_with_clocks(listener, database_url, catalogue, clock) as (_, client):
        yield client


@pytest.fixture
def machine(http: httpx.Client) -> TimeMachine:
    """A clock in the middle of a month."""
    return TimeMachine.at(http, NOW)


def start(machine: TimeMachine, **body: Any) -> httpx.Response:
    """Ask for a subscription on the clock."""
    request = {"subscription_id": str(uuid4()), "account_id": "account-1", "plan_id": YEARLY, **body}
    return machine.http.post("/v1/subscriptions", json={**request, "test_clock_id": machine.test_clock_id})


def moved(machine: TimeMachine, **body: Any) -> Customer:
    """Start a subscription that moves in."""
    answer = start(machine, **body)
    assert answer.status_code == 201, answer.text
    return Customer(machine.http, answer.json()["subscription_id"])


def test_it_is_in_the_cycle_and_the_term_that_its_anchor_gives(machine: TimeMachine) -> None:
    customer = moved(machine, anchor_at=ANCHOR, used_credits=1_000)

    shown, balance = customer.get(), customer.get("balance")
    assert (shown["anchor_at"], shown["started_at"]) == (ANCHOR, NOW)
    assert shown["cycle"] == {"number": 1, "starts_at": "2026-02-28T10:00:00Z", "ends_at": "2026-03-31T10:00:00Z"}
    assert shown["term"] == {"number": 1, "starts_at": ANCHOR, "ends_at": "2026-10-31T10:00:00Z"}
    assert (balance["granted_credits"], balance["used_credits"], balance["balance_credits"]) == (40_000, 1_000, 39_000)
    assert customer.get("usage")["data"][0]["credits"] == 0
    resets = [each["at"] for each in customer.get("renewal")["upcoming"]][:3]
    assert resets == ["2026-03-31T10:00:00Z", "2026-04-30T10:00:00Z", "2026-05-31T10:00:00Z"]


def test_what_moves_in_verifies(machine: TimeMachine, database_url: str) -> None:
    for anchor_at in (ANCHOR, "2024-06-20T00:00:00Z", "2026-01-20T00:00:00Z", NOW):
        moved(machine, anchor_at=anchor_at, used_credits=100)
        moved(machine, anchor_at=anchor_at, plan_id=MONTHLY)

    assert Verification(SCHEMA, Trust()).run(database_url, processes=1).findings == ()


def test_what_was_used_before_is_deducted_by_an_upgrade(machine: TimeMachine) -> None:
    customer = moved(machine, anchor_at=ANCHOR, used_credits=1_000)

    customer.post("upgrade", plan_id="max-pro-240000-yearly")

    assert customer.balance == 239_000


def test_after_the_first_cycle_it_is_a_subscription_like_any_other(machine: TimeMachine) -> None:
    customer = moved(machine, plan_id=MONTHLY, anchor_at="2026-01-31T10:00:00Z", used_credits=16_500)
    assert customer.try_charge("lyria-3").status_code == 402

    machine.advance("2026-03-31T10:00:00Z")

    assert (customer.balance, customer.get()["cycle"]["number"], customer.get()["term"]["number"]) == (16_500, 2, 2)
    assert customer.post("what-if")["differences"] == []
    then = customer.get("as-of", at=NOW)["balance"]
    assert (then["used_credits"], then["balance_credits"]) == (16_500, 0)


def test_the_same_start_again_is_the_same_and_another_is_a_conflict(machine: TimeMachine) -> None:
    id = str(uuid4())
    body = {"subscription_id": id, "anchor_at": ANCHOR, "used_credits": 1_000}
    assert start(machine, **body).status_code == 201

    assert start(machine, **body).status_code == 200
    for other in ({**body, "used_credits": 999}, {**body, "anchor_at": NOW}, {"subscription_id": id}):
        assert start(machine, **other).json()["code"] == "subscription_exists"


@pytest.mark.parametrize(
    ("wrong", "field"),
    [
        ({"anchor_at": "2026-03-15T12:00:00.000001Z"}, "anchor_at"),
        ({"anchor_at": "soon"}, "anchor_at"),
        ({"used_credits": 40_001}, "used_credits"),
        ({"used_credits": -1}, "used_credits"),
    ],
)
def test_what_nobody_can_bring_along_is_refused(machine: TimeMachine, wrong: dict[str, Any], field: str) -> None:
    answer = start(machine, **wrong)

    assert (answer.status_code, answer.json()["code"]) == (422, "invalid_request")
    assert answer.json()["errors"][0]["field"] == field


def test_subscriptions_are_listed_by_what_they_are_now(
    machine: TimeMachine, http: httpx.Client, clock: SettableClock
) -> None:
    """What is due and not recorded counts: the one that was cancelled has ended, the other has another plan."""
    clock.now = clock.now.replace(year=2026, month=1, day=31)
    active, ending, moving = (Customer.with_plan(http, "ai-suite-40000-monthly", f"account-{n}") for n in range(3))
    ending.post("cancel", when="term_end")
    moving.post("downgrade", plan_id=MONTHLY)
    active.post("suspend", reason="not paid")

    def listed(**query: Any) -> set[str]:
        return {each["subscription_id"] for each in http.get("/v1/subscriptions", params=query).json()["data"]}

    ids = active.subscription_id, ending.subscription_id, moving.subscription_id
    assert listed() == set(ids)
    assert listed(status="suspended") == {ids[0]}
    assert listed(status="cancelling") == {ids[1]}
    assert listed(plan_id="ai-suite-40000-monthly", status="active") == {ids[2]}
    clock.advance(days=40)
    assert listed(status="ended") == {ids[1]}
    assert listed(status="cancelling") == set()
    assert listed(plan_id=MONTHLY) == {ids[2]}
    assert listed(plan_id="ai-suite-40000-monthly", account_id="account-0") == {ids[0]}
    assert http.get("/v1/subscriptions", params={"status": "gone"}).status_code == 422
    page = http.get("/v1/subscriptions", params={"limit": 2}).json()
    rest = http.get("/v1/subscriptions", params={"limit": 2, "cursor": page["next_cursor"]}).json()
    assert [each["subscription_id"] for each in page["data"] + rest["data"]] == sorted(ids)
