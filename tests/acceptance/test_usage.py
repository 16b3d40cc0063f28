"""Usage: what was charged and reversed, added up by the keys that the client chooses."""

import csv
import io
import json
from collections.abc import Callable
from itertools import chain
from typing import Any

import httpx
import pytest

from services.http import exports
from tests.acceptance.server import Customer, pages
from tests.conftest import SettableClock

TOTAL = {"charges": 4, "credits": 620, "reversed_credits": 150, "net_credits": 470}


def sums(charges: int, credited: int, reversed_credits: int = 0, **keys: str | int | None) -> dict[str, Any]:
    net = credited - reversed_credits
    return {**keys, "charges": charges, "credits": credited, "reversed_credits": reversed_credits, "net_credits": net}


SUMS: list[tuple[dict[str, str], list[Any]]] = [
    ({}, [TOTAL]),
    ({"group_by": "month"}, [sums(3, 320, month="2026-01"), sums(1, 300, 150, month="2026-02")]),
    (
        {"group_by": "model,day"},
        [
            sums(1, 150, day="2026-01-15", model="lyria-3"),
            sums(1, 20, day="2026-01-16", model="example-image-1"),
            sums(1, 150, day="2026-01-16", model="lyria-3"),
            sums(0, 0, 150, day="2026-02-01", model="lyria-3"),
            sums(1, 300, day="2026-02-01", model="lyria-3-pro"),
        ],
    ),
    ({"group_by": "asset_type"}, [sums(1, 20, asset_type="image"), sums(3, 600, 150, asset_type="music")]),
    ({"from": "2026-01-16", "to": "2026-02-01"}, [sums(2, 170)]),
    ({"from": "2026-01-16T01:00:00+01:00", "to": "2026-02-01T00:00:00Z"}, [sums(2, 170)]),
    ({"model": "lyria-3"}, [sums(2, 300, 150)]),
    ({"asset_type": "image", "group_by": "model"}, [sums(1, 20, model="example-image-1")]),
    ({"from": "2027-01-01"}, [sums(0, 0)]),
    ({"from": "2027-01-01", "group_by": "day"}, []),
    ({"group_by": "cycle"}, [sums(3, 320, cycle=1), sums(1, 300, 150, cycle=2)]),
    ({"cycle": "2"}, [sums(1, 300, 150)]),
    ({"day": "2026-01-16"}, [sums(2, 170)]),
    ({"month": "2026-01", "group_by": "cycle"}, [sums(3, 320, cycle=1)]),
    ({"group_by": "member"}, [sums(3, 470, member=None), sums(1, 150, 150, member="ada")]),
    ({"member": "ada", "group_by": "month"}, [sums(1, 150, month="2026-01"), sums(0, 0, 150, month="2026-02")]),
    (
        {"group_by": "cycle,plan,account"},
        [
            sums(3, 320, cycle=1, account_id="account-1", plan_id="ai-suite-40000-monthly"),
            sums(1, 300, 150, cycle=2, account_id="account-1", plan_id="max-pro-240000-monthly"),
        ],
    ),
    ({"plan_id": "max-pro-240000-monthly"}, [sums(1, 300, 150)]),
    ({"plan": "max-pro-240000-monthly", "plan_id": "max-pro-240000-monthly"}, [sums(1, 300, 150)]),
    ({"account_id": "account-1"}, [TOTAL]),
    ({"account": "account-2", "group_by": "plan_id"}, []),
]


REFUSED = [
    *(("group_by", value) for value in ("day,", "day,month", "month,cycle", "model,model", "plan,plan_id", "Day")),
    *(("from", value) for value in ("2026-02-30", "2026-01-16T12:00:00Z", "2026-01-16T00:00:00", "yesterday", "")),
    ("to", "2026-01-16T00:00:00.000001Z"),
    ("to", "0001-01-01T00:00:00+23:00"),
    ("asset_type", "film"),
    ("day", "2026-01-16T12:00:00Z"),
    ("month", "2026-13"),
    ("cycle", "-1"),
    ("member", "no member"),
    ("cursor", "bm8="),
    ("cursor", "WyJVc2FnZUdyb3VwIiwiIiwiXHUwMDAwIiwiIl0="),
]


@pytest.fixture
def customer(http: httpx.Client, clock: SettableClock, catch_up: Callable[[], None]) -> Customer:
    """Charges late on 15 January, on 16 January and, after an upgrade, on 1 February.

    The first, which names a member, is reversed in February.
    """
    customer = Customer.with_plan(http, "ai-suite-40000-monthly")
    clock.advance(hours=11, minutes=59)
    customer.post("charges", generation_id="track-1", model="lyria-3", member="ada")
    clock.advance(minutes=1)
    customer.try_charge("lyria-3", "track-2")
    customer.try_charge("example-image-1", "image-1")
    clock.advance(days=16)
    customer.post("upgrade", plan_id="max-pro-240000-monthly")
    customer.try_charge("lyria-3-pro", "track-3")
    dispute = {"subscription_id": customer.subscription_id, "generation_id": "track-1", "note": "It was charged twice."}
    opened = http.post("/v1/disputes", json={**dispute, "reason": "duplicate"})
    assert opened.status_code == 201
    decision = {"outcome": "upheld", "credit_to": "current_cycle", "note": "So it was."}
    assert http.post(f"{opened.headers['Location']}/resolve", json=decision).status_code == 200
    catch_up()
    return customer


def test_usage_is_added_up_by_the_requested_keys(customer: Customer) -> None:
    for path in (f"{customer.path}/usage", "/v1/usage"):
        for query, expected in SUMS:
            page = customer.http.get(path, params=query).json()
            assert page == {"data": expected, "next_cursor": None}, query


def test_usage_comes_in_pages_and_in_streams(customer: Customer, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(exports, "PAGE_ROWS", 2)
    path, query = f"{customer.path}/usage", {"group_by": "day,model,asset_type"}
    rows = customer.http.get(path, params=query).json()["data"]

    assert list(chain(*pages(customer.http, path, limit=2, **query))) == rows
    for form, parsed in (
        ("text/csv", lambda text: list(csv.DictReader(io.StringIO(text, newline="")))),
        ("application/x-ndjson", lambda text: [json.loads(line) for line in text.splitlines()]),
    ):
        answer = customer.http.get(path, params=query, headers={"Accept": form})
        assert answer.headers["content-type"].partition(";")[0] == form
        assert [{name: str(value) for name, value in row.items()} for row in parsed(answer.text)] == [
            {name: str(value) for name, value in row.items()} for row in rows
        ]


def test_usage_of_another_subscription_does_not_count(customer: Customer, catch_up: Callable[[], None]) -> None:
    other = Customer.with_plan(customer.http, "ai-suite-40000-monthly")
    other.try_charge("lyria-3", "track-1")
    catch_up()

    assert customer.get("usage")["data"] == [TOTAL]
    assert other.get("usage")["data"] == [sums(1, 150)]
    assert customer.http.get("/v1/usage").json()["data"] == [sums(5, 770, 150)]


def test_what_cannot_be_added_up_is_refused_by_name(http: httpx.Client) -> None:
    for field, value in REFUSED:
        answer = http.get("/v1/usage", params={field: value})
        assert (answer.status_code, answer.json()["code"]) == (422, "invalid_request"), (field, value)
        assert [error["field"] for error in answer.json()["errors"]] == [field], value


def test_usage_of_an_unknown_subscription_is_not_found(http: httpx.Client) -> None:
    answer = http.get("/v1/subscriptions/0f8fad5b-d9cb-469f-a165-70867728950e/usage")

    assert (answer.status_code, answer.json()["code"]) == (404, "unknown_subscription")
