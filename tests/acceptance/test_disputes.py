"""Disputes over HTTP: opened, decided once, and the charge reversed with the decision or not at all."""

from collections.abc import Callable
from typing import Any
from uuid import uuid4

import httpx
import pytest

from tests.acceptance.server import Customer, Server
from tests.conftest import SettableClock

NOTE = "It was charged, but it failed."


@pytest.fixture
def customer(http: httpx.Client) -> Customer:
    """A subscription with one charge of 150 credits, `track`."""
    customer = Customer.with_plan(http, "ai-suite-40000-monthly")
    assert customer.try_charge("lyria-3", "track").status_code == 201
    return customer


def opening(customer: Customer, reason: str = "generation_failed", **other: Any) -> dict[str, Any]:
    return {
        "subscription_id": customer.subscription_id,
        "generation_id": "track",
        "reason": reason,
        "note": NOTE,
        **other,
    }


def opened(customer: Customer, reason: str = "generation_failed", **other: Any) -> Any:
    answer = customer.http.post("/v1/disputes", json=opening(customer, reason, **other))
    assert answer.status_code == 201, answer.text
    return answer.json()


def resolve(customer: Customer, dispute: Any, outcome: str = "upheld", **other: Any) -> httpx.Response:
    body = {"outcome": outcome, "note": "The log shows it.", **other}
    return customer.http.post(f"/v1/disputes/{dispute['dispute_id']}/resolve", json=body)


def code(answer: httpx.Response) -> tuple[int, str]:
    return answer.status_code, answer.json()["code"]


def test_a_dispute_is_opened(customer: Customer) -> None:
    answer = customer.http.post("/v1/disputes", json=opening(customer))

    dispute = answer.json()
    assert answer.status_code == 201
    assert answer.headers["location"] == f"/v1/disputes/{dispute['dispute_id']}"
    assert dispute == {
        "dispute_id": dispute["dispute_id"],
        "subscription_id": customer.subscription_id,
        "generation_id": "track",
        "reason": "generation_failed",
        "note": NOTE,
        "status": "open",
        "opened_at": "2026-01-15T12:00:00Z",
        "charge": customer.get("charges/track"),
        "version": 1,
    }
    assert customer.http.get(answer.headers["location"]).json() == dispute


def test_r14_an_unsatisfying_result_is_rejected_at_once(customer: Customer) -> None:
    dispute = opened(customer, "unsatisfied")

    assert dispute["status"] == "rejected"
    assert dispute["resolved_at"] == dispute["opened_at"]
    assert dispute["resolution"]["rule"] == "R14"
    assert "R14" in dispute["resolution"]["note"]
    assert customer.balance == 39_850
    assert code(resolve(customer, dispute, credit_to="current_cycle")) == (409, "dispute_closed")


@pytest.mark.parametrize("to", ["original_cycle", "current_cycle"])
def test_an_upheld_dispute_reverses_the_charge_at_once(customer: Customer, clock: SettableClock, to: str) -> None:
    dispute = opened(customer)
    clock.advance(hours=1)

    answer = resolve(customer, dispute, credit_to=to)

    upheld = answer.json()
    assert answer.status_code == 200
    assert (upheld["status"], upheld["version"]) == ("upheld", 2)
    assert upheld["resolved_at"] == "2026-01-15T13:00:00Z"
    assert upheld["resolution"] == {"outcome": "upheld", "note": "The log shows it.", "credit_to": to}
    assert upheld["charge"] == customer.get("charges/track")
    assert upheld["charge"]["status"] == "reversed"
    assert customer.http.get(f"/v1/disputes/{dispute['dispute_id']}").json() == upheld
    balance = customer.get("balance")
    assert (balance["balance_credits"], balance["used_credits"], balance["reversed_credits"]) == (40_000, 150, 150)
    assert customer.get("events")["data"][-1]["data"]["dispute_id"] == dispute["dispute_id"]


def test_a_rejected_dispute_reverses_nothing(customer: Customer) -> None:
    rejected = resolve(customer, opened(customer), "rejected").json()

    assert rejected["resolution"] == {"outcome": "rejected", "note": "The log shows it."}
    assert customer.balance == 39_850


def test_a_charge_is_reversed_once_however_often_it_is_disputed(customer: Customer) -> None:
    first = opened(customer)

    assert resolve(customer, first, credit_to="current_cycle").status_code == 200
    second = opened(customer, "duplicate")
    assert code(resolve(customer, first, credit_to="current_cycle")) == (409, "dispute_closed")
    assert code(resolve(customer, second, credit_to="current_cycle")) == (409, "charge_already_reversed")
    assert resolve(customer, second, "rejected").status_code == 200
    assert customer.balance == 40_000


@pytest.mark.parametrize("reason", ["generation_failed", "duplicate", "unsatisfied"])
def test_a_charge_has_one_open_dispute_at_a_time(customer: Customer, reason: str) -> None:
    first = opened(customer)
    second = [customer.http.post("/v1/disputes", json=opening(customer, reason)) for _ in range(2)]
    resolve(customer, first, "rejected")

    assert {code(answer) for answer in second} == {(409, "dispute_open")}
    assert opened(customer, reason)["status"] == ("rejected" if reason == "unsatisfied" else "open")


def test_when_the_cycle_has_ended_only_the_current_one_can_have_the_credits(
    customer: Customer, clock: SettableClock
) -> None:
    dispute = opened(customer)
    clock.advance(days=40)

    assert code(resolve(customer, dispute, credit_to="original_cycle")) == (409, "cycle_closed")
    assert customer.http.get(f"/v1/disputes/{dispute['dispute_id']}").json()["status"] == "open"
    assert resolve(customer, dispute, credit_to="current_cycle").status_code == 200
    assert customer.balance == 40_150
    clock.advance(days=31)
    assert customer.balance == 40_000, "they lapse like any others"


def test_no_charge_of_an_ended_subscription_is_reversed(customer: Customer) -> None:
    dispute = opened(customer)
    customer.post("cancel", when="now")

    assert code(resolve(customer, dispute, credit_to="current_cycle")) == (409, "subscription_ended")
    assert resolve(customer, dispute, "rejected").status_code == 200


def test_an_unknown_charge_or_dispute_is_named(customer: Customer) -> None:
    http, nobody = customer.http, str(uuid4())

    assert code(http.post("/v1/disputes", json=opening(customer, generation_id="never"))) == (404, "unknown_charge")
    elsewhere = opening(customer, subscription_id=nobody)
    assert code(http.post("/v1/disputes", json=elsewhere)) == (404, "unknown_subscription")
    for id in (nobody, customer.subscription_id, "no-uuid"):
        assert code(http.get(f"/v1/disputes/{id}")) == (404, "unknown_dispute")
        assert code(resolve(customer, {"dispute_id": id}, "rejected")) == (404, "unknown_dispute")


@pytest.mark.parametrize(
    ("change", "field"),
    [
        ({"reason": "expensive"}, "reason"),
        ({"note": ""}, "note"),
        ({"note": "x" * 4_001}, "note"),
        ({"note": "\x00"}, "note"),
        ({"generation_id": "no spaces"}, "generation_id"),
        ({"subscription_id": "no-uuid"}, "subscription_id"),
        ({"amount": 5}, "amount"),
    ],
)
def test_an_opening_without_the_right_form_names_the_field(
    customer: Customer, change: dict[str, Any], field: str
) -> None:
    answer = customer.http.post("/v1/disputes", json=opening(customer, **change))

    assert code(answer) == (422, "invalid_request")
    assert answer.json()["errors"][0]["field"] == field


@pytest.mark.parametrize(
    ("body", "field"),
    [
        ({"outcome": "upheld", "note": "Yes."}, "credit_to"),
        ({"outcome": "upheld", "note": "Yes.", "credit_to": "next_cycle"}, "credit_to"),
        ({"outcome": "maybe", "note": "Hm."}, "outcome"),
        ({"outcome": "rejected"}, "note"),
        ({"outcome": "rejected", "note": "No.", "credits": 100}, "credits"),
    ],
)
def test_a_resolution_without_the_right_form_names_the_field(
    customer: Customer, body: dict[str, Any], field: str
) -> None:
    dispute = opened(customer)

    answer = customer.http.post(f"/v1/disputes/{dispute['dispute_id']}/resolve", json=body)

    assert code(answer) == (422, "invalid_request")
    assert answer.json()["errors"][0]["field"] == field


def test_an_opening_can_be_repeated_under_its_key(customer: Customer) -> None:
    key = {"Idempotency-Key": "open-1"}

    first = customer.http.post("/v1/disputes", json=opening(customer), headers=key)
    again = customer.http.post("/v1/disputes", json=opening(customer), headers=key)
    other = customer.http.post("/v1/disputes", json=opening(customer, "other"), headers=key)

    assert (again.status_code, again.json()) == (201, first.json())
    assert again.headers["idempotent-replayed"] == "true"
    assert code(other) == (422, "idempotency_key_reused")


def test_a_resolution_can_be_repeated_under_its_key(customer: Customer) -> None:
    path = f"/v1/disputes/{opened(customer)['dispute_id']}/resolve"
    body, key = {"outcome": "rejected", "note": "No."}, {"Idempotency-Key": "resolve-1"}

    first = customer.http.post(path, json=body, headers=key)
    again = customer.http.post(path, json=body, headers=key)

    assert (first.status_code, again.status_code) == (200, 200)
    assert again.json() == first.json()


def test_the_list_is_newest_first_and_filtered(customer: Customer, catch_up: Callable[[], None]) -> None:
    other = Customer.with_plan(customer.http, "ai-suite-40000-monthly")
    other.try_charge("lyria-3", "track")
    customer.try_charge("lyria-3", "song")
    disputes = [opened(customer), opened(other), opened(customer, generation_id="song")]
    resolve(customer, disputes[2], "rejected")
    disputes.append(opened(customer, generation_id="song"))
    catch_up()

    def listed(**query: Any) -> list[str]:
        answer = customer.http.get("/v1/disputes", params=query)
        assert answer.status_code == 200, answer.text
        return [each["dispute_id"] for each in answer.json()["data"]]

    ids = [dispute["dispute_id"] for dispute in disputes]
    assert listed() == ids[::-1]
    assert listed(subscription_id=other.subscription_id) == [ids[1]]
    assert listed(status="rejected") == [ids[2]]
    assert listed(status="open", subscription_id=customer.subscription_id) == [ids[3], ids[0]]
    assert listed(status="upheld") == []
    for dispute in customer.http.get("/v1/disputes").json()["data"]:
        assert dispute == customer.http.get(f"/v1/disputes/{dispute['dispute_id']}").json()


def test_the_list_comes_in_pages(customer: Customer, catch_up: Callable[[], None]) -> None:
    ids = [opened(customer, "unsatisfied")["dispute_id"] for _ in range(5)]
    catch_up()

    listed, cursor = [], None
    while True:
        query = {"limit": 2, **({"cursor": cursor} if cursor else {})}
        page = customer.http.get("/v1/disputes", params=query).json()
        listed += [each["dispute_id"] for each in page["data"]]
        if (cursor := page["next_cursor"]) is None:
            break
    assert listed == ids[::-1]


def test_a_list_that_is_behind_shows_a_dispute_as_it_was(customer: Customer, catch_up: Callable[[], None]) -> None:
    dispute = opened(customer)
    catch_up()
    resolve(customer, dispute, "rejected")

    (listed,) = customer.http.get("/v1/disputes", params={"status": "open"}).json()["data"]

    assert listed == dispute
    assert customer.http.get(f"/v1/disputes/{dispute['dispute_id']}").json()["status"] == "rejected"


def test_the_events_of_a_dispute_are_in_the_ledger(customer: Customer) -> None:
    dispute = opened(customer)
    resolve(customer, dispute, credit_to="current_cycle")

    events = customer.http.get("/v1/events").json()["data"]

    assert [event["type"] for event in events[-3:]] == ["DisputeOpened", "ChargeReversed", "DisputeResolved"]
    assert events[-3]["data"]["subscription_id"] == customer.subscription_id


def test_disputes_require_their_scope(server: Server, customer: Customer) -> None:
    dispute = opened(customer)

    with server.client("read", "charge", "manage", "audit") as other:
        path = f"/v1/disputes/{dispute['dispute_id']}"
        answers = [
            other.post("/v1/disputes", json=opening(customer)),
            other.get("/v1/disputes"),
            other.get(path),
            other.post(f"{path}/resolve", json={"outcome": "rejected", "note": "No."}),
        ]

    assert {(answer.status_code, answer.json()["scope"]) for answer in answers} == {(403, "dispute")}


def test_a_part_of_a_charge_is_given_back_once(customer: Customer) -> None:
    charge = customer.get("charges/track")
    dispute = opened(customer)

    for amount in (151, 0):
        answer = resolve(customer, dispute, credit_to="current_cycle", credits=amount)
        assert (answer.status_code, answer.json()["errors"][0]["field"]) == (422, "credits")
    upheld = resolve(customer, dispute, credit_to="current_cycle", credits=100).json()

    assert (upheld["resolution"]["credits"], customer.balance) == (100, 39_950)
    shown = customer.get("charges/track")
    given_back = {"status": "reversed", "reversed_credits": 100, "dispute_id": dispute["dispute_id"]}
    assert shown == {**charge, **given_back, "reversed_at": upheld["resolved_at"]} == upheld["charge"]
    assert customer.get("charges")["data"] == [shown]
    again = opened(customer)
    assert code(resolve(customer, again, credit_to="current_cycle", credits=1)) == (409, "charge_already_reversed")
