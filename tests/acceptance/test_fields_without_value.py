"""A field of an answer that has no value: left out where it is optional, null where it is always there."""

from collections.abc import Iterator
from typing import Any

import httpx
import pytest

from tests.acceptance.holding import TRACK, VIDEO, capture, hold, release
from tests.acceptance.server import Customer

ALWAYS_THERE = {
    "actual",  # of a difference: nobody asked
    "credits_renew_at",
    "next_cursor",
    "replayed",
    "required_credits",
    "scheduled_change",
}
"""Fields that this history leaves without a value, and that are shown as null."""


@pytest.fixture
def customer(http: httpx.Client) -> Customer:
    """Charges and holds without a member, one of each that a dispute, a capture or a release came after."""
    customer = Customer.with_plan(http, "ai-starter-7500-monthly")
    customer.post("upgrade", plan_id="ai-starter-16500-monthly")
    for generation_id in ("wrong", "right"):
        customer.post("charges", generation_id=generation_id, **TRACK)
    for generation_id in ("open", "job", "failed"):
        hold(customer, generation_id, **VIDEO)
    capture(customer, "job")
    release(customer, "failed")
    dispute = http.post(
        "/v1/disputes",
        json={"subscription_id": customer.subscription_id, "generation_id": "wrong", "reason": "other", "note": "?"},
    ).json()
    resolution = {"outcome": "upheld", "note": "Yes.", "credit_to": "current_cycle"}
    assert http.post(f"/v1/disputes/{dispute['dispute_id']}/resolve", json=resolution).status_code == 200
    assert customer.try_charge("lyria-3", "dear", count=1_000).status_code == 402
    customer.post("suspend", reason="not paid")
    assert customer.try_charge("lyria-3", "late").status_code == 403
    return customer


def answers(customer: Customer) -> Iterator[Any]:
    for resource in ("", "balance", "renewal", "charges", "holds", "holds/open", "events", "refusals", "usage"):
        yield customer.get(resource)
    for path in ("/v1/charges", "/v1/events", "/v1/subscriptions?account_id=account-1", "/v1/plans", "/v1/rate-cards"):
        yield customer.http.get(path).json()
    yield customer.post("what-if", without_generations=["wrong"])
    yield customer.post("what-if", reprice={"lyria-3": 1})
    yield customer.post("what-if", insert_charges=[{"at": "2026-01-15T12:00:00Z", "generation_id": "new", **TRACK}])
    yield customer.post("cancel", when="now")
    yield customer.get("balance")


def nulls(answer: Any) -> Iterator[str]:
    """Yield the names of all fields that are null, at any depth."""
    if isinstance(answer, dict):
        yield from (name for name, value in answer.items() if value is None)
    within = answer.values() if isinstance(answer, dict) else answer if isinstance(answer, list) else ()
    for each in within:
        yield from nulls(each)


def test_null_stands_only_where_a_field_is_always_there(customer: Customer) -> None:
    assert {name for answer in answers(customer) for name in nulls(answer)} == ALWAYS_THERE


def test_what_is_shown_of_an_event_is_its_recorded_form(customer: Customer) -> None:
    (difference,) = customer.post("what-if", without_generations=["right"])["differences"]

    recorded = customer.http.get(f"{customer.path}/events", params={"type": "GenerationCharged"}).json()["data"][1]
    assert difference == {
        "version": recorded["version"],
        "type": "GenerationCharged",
        "actual": {"outcome": "charged", **recorded["data"]},
        "replayed": None,
        "generation_id": "right",
    }


def test_the_document_says_of_no_optional_field_of_an_answer_that_it_may_be_null(http: httpx.Client) -> None:
    document = http.get("/openapi.json").json()
    optional_nulls = {
        f"{name}.{field}"
        for name, schema in document["components"]["schemas"].items()
        for field, kind in schema.get("properties", {}).items()
        if field not in schema.get("required", ()) and {"type": "null"} in kind.get("anyOf", ())
    }

    answered = {each for each in optional_nulls if not each.partition(".")[0].endswith("Request")}
    # Those are there where a time zone was asked for, and null like the instants that they show; and where usage is
    # grouped by member.
    assert answered == {
        "Renewal.credits_renew_at_local",
        "Renewal.subscription_renews_at_local",
        "Usage.member",
    }
