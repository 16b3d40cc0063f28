"""Lists: newest or oldest first, filtered, in pages that neither skip nor repeat."""

from itertools import chain
from typing import Any

import httpx
import pytest

from tests.acceptance.server import Customer, pages
from tests.conftest import SettableClock

HOURS = ("12", "13", "14", "15", "16", "17")


@pytest.fixture
def customer(http: httpx.Client, clock: SettableClock) -> Customer:
    """Six charges, an hour apart from noon on, and one more in the next cycle."""
    customer = Customer.with_plan(http, "max-pro-240000-yearly")
    for hour, (model, settings) in zip(
        HOURS,
        [
            ("lyria-3", {}),
            ("lyria-3", {}),
            ("lyria-3-pro", {}),
            ("example-image-1", {}),
            ("example-voice-1", {"characters": 500}),
            ("example-video-1", {"duration_seconds": 4}),
        ],
        strict=True,
    ):
        customer.try_charge(model, f"at-{hour}", **settings)
        clock.advance(hours=1)
    clock.advance(days=31)
    customer.try_charge("lyria-3", "at-next")
    return customer


@pytest.mark.parametrize(
    ("query", "expected"),
    [
        ({}, ["next", "17", "16", "15", "14", "13", "12"]),
        ({"model": "lyria-3"}, ["next", "13", "12"]),
        ({"model": "unheard-of"}, []),
        ({"asset_type": "music"}, ["next", "14", "13", "12"]),
        ({"asset_type": "voiceover"}, ["16"]),
        ({"cycle": 2}, ["next"]),
        ({"cycle": 1, "asset_type": "music"}, ["14", "13", "12"]),
        ({"from": "2026-01-15T13:00:00Z", "to": "2026-01-15T15:00:00Z"}, ["14", "13"]),
        ({"from": "2026-01-15T14:00:00+01:00", "to": "2026-01-15T13:00:00.000001Z"}, ["13"]),
    ],
)
def test_charges_are_filtered(customer: Customer, query: dict[str, Any], expected: list[str]) -> None:
    paths = (f"{customer.path}/charges", "/v1/charges")

    lists = [list(chain(*pages(customer.http, path, limit=2, **query))) for path in paths]

    assert [each["generation_id"] for each in lists[0]] == [f"at-{hour}" for hour in expected]
    assert lists[1] == lists[0]


def test_charges_of_all_subscriptions_come_in_the_order_of_the_ledger(customer: Customer) -> None:
    other = Customer.with_plan(customer.http, "ai-starter-16500-monthly")
    other.try_charge("lyria-3", "at-12")

    everything = list(chain(*pages(customer.http, "/v1/charges", limit=3)))
    of_one_id = list(chain(*pages(customer.http, "/v1/charges", limit=1, generation_id="at-12")))

    positions = [each["position"] for each in everything]
    assert len(everything) == 8
    assert positions == sorted(positions, reverse=True)
    assert [each["subscription_id"] for each in of_one_id] == [other.subscription_id, customer.subscription_id]


def test_events_come_oldest_first_with_their_chain(customer: Customer) -> None:
    other = Customer.with_plan(customer.http, "ai-starter-16500-monthly")

    events = list(chain(*pages(customer.http, f"{customer.path}/events", limit=4)))
    ledger = list(chain(*pages(customer.http, "/v1/events", limit=5)))

    assert [each["version"] for each in events] == list(range(1, 11))
    assert [each["previous_hash"] for each in events] == ["0" * 64] + [each["hash"] for each in events[:-1]]
    assert [each["position"] for each in ledger] == list(range(1, 13))
    assert [each for each in ledger if each["subscription_id"] != other.subscription_id] == events
    assert set(events[2]) == {
        "position",
        "subscription_id",
        "version",
        "type",
        "recorded_at",
        "data",
        "metadata",
        "hash",
        "previous_hash",
    }


def test_events_are_listed_from_a_version_or_a_position_on_and_by_type(customer: Customer) -> None:
    after = customer.get("events", after_version=8)["data"]
    resets = customer.get("events", type="CycleReset")["data"]
    later = customer.http.get("/v1/events", params={"after_position": 9}).json()["data"]
    charged = list(chain(*pages(customer.http, "/v1/events", type="GenerationCharged", limit=3)))

    assert [each["type"] for each in after] == ["CycleReset", "GenerationCharged"]
    assert resets == after[:1]
    assert later == after[1:]
    assert len(charged) == 7
    assert customer.get("events", after_version=100) == {"data": [], "next_cursor": None}


def test_refusals_come_newest_first_in_pages(http: httpx.Client, clock: SettableClock) -> None:
    customer = Customer.with_plan(http, "ai-starter-7500-monthly")
    for number in range(5):
        customer.try_charge("lyria-3", f"b-{number}")
        customer.try_charge("lyria-3", f"a-{number}")
        clock.advance(minutes=number % 2)

    refusals = list(chain(*pages(http, f"{customer.path}/refusals", limit=3)))

    expected = ["a-4", "b-4", "a-2", "a-3", "b-2", "b-3", "a-0", "a-1", "b-0", "b-1"]
    assert [each["generation_id"] for each in refusals] == expected
    assert {each["code"] for each in refusals} == {"not_in_plan"}


def test_a_cursor_of_another_list_is_refused(customer: Customer) -> None:
    cursor = customer.get("charges", limit=1)["next_cursor"]

    answer = customer.http.get("/v1/charges", params={"cursor": cursor})

    assert (answer.status_code, answer.json()["errors"][0]["field"]) == (422, "cursor")


def test_the_catalogue_is_listed_in_full(http: httpx.Client) -> None:
    plans = http.get("/v1/plans").json()["data"]
    (card,) = http.get("/v1/rate-cards").json()["data"]

    assert http.get(f"/v1/plans/{plans[0]['plan_id']}").json() == plans[0]
    assert card["version"] == "2020-01"
    assert {model["model"]: model.get("credits") for model in card["models"]}["lyria-3"] == 150


def test_a_cursor_is_of_one_list_with_its_filters(http: httpx.Client) -> None:
    one, other = (Customer.with_plan(http, "max-pro-240000-monthly") for _ in range(2))
    for customer in (one, other):
        for _ in range(3):
            customer.charge("lyria-3")
    cursor = http.get(f"{one.path}/charges", params={"limit": 1}).json()["next_cursor"]

    def status(path: str, **query: str) -> int:
        return http.get(path, params={"limit": 2, "cursor": cursor, **query}).status_code

    assert status(f"{one.path}/charges") == 200
    assert status(f"{one.path}/charges", model="lyria-3") == 422
    for path in (f"{other.path}/charges", f"{one.path}/events", f"{one.path}/refusals", "/v1/charges"):
        assert status(path) == 422


def test_what_is_answered_is_not_stored_on_the_way(http: httpx.Client) -> None:
    customer = Customer.with_plan(http, "max-pro-240000-monthly")
    for path in (customer.path, f"{customer.path}/balance", f"{customer.path}/charges", "/v1/plans"):
        assert http.get(path).headers["cache-control"] == "no-store"
    assert customer.try_charge().headers["cache-control"] == "no-store"
