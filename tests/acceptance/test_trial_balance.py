"""The trial balance over HTTP: all subscriptions, each of them, and from there the events."""

import csv
import io
from collections.abc import Callable
from itertools import chain
from typing import Any

import httpx
import pytest

from services.http.routes import reports
from tests.acceptance.server import Customer, pages
from tests.conftest import SettableClock

PATH = "/v1/reports/trial-balance"
JANUARY = {"from": "2026-01-01T00:00:00Z", "to": "2026-02-01T00:00:00Z"}
FEBRUARY = {"from": "2026-02-01T00:00:00Z", "to": "2026-03-01T00:00:00Z"}
NAMES = ("opening", "granted", "used", "reversed", "lapsed", "held", "left", "sum")


def sums(**credited: int) -> dict[str, int]:
    return {f"{name}_credits": credited.get(name, 0) for name in NAMES}


@pytest.fixture
def customer(http: httpx.Client, clock: SettableClock, catch_up: Callable[[], None]) -> Customer:
    """Two charges in January; on 1 February an upgrade, a charge, a hold, and the first charge given back."""
    customer = Customer.with_plan(http, "ai-suite-40000-monthly")
    customer.try_charge("lyria-3", "track-1")
    customer.try_charge("example-image-1", "image-1")
    clock.advance(days=16, hours=12)
    customer.post("upgrade", plan_id="max-pro-240000-monthly")
    customer.try_charge("lyria-3-pro", "track-2")
    customer.post("holds", generation_id="track-3", model="lyria-3")
    dispute = {"subscription_id": customer.subscription_id, "generation_id": "track-1", "note": "It was charged twice."}
    opened = http.post("/v1/disputes", json={**dispute, "reason": "duplicate"})
    decision = {"outcome": "upheld", "credit_to": "current_cycle", "note": "So it was."}
    assert http.post(f"{opened.headers['Location']}/resolve", json=decision).status_code == 200
    catch_up()
    return customer


def test_every_credit_is_accounted_for_in_any_interval(customer: Customer) -> None:
    position = customer.http.get("/v1/events", params={"limit": 1_000}).json()["data"][-1]["position"]
    january = sums(granted=40_000, used=170, left=39_830)
    february = sums(opening=39_830, granted=200_000, used=300, reversed=150, held=150, left=239_530)
    for query, expected in (
        ({}, sums(granted=240_000, used=470, reversed=150, held=150, left=239_530)),
        (JANUARY, january),
        (FEBRUARY, february),
        ({"from": "2027-01-01T00:00:00Z"}, sums(opening=239_680, held=150, left=239_530)),
        ({"to": "2026-01-01T00:00:00Z"}, sums()),
        ({"position": "0"}, sums()),
        ({**JANUARY, "position": "3"}, sums(granted=40_000, used=150, left=39_850)),
    ):
        answer = customer.http.get(PATH, params=query).json()
        assert answer == {**query, "position": int(query.get("position", position)), **expected}, query


def test_it_leads_to_the_subscription_and_from_there_to_the_events(
    customer: Customer, catch_up: Callable[[], None]
) -> None:
    other = Customer.with_plan(customer.http, "ai-starter-7500-monthly")
    catch_up()
    of_customer = sums(opening=39_830, granted=200_000, used=300, reversed=150, held=150, left=239_530)
    of_other = sums(granted=7_500, left=7_500)
    rows = {row["subscription_id"]: row for row in _rows(customer.http, FEBRUARY)}

    for id, expected in ((customer.subscription_id, of_customer), (other.subscription_id, of_other)):
        events = rows[id].pop("events")
        first = customer.http.get(events).json()["data"][0]
        assert first["type"] == ("PlanUpgraded" if id == customer.subscription_id else "CreditsGranted")
        assert rows[id].pop("last_position") >= first["position"]
        assert rows[id] == {"subscription_id": id, **expected}
    assert len(rows) == 2
    assert [row["subscription_id"] for row in _rows(customer.http, JANUARY)] == [customer.subscription_id]
    assert "events" not in _rows(customer.http, {"from": "2027-01-01T00:00:00Z"})[0]


def test_the_list_comes_in_pages_as_of_one_position_and_as_csv(
    customer: Customer, catch_up: Callable[[], None]
) -> None:
    for _ in range(4):
        Customer.with_plan(customer.http, "ai-starter-7500-monthly")
    catch_up()
    path = f"{PATH}/subscriptions"
    rows = _rows(customer.http, {})

    first = customer.http.get(path, params={"limit": 2}).json()
    customer.try_charge("lyria-3", "after-the-first-page")
    catch_up()
    rest = customer.http.get(path, params={"limit": 1_000, "cursor": first["next_cursor"]}).json()["data"]
    assert [*first["data"], *rest] == rows
    assert len(list(chain(*pages(customer.http, path, limit=2)))) == len(rows) == 5
    answer = customer.http.get(path, params={"position": str(rows[0]["last_position"])}, headers={"Accept": "text/csv"})
    assert all(row["sum_credits"] == "0" for row in csv.DictReader(io.StringIO(answer.text, newline="")))


@pytest.mark.parametrize(
    ("query", "field"),
    [
        ({"from": "yesterday"}, "from"),
        ({"from": "2026-02-01T00:00:00Z", "to": "2026-01-01T00:00:00Z"}, "to"),
        ({"position": "-1"}, "position"),
        ({"position": "1000000"}, "position"),
        ({"until": "2026-01-01T00:00:00Z"}, "until"),
    ],
)
def test_what_cannot_be_added_up_is_refused_by_name(http: httpx.Client, query: dict[str, str], field: str) -> None:
    for path in (PATH, f"{PATH}/subscriptions"):
        answer = http.get(path, params=query)
        assert (answer.status_code, answer.json()["code"]) == (422, "invalid_request")
        assert [error["field"] for error in answer.json()["errors"]] == [field]


def test_where_the_projector_stands_still_the_answer_says_as_of_which_position_it_is(
    customer: Customer, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(reports, "_CATCH_UP_SECONDS", 0.05)
    before = customer.http.get(PATH).json()
    customer.try_charge("lyria-3", "after-it")

    assert customer.http.get(PATH).json() == before
    answer = customer.http.get(PATH, params={"position": before["position"] + 1})
    assert (answer.status_code, answer.json()["code"], answer.headers["Retry-After"]) == (503, "unavailable", "1")


def _rows(http: httpx.Client, query: dict[str, str]) -> list[dict[str, Any]]:
    rows: list[dict[str, Any]] = http.get(f"{PATH}/subscriptions", params=query).json()["data"]
    return rows
