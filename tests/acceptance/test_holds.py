"""Holds, H1 to H5 and H9: credits set aside for a generation that takes a while, in the time of a test clock."""

from collections.abc import Iterator

import httpx
import pytest

from services.catalogue import Catalogue
from tests.acceptance.holding import (
    MONTHLY,
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


def test_h1_what_is_held_can_be_spent_by_nothing_else(customer: Customer) -> None:
    held = hold(customer, "film", model="example-image-1", settings={"count": 800})

    assert (held["credits"], held["status"], held["cycle_number"]) == (16_000, "held", 1)
    assert held["expires_at"] == "2026-01-31T10:15:00Z"
    assert credits_of(customer) == (16_500, 16_000, 500)
    for resource in ("charges", "holds"):
        status, problem = put(customer, resource, generation_id="songs", model="lyria-3-pro", settings={"count": 2})
        assert (status, problem["code"]) == (402, "insufficient_credits")
        assert (problem["required_credits"], problem["balance_credits"], problem["available_credits"]) == (
            600,
            16_500,
            500,
        )
    customer.charge("lyria-3")
    assert credits_of(customer) == (16_350, 16_000, 350)


def test_h1_a_hold_is_refused_as_its_charge_would_be(machine: TimeMachine) -> None:
    customer = machine.customer("ai-starter-7500-monthly")

    assert code(customer, "holds", generation_id="track", **TRACK) == "not_in_plan"
    assert code(customer, "holds", generation_id="track", model="nope") == "unknown_model"
    assert code(customer, "holds", generation_id="v", model="example-video-1") == "invalid_settings"
    assert credits_of(customer) == (7_500, 0, 7_500)
    refusals = [(each["op"], each["code"], each["available_credits"]) for each in customer.get("refusals")["data"]]
    assert refusals == [("hold", "not_in_plan", 7_500)]


def test_h2_the_same_hold_again_is_the_hold_as_it_is_now(customer: Customer, machine: TimeMachine) -> None:
    first = hold(customer, **VIDEO)
    answer = customer.http.post(f"{customer.path}/holds", json={"generation_id": "job", **VIDEO})
    assert (answer.status_code, answer.headers["Idempotent-Replayed"], answer.json()) == (200, "true", first)

    capture(customer, settings={"duration_seconds": 10})

    status, again = put(customer, "holds", generation_id="job", **VIDEO)
    assert (status, again["status"], again["charge"]["credits"]) == (200, "captured", 125)
    assert again == customer.get("holds/job")
    assert credits_of(customer) == (16_375, 0, 16_375)


@pytest.mark.parametrize("ending", ["held", "captured", "released", "expired"])
def test_h2_an_id_belongs_to_the_request_that_first_took_it(
    customer: Customer, machine: TimeMachine, ending: str
) -> None:
    hold(customer)
    if ending == "captured":
        capture(customer)
    if ending == "released":
        release(customer)
    if ending == "expired":
        machine.advance("2026-01-31T10:15:00Z")

    for resource, body in (
        ("charges", TRACK),
        ("holds", {"model": "lyria-3-pro"}),
        ("holds", {**TRACK, "expires_in_seconds": 901}),
    ):
        status, problem = put(customer, resource, generation_id="job", **body)
        assert (status, problem["code"]) == (409, "generation_id_conflict")
        assert (problem["original"]["generation_id"], problem["original"]["status"]) == ("job", ending)


def test_h2_a_hold_under_a_charged_id_is_a_conflict(customer: Customer) -> None:
    charge = customer.post("charges", generation_id="job", **TRACK)

    status, problem = put(customer, "holds", generation_id="job", **TRACK)

    assert (status, problem["code"], problem["original"]) == (409, "generation_id_conflict", charge)
    assert code(customer, "holds/job/capture") == "unknown_hold"
    assert code(customer, "holds/job/release") == "unknown_hold"
    assert customer.http.get(f"{customer.path}/holds/job").status_code == 404


def test_h3_a_capture_is_a_charge_that_names_what_was_held(customer: Customer) -> None:
    hold(customer, **VIDEO)

    charge = capture(customer)

    assert (charge["credits"], charge["held_credits"], charge["settings"]) == (
        150,
        150,
        {"duration_seconds": 12, "count": 1},
    )
    assert (charge["balance_before"], charge["balance_after"], charge["cycle_number"]) == (16_500, 16_350, 1)
    assert charge == customer.get("charges/job")
    assert customer.events()[-2:] == ["CreditsHeld", "GenerationCharged"]


def test_h3_what_it_came_to_is_priced_by_the_card_of_the_hold(customer: Customer) -> None:
    hold(customer, **VIDEO)
    cheaper = capture(customer, settings={"duration_seconds": 4})
    assert (cheaper["credits"], credits_of(customer)) == (50, (16_450, 0, 16_450))

    hold(customer, "dear", **VIDEO)
    dearer = capture(customer, "dear", settings={"duration_seconds": 100})
    assert (dearer["credits"], dearer["held_credits"], credits_of(customer)) == (1_250, 150, (15_200, 0, 15_200))


def test_h3_a_dearer_capture_needs_the_difference_and_else_the_hold_stays(customer: Customer) -> None:
    hold(customer, **VIDEO)
    customer.use(16_300)
    assert credits_of(customer) == (200, 150, 50)

    status, problem = put(customer, "holds/job/capture", settings={"duration_seconds": 20})

    assert (status, problem["code"]) == (402, "insufficient_credits")
    assert (problem["required_credits"], problem["balance_credits"], problem["available_credits"]) == (250, 200, 50)
    assert credits_of(customer) == (200, 150, 50)
    assert [each["op"] for each in customer.get("refusals")["data"]] == ["capture"]
    assert capture(customer, settings={"duration_seconds": 16})["credits"] == 200
    assert credits_of(customer) == (0, 0, 0)


def test_h3_the_same_capture_again_is_the_charge_and_another_one_a_conflict(customer: Customer) -> None:
    hold(customer, **VIDEO)
    charge = capture(customer)

    for body in ({}, {"settings": {"duration_seconds": 12}}, {"settings": {"duration_seconds": 12.0, "count": 1}}):
        answer = customer.http.post(f"{customer.path}/holds/job/capture", json=body)
        assert (answer.status_code, answer.headers["Idempotent-Replayed"], answer.json()) == (200, "true", charge)
    status, problem = put(customer, "holds/job/capture", settings={"duration_seconds": 11})
    assert (status, problem["code"], problem["original"]) == (409, "generation_id_conflict", charge)
    assert customer.events().count("GenerationCharged") == 1


def test_h3_a_capture_without_a_body_is_as_it_was_held(customer: Customer) -> None:
    hold(customer)

    answer = customer.http.post(f"{customer.path}/holds/job/capture")

    assert (answer.status_code, answer.json()["credits"]) == (201, 150)


def test_h4_a_release_frees_the_credits_and_spends_the_id(customer: Customer) -> None:
    hold(customer)

    released = release(customer, reason="the job failed")

    assert (released["status"], credits_of(customer)) == ("released", (16_500, 0, 16_500))
    again = customer.http.post(f"{customer.path}/holds/job/release", json={"reason": "another"})
    assert (again.status_code, again.headers["Idempotent-Replayed"], again.json()) == (200, "true", released)
    assert code(customer, "holds/job/capture") == "hold_released"
    event = customer.http.get(f"{customer.path}/events", params={"type": "HoldReleased"}).json()["data"][0]
    assert event["data"] == {
        "generation_id": "job",
        "credits": 150,
        "cause": "released",
        "cycle_number": 1,
        "reason": "the job failed",
    }


def test_h4_what_is_captured_is_not_released(customer: Customer) -> None:
    hold(customer)
    capture(customer)

    assert code(customer, "holds/job/release") == "generation_id_conflict"


@pytest.mark.parametrize("resource", ["holds/job/capture", "holds/job/release"])
def test_h5_a_hold_expires_at_its_instant_recorded_or_not(
    machine: TimeMachine, http: httpx.Client, clock: SettableClock, resource: str
) -> None:
    customer = Customer.with_plan(http, MONTHLY)  # by the clock of the service, where no worker records
    hold(customer, **TRACK, expires_in_seconds=60)
    clock.advance(seconds=60, microseconds=-1)
    assert credits_of(customer) == (16_500, 150, 16_350)
    assert customer.get("holds/job")["status"] == "held"

    clock.advance(microseconds=1)

    assert credits_of(customer) == (16_500, 0, 16_500)
    assert customer.get("holds/job")["status"] == "expired"
    assert [each["generation_id"] for each in customer.get("holds", status="expired")["data"]] == ["job"]
    assert customer.get("holds", status="held")["data"] == []
    assert customer.events() == ["SubscriptionStarted", "CreditsGranted", "CreditsHeld"]
    assert code(customer, resource) == "hold_expired"
    assert customer.events()[-1] == "HoldReleased"
    assert code(customer, resource) == "hold_expired"


def test_h5_the_worker_of_a_clock_records_expiries_in_their_order(machine: TimeMachine, customer: Customer) -> None:
    hold(customer, "later", **TRACK, expires_in_seconds=120)
    hold(customer, "sooner", **TRACK, expires_in_seconds=60)

    recorded = machine.advance("2026-01-31T10:05:00Z")

    assert recorded == {"subscriptions": 1, "events": 2}
    events = customer.http.get(f"{customer.path}/events", params={"type": "HoldReleased"}).json()["data"]
    assert [(each["data"]["generation_id"], each["data"]["cause"]) for each in events] == [
        ("sooner", "expired"),
        ("later", "expired"),
    ]


def test_h9_a_hold_is_for_a_second_to_seven_days(customer: Customer) -> None:
    for seconds in (0, -1, 604_801, 1.5, "60", None):
        body = {"generation_id": "job", **TRACK, "expires_in_seconds": seconds}
        assert code(customer, "holds", **body) == "invalid_request"
    assert hold(customer, "short", **TRACK, expires_in_seconds=1)["expires_at"] == "2026-01-31T10:00:01Z"
    assert hold(customer, "long", **TRACK, expires_in_seconds=604_800)["expires_at"] == "2026-02-07T10:00:00Z"


def test_h9_a_thousand_open_holds_are_enough(customer: Customer) -> None:
    of = {"subscription_id": customer.subscription_id, "op": "hold", "model": "example-voice-1"}
    items = [{**of, "generation_id": f"h-{n}", "settings": {"characters": 1}} for n in range(1_000)]
    results = customer.http.post("/v1/charges/batch", json={"charges": items}).json()["results"]
    assert {each["status"] for each in results} == {201}

    assert code(customer, "holds", generation_id="one-more", **TRACK) == "too_many_holds"

    assert customer.get("balance")["held_credits"] == 1_000
    capture(customer, "h-1")
    release(customer, "h-2")
    hold(customer, "one-more")
    hold(customer, "and-another")
    assert code(customer, "holds", generation_id="and-a-third", **TRACK) == "too_many_holds"
    assert credits_of(customer) == (16_499, 1_298, 15_201)


def test_holds_are_listed_newest_first_by_status(machine: TimeMachine, customer: Customer) -> None:
    for name in ("captured", "released", "expired", "held"):
        hold(customer, name, **TRACK, expires_in_seconds=60 if name == "expired" else 3_600)
    capture(customer, "captured")
    release(customer, "released")
    machine.advance("2026-01-31T10:05:00Z")

    listed = customer.get("holds")["data"]

    assert [each["generation_id"] for each in listed] == ["held", "expired", "released", "captured"]
    for name in ("captured", "released", "expired", "held"):
        assert [each["generation_id"] for each in customer.get("holds", status=name)["data"]] == [name]
        assert customer.get(f"holds/{name}")["status"] == name
    page = customer.get("holds", limit=3)
    assert [each["generation_id"] for each in page["data"]] == ["held", "expired", "released"]
    rest = customer.get("holds", limit=3, cursor=page["next_cursor"])
    assert ([each["generation_id"] for each in rest["data"]], rest["next_cursor"]) == (["captured"], None)


def test_the_past_of_a_hold(machine: TimeMachine, customer: Customer) -> None:
    hold(customer, **VIDEO)
    machine.advance("2026-01-31T10:01:00Z")
    capture(customer)

    then = customer.get("as-of", at="2026-01-31T10:00:30Z")["balance"]
    assert (then["balance_credits"], then["held_credits"], then["available_credits"]) == (16_500, 150, 16_350)
    without = customer.post("what-if", without_generations=["job"])
    assert (without["actual"]["balance_credits"], without["replayed"]["balance_credits"]) == (16_350, 16_500)
    assert [each["type"] for each in without["differences"]] == ["CreditsHeld", "GenerationCharged"]
    assert customer.post("what-if")["differences"] == []
    dearer = customer.post("what-if", reprice={"example-video-1": 25})
    assert dearer["replayed"]["balance_credits"] == 16_200


def test_what_if_a_capture_would_have_failed(machine: TimeMachine, customer: Customer) -> None:
    """With two images more before the capture, the credits for its 10 further seconds are not there."""
    hold(customer, **VIDEO)
    machine.advance("2026-01-31T10:01:00Z")
    customer.use(16_200)
    machine.advance("2026-01-31T10:02:00Z")
    capture(customer, settings={"duration_seconds": 22})
    images = {
        "generation_id": "more",
        "model": "example-image-1",
        "settings": {"count": 2},
        "at": "2026-01-31T10:01:30Z",
    }

    with_it = customer.post(
        "what-if", insert_charges=[images, {**images, "generation_id": "x", "settings": {"count": 8}}]
    )

    added, refused, failed = with_it["differences"]
    assert (added["generation_id"], added["replayed"]["credits"]) == ("more", 40)
    assert (refused["generation_id"], refused["replayed"]["code"]) == ("x", "insufficient_credits")
    assert (failed["generation_id"], failed["actual"]["credits"]) == ("job", 275)
    assert (failed["replayed"]["code"], failed["replayed"]["required_credits"]) == ("insufficient_credits", 275)
    assert with_it["replayed"]["held_credits"] == 150  # the hold stays


def test_a_captured_charge_can_be_disputed_and_given_back(customer: Customer) -> None:
    hold(customer, **VIDEO)
    capture(customer, settings={"duration_seconds": 10})
    opened = customer.http.post(
        "/v1/disputes",
        json={
            "subscription_id": customer.subscription_id,
            "generation_id": "job",
            "reason": "generation_failed",
            "note": "black",
        },
    )
    assert opened.status_code == 201, opened.text

    resolved = customer.http.post(
        f"/v1/disputes/{opened.json()['dispute_id']}/resolve",
        json={"outcome": "upheld", "note": "so it was", "credit_to": "current_cycle"},
    )

    assert resolved.status_code == 200, resolved.text
    assert credits_of(customer) == (16_500, 0, 16_500)
    assert customer.get("charges/job")["status"] == "reversed"


def test_a_batch_holds_captures_and_releases(customer: Customer) -> None:
    """The second capture is of an id that was charged, which is no hold; the last item is of no form that there is."""
    of = {"subscription_id": customer.subscription_id}
    items = [
        {**of, "op": "hold", "generation_id": "a", **VIDEO},
        {**of, "op": "hold", "generation_id": "b", **TRACK, "expires_in_seconds": 60},
        {**of, "generation_id": "c", **TRACK},
        {**of, "op": "charge", "generation_id": "d", **TRACK},
        {**of, "op": "capture", "generation_id": "a", "settings": {"duration_seconds": 10}},
        {**of, "op": "capture", "generation_id": "c"},
        {**of, "op": "release", "generation_id": "b", "reason": "cancelled"},
        {**of, "op": "charge", "generation_id": "b", **TRACK},
        {**of, "op": "capture", "generation_id": "a", "expires_in_seconds": 60},
        {**of, "op": "refund", "generation_id": "a"},
    ]

    answer = customer.http.post("/v1/charges/batch", json={"charges": items})

    results = answer.json()["results"]
    assert [each["status"] for each in results] == [201, 201, 201, 201, 201, 404, 200, 409, 422, 422]
    assert [each["hold"]["status"] for each in results if "hold" in each] == ["held", "held", "released"]
    assert (results[4]["charge"]["credits"], results[4]["charge"]["held_credits"]) == (125, 150)
    assert results[7]["problem"]["original"]["status"] == "released"
    assert [results[place]["problem"]["errors"][0]["field"] for place in (8, 9)] == ["expires_in_seconds", "op"]
    assert credits_of(customer) == (16_500 - 125 - 300, 0, 16_500 - 425)
    again = customer.http.post("/v1/charges/batch", json={"charges": items}).json()["results"]
    assert [each["status"] for each in again] == [200, 200, 200, 200, 200, 404, 200, 409, 422, 422]
