"""Charging over HTTP: once each, never more than the balance, and with refusals that name their reason."""

from collections import Counter
from concurrent.futures import ThreadPoolExecutor

import httpx
import pytest

from tests.acceptance.server import Customer, Server


@pytest.fixture
def customer(http: httpx.Client) -> Customer:
    return Customer.with_plan(http, "ai-starter-16500-monthly")


def test_a_charge_is_answered_in_full(customer: Customer) -> None:
    answer = customer.try_charge("lyria-3", "track-1", duration_seconds=180)

    assert answer.status_code == 201
    assert answer.headers["content-type"] == "application/json"
    assert answer.json() == {
        "subscription_id": customer.subscription_id,
        "generation_id": "track-1",
        "asset_type": "music",
        "model": "lyria-3",
        "settings": {"duration_seconds": 180, "count": 1},
        "credits": 150,
        "price": {
            "rate_card": "2020-01",
            "rule": "per_track",
            "unit": "track",
            "quantity": 1,
            "credits_per_unit": 150,
        },
        "balance_before": 16_500,
        "balance_after": 16_350,
        "cycle_number": 1,
        "charged_at": "2026-01-15T12:00:00Z",
        "version": 3,
        "position": 3,
        "status": "charged",
    }
    assert customer.get("charges/track-1") == answer.json()


def test_the_same_charge_from_fifty_clients_at_once_happens_once(customer: Customer) -> None:
    with ThreadPoolExecutor(50) as clients:
        answers = list(clients.map(lambda _: customer.try_charge("lyria-3", "track-1"), range(50)))

    assert Counter(answer.status_code for answer in answers) == {201: 1, 200: 49}
    assert len({answer.content for answer in answers}) == 1
    replayed = {answer.status_code: answer.headers.get("Idempotent-Replayed") for answer in answers}
    assert replayed == {201: None, 200: "true"}
    assert customer.balance == 16_500 - 150


@pytest.mark.parametrize("settings", [{}, {"count": 1}], ids=["default left out", "default written out"])
def test_a_default_may_be_left_out_or_written_out(customer: Customer, settings: dict[str, int]) -> None:
    customer.try_charge("lyria-3", "track-1")

    assert customer.try_charge("lyria-3", "track-1", **settings).status_code == 200


def test_another_request_under_the_same_id_is_a_conflict_that_shows_the_original(customer: Customer) -> None:
    original = customer.try_charge("lyria-3", "track-1").json()

    answer = customer.try_charge("lyria-3-pro", "track-1")

    assert answer.status_code == 409
    assert answer.headers["content-type"] == "application/problem+json"
    assert answer.json()["code"] == "generation_id_conflict"
    assert answer.json()["original"] == original
    assert customer.balance == 16_500 - 150


def test_sixty_four_clients_spend_exactly_what_is_there(http: httpx.Client) -> None:
    customer = Customer.with_plan(http, "ai-starter-16500-monthly")
    affordable = 16_500 // 150

    with ThreadPoolExecutor(64) as clients:
        answers = list(
            clients.map(lambda number: customer.try_charge("lyria-3", f"track-{number}"), range(affordable + 64))
        )

    assert Counter(answer.status_code for answer in answers) == {201: affordable, 402: 64}
    assert customer.balance == 0
    after = sorted(answer.json()["balance_after"] for answer in answers if answer.status_code == 201)
    assert after == list(range(0, 16_500, 150))


def test_a_refusal_names_what_is_missing_and_does_not_burn_the_id(customer: Customer) -> None:
    customer.use(16_400)

    version = customer.get("balance")["version"]
    refused = customer.try_charge("lyria-3", "track-1")
    customer.post("upgrade", plan_id="ai-suite-40000-monthly")

    assert refused.status_code == 402
    problem = refused.json()
    assert problem.pop("request_id") == refused.headers["Request-Id"]
    assert problem == {
        "type": "urn:tallystick:problem:insufficient_credits",
        "title": "Insufficient credits",
        "status": 402,
        "code": "insufficient_credits",
        "detail": "The generation costs more credits than are available in this cycle.",
        "required_credits": 150,
        "balance_credits": 100,
        "available_credits": 100,
        "credits_renew_at": "2026-02-15T12:00:00Z",
        "upgrade_options": [
            "ai-suite-40000-monthly",
            "ai-suite-40000-yearly",
            "max-pro-40000-monthly",
            "max-pro-40000-yearly",
            "max-pro-240000-monthly",
            "max-pro-240000-yearly",
        ],
        "version": version,
        "position": customer.get("balance")["position"] - 1,
    }
    assert customer.try_charge("lyria-3", "track-1").status_code == 201


def test_a_client_that_retries_a_refused_charge_in_a_loop_does_not_grow_the_log(customer: Customer) -> None:
    customer.use(16_400)
    for _ in range(3):
        customer.try_charge("lyria-3", "track-1")
    customer.try_charge("example-image-1")
    customer.try_charge("lyria-3", "track-1")

    refusals = customer.get("refusals")["data"]

    assert [(each["generation_id"], each["version"]) for each in refusals] == [("track-1", 4), ("track-1", 3)]
    assert refusals[1] == {
        "op": "charge",
        "generation_id": "track-1",
        "model": "lyria-3",
        "settings": {},
        "code": "insufficient_credits",
        "required_credits": 150,
        "balance_credits": 100,
        "available_credits": 100,
        "version": 3,
        "refused_at": "2026-01-15T12:00:00Z",
    }


def test_the_charges_of_two_subscriptions_share_nothing(http: httpx.Client) -> None:
    one, other = (Customer.with_plan(http, "ai-starter-16500-monthly") for _ in range(2))

    assert one.try_charge("lyria-3", "track-1").status_code == 201
    assert other.try_charge("lyria-3", "track-1").status_code == 201


def test_a_key_without_the_scope_charges_nothing(server: Server, customer: Customer) -> None:
    with server.client("read", "manage") as reader:
        answer = Customer(reader, customer.subscription_id).try_charge()

    assert answer.status_code == 403
    assert (answer.json()["code"], answer.json()["scope"]) == ("missing_scope", "charge")
    assert customer.balance == 16_500
