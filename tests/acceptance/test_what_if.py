"""What-if over HTTP: the recorded history replayed with changes."""

from typing import Any
from uuid import uuid4

import httpx
import pytest

from tests.acceptance.server import Customer, Server
from tests.conftest import SettableClock


@pytest.fixture
def customer(http: httpx.Client, clock: SettableClock) -> Customer:
    """16,500 credits: 16,000 for a film; a song for 600 that is refused; a track for 150."""
    customer = Customer.with_plan(http, "ai-starter-16500-monthly")
    clock.advance(seconds=1)
    assert customer.try_charge("example-image-1", "film", count=800).status_code == 201
    clock.advance(seconds=1)
    assert customer.try_charge("lyria-3-pro", "song", count=2).status_code == 402
    clock.advance(seconds=1)
    assert customer.try_charge("lyria-3", "track").status_code == 201
    return customer


def replay(customer: Customer, **changes: Any) -> Any:
    return customer.post("what-if", **changes)


def outcomes(answer: Any) -> list[tuple[int, str, str | None, str | None]]:
    """Each difference: version, generation id, and the two outcomes."""
    return [
        (
            each["version"],
            each["generation_id"],
            each["actual"] and each["actual"]["outcome"],
            each["replayed"] and each["replayed"]["outcome"],
        )
        for each in answer["differences"]
    ]


def test_without_a_change_nothing_differs(customer: Customer) -> None:
    answer = replay(customer)

    assert answer["differences"] == []
    assert answer["actual"] == answer["replayed"] == customer.get("balance")


def test_without_a_generation_the_refusal_after_it_is_charged(customer: Customer) -> None:
    answer = replay(customer, without_generations=["film"])

    assert outcomes(answer) == [(3, "film", "charged", None), (3, "song", "refused", "charged")]
    refused, charged = answer["differences"][1]["actual"], answer["differences"][1]["replayed"]
    assert refused == {
        "outcome": "refused",
        "generation_id": "song",
        "code": "insufficient_credits",
        "balance_credits": 500,
        "required_credits": 600,
    }
    assert (charged["generation_id"], charged["credits"], charged["balance_after"]) == ("song", 600, 15_900)
    assert answer["actual"]["balance_credits"] == customer.balance == 350
    assert answer["replayed"]["balance_credits"] == 15_750
    assert answer["actual"]["version"] == answer["replayed"]["version"] == 4


def test_at_another_price_other_charges_are_refused(customer: Customer) -> None:
    answer = replay(customer, reprice={"lyria-3": 500.5})

    assert outcomes(answer) == [(4, "track", "charged", "refused")]
    assert answer["differences"][0]["replayed"]["required_credits"] == 501
    assert answer["replayed"]["balance_credits"] == 500


def test_an_inserted_charge_takes_its_credits(customer: Customer) -> None:
    extra = {"at": "2026-01-15T12:00:02.5Z", "generation_id": "extra", "model": "lyria-3", "settings": {"count": 3}}

    answer = replay(customer, insert_charges=[extra])

    assert outcomes(answer) == [(3, "extra", None, "charged"), (4, "track", "charged", "refused")]
    assert answer["differences"][0]["replayed"]["credits"] == 450


def test_a_refused_generation_and_a_model_that_was_not_used_are_known(customer: Customer) -> None:
    answer = replay(customer, without_generations=["song"], reprice={"example-voice-1": 1})

    assert outcomes(answer) == [(3, "song", "refused", None)]


def test_another_upgrade_policy_leaves_other_credits(customer: Customer) -> None:
    customer.post("upgrade", plan_id="max-pro-240000-monthly")

    answer = replay(customer, upgrade_policy="add_leftover")

    (difference,) = answer["differences"]
    assert (difference["type"], difference["replayed"]["policy"]) == ("PlanUpgraded", "add_leftover")
    assert "generation_id" not in difference
    assert answer["actual"]["balance_credits"] == 240_000 - 16_150
    assert answer["replayed"]["balance_credits"] == 240_000 + 350


def test_several_changes_apply_together_up_to_the_end(customer: Customer, clock: SettableClock) -> None:
    clock.advance(days=40)
    answer = replay(
        customer,
        until="2026-01-15T12:00:02Z",
        without_generations=["film"],
        reprice={"lyria-3-pro": 1_000},
        insert_charges=[{"at": "2026-01-15T12:00:02Z", "generation_id": "extra", "model": "lyria-3"}],
    )

    assert outcomes(answer) == [
        (3, "film", "charged", None),
        (3, "song", "refused", "charged"),
        (3, "extra", None, "charged"),
    ]
    assert answer["actual"] == customer.get("as-of", at="2026-01-15T12:00:02Z")["balance"]
    assert answer["replayed"]["balance_credits"] == 16_500 - 2_000 - 150


def test_an_unrecorded_reset_is_replayed_too(customer: Customer, clock: SettableClock) -> None:
    clock.advance(days=40)

    answer = replay(customer, without_generations=["track"])

    assert [each["type"] for each in answer["differences"]] == ["GenerationCharged", "CycleReset"]
    assert answer["differences"][1]["actual"]["lapsed_credits"] == 350
    assert answer["differences"][1]["replayed"]["lapsed_credits"] == 500
    assert answer["replayed"]["balance_credits"] == answer["actual"]["balance_credits"] == 16_500


def test_nothing_is_recorded(customer: Customer) -> None:
    before = customer.get("events"), customer.get("refusals")

    replay(customer, without_generations=["film", "track"], reprice={"lyria-3-pro": 9_000})

    assert (customer.get("events"), customer.get("refusals")) == before


@pytest.mark.parametrize(
    ("changes", "field"),
    [
        ({"until": "2027-01-01T00:00:00Z"}, "until"),
        ({"until": "2026-01-15T12:00:00"}, "until"),
        ({"reprice": {"lyria-3": 0}}, "reprice.lyria-3"),
        ({"reprice": {"lyria-3": 1e10}}, "reprice.lyria-3"),
        ({"reprice": {"lyria-3": 1e-30}}, "reprice.lyria-3"),
        ({"reprice": {"lyria-3": True}}, "reprice[...]"),
        ({"upgrade_policy": "generous"}, "upgrade_policy"),
        ({"without_generations": ["no spaces"]}, "without_generations[0]"),
        (
            {"insert_charges": [{"at": "2027-01-01T00:00:00Z", "generation_id": "x", "model": "m"}]},
            "insert_charges.0.at",
        ),
        ({"insert_charges": [{"generation_id": "x", "model": "m"}]}, "insert_charges[0].at"),
        ({"without": ["film"]}, "without"),
        ({"without_generations": ["film", "flim"]}, "without_generations"),
        ({"without_generations": ["track"], "until": "2026-01-15T12:00:02Z"}, "without_generations"),
        ({"reprice": {"lyria-3": 100, "lyria-9": 100}}, "reprice.lyria-9"),
        (
            {
                "insert_charges": [
                    {"at": "2026-01-15T12:00:00Z", "generation_id": "x", "model": model} for model in ("lyria-3", "m")
                ]
            },
            "insert_charges.1.model",
        ),
    ],
)
def test_a_change_that_cannot_be_made_is_named(customer: Customer, changes: dict[str, Any], field: str) -> None:
    answer = customer.http.post(f"{customer.path}/what-if", json=changes)

    assert answer.status_code == 422
    assert answer.json()["code"] == "invalid_request"
    assert answer.json()["errors"][0]["field"] == field


def test_before_the_start_there_is_nothing_to_replay(customer: Customer) -> None:
    answer = customer.http.post(f"{customer.path}/what-if", json={"until": "2026-01-15T11:00:00Z"})

    assert (answer.status_code, answer.json()["code"]) == (404, "unknown_subscription")
    assert customer.http.post(f"/v1/subscriptions/{uuid4()}/what-if", json={}).status_code == 404


def test_what_if_requires_the_scope_to_audit(server: Server, customer: Customer) -> None:
    with server.client("read", "charge", "manage", "dispute") as other:
        answer = other.post(f"{customer.path}/what-if", json={})

    assert (answer.status_code, answer.json()["scope"]) == (403, "audit")
