"""Downgrades, cancellations and what undoes them: their events, and what is refused."""

from typing import Any

import httpx
import pytest

from tests.acceptance.server import Customer

SUITE, SUITE_YEARLY = "ai-suite-40000-monthly", "ai-suite-40000-yearly"
STARTER, MAX = "ai-starter-16500-monthly", "max-pro-240000-yearly"
TERM_END = "2026-02-15T12:00:00Z"
CANCEL = {"kind": "cancel", "effective_at": TERM_END}

Change = tuple[str, dict[str, Any]]
"""A resource below the subscription, and the body to post to it."""


@pytest.fixture
def customer(http: httpx.Client) -> Customer:
    return Customer.with_plan(http, SUITE)


def downgrade_to(plan_id: str) -> dict[str, Any]:
    return {"kind": "downgrade", "plan_id": plan_id, "effective_at": TERM_END}


@pytest.mark.parametrize(
    ("changes", "status", "scheduled", "events"),
    [
        pytest.param(
            [("downgrade", {"plan_id": STARTER})],
            "active",
            downgrade_to(STARTER),
            ["PlanChangeScheduled"],
            id="a downgrade waits for the term's end",
        ),
        pytest.param(
            [("downgrade", {"plan_id": SUITE_YEARLY})],
            "active",
            downgrade_to(SUITE_YEARLY),
            ["PlanChangeScheduled"],
            id="a change of the billing period waits too",
        ),
        pytest.param(
            [("cancel", {"when": "term_end"})],
            "cancelling",
            CANCEL,
            ["SubscriptionCancelled"],
            id="a cancellation waits too",
        ),
        pytest.param(
            [("cancel", {"when": "now"})],
            "ended",
            None,
            ["SubscriptionCancelled", "SubscriptionEnded"],
            id="a cancellation at once does not",
        ),
        pytest.param(
            [("downgrade", {"plan_id": STARTER}), ("cancel", {"when": "term_end"})],
            "cancelling",
            CANCEL,
            ["PlanChangeScheduled", "SubscriptionCancelled"],
            id="the latest change replaces the one before",
        ),
        pytest.param(
            [("cancel", {"when": "term_end"}), ("downgrade", {"plan_id": STARTER})],
            "active",
            downgrade_to(STARTER),
            ["SubscriptionCancelled", "PlanChangeScheduled"],
            id="so a downgrade undoes a cancellation",
        ),
        pytest.param(
            [("cancel", {"when": "term_end"}), ("cancel", {"when": "term_end"})],
            "cancelling",
            CANCEL,
            ["SubscriptionCancelled"],
            id="the same change again changes nothing",
        ),
        pytest.param(
            [("downgrade", {"plan_id": STARTER}), ("resume", {})],
            "active",
            None,
            ["PlanChangeScheduled", "PlanChangeUnscheduled"],
            id="a downgrade is undone",
        ),
        pytest.param(
            [("cancel", {"when": "term_end"}), ("resume", {})],
            "active",
            None,
            ["SubscriptionCancelled", "PlanChangeUnscheduled"],
            id="a cancellation is undone",
        ),
        pytest.param(
            [("cancel", {"when": "term_end"}), ("upgrade", {"plan_id": MAX})],
            "active",
            None,
            ["SubscriptionCancelled", "PlanUpgraded"],
            id="an upgrade clears what was scheduled",
        ),
    ],
)
def test_a_change_is_recorded_and_shown(
    customer: Customer, changes: list[Change], status: str, scheduled: dict[str, Any] | None, events: list[str]
) -> None:
    answers = [customer.post(resource, **body) for resource, body in changes]

    assert answers[-1] == customer.get()
    assert (answers[-1]["status"], answers[-1]["scheduled_change"]) == (status, scheduled)
    assert customer.events()[2:] == events


@pytest.mark.parametrize(
    ("change", "code"),
    [
        (("downgrade", {"plan_id": MAX}), "not_a_downgrade"),
        (("downgrade", {"plan_id": SUITE}), "not_a_downgrade"),
        (("upgrade", {"plan_id": SUITE_YEARLY}), "not_an_upgrade"),
        (("upgrade", {"plan_id": STARTER}), "not_an_upgrade"),
        (("resume", {}), "nothing_scheduled"),
    ],
)
def test_an_impossible_change_is_refused_and_records_nothing(customer: Customer, change: Change, code: str) -> None:
    resource, body = change

    refused = customer.http.post(f"{customer.path}/{resource}", json=body)

    assert (refused.status_code, refused.json()["code"]) == (409, code)
    assert customer.events() == ["SubscriptionStarted", "CreditsGranted"]


def test_an_ended_subscription_refuses_every_change_and_can_be_read(customer: Customer) -> None:
    customer.charge("lyria-3")
    customer.post("cancel", when="now")
    recorded = customer.events()

    changes: list[Change] = [
        ("upgrade", {"plan_id": MAX}),
        ("downgrade", {"plan_id": STARTER}),
        ("cancel", {"when": "now"}),
        ("cancel", {"when": "term_end"}),
        ("resume", {}),
        ("charges", {"generation_id": "late", "model": "lyria-3"}),
    ]
    for resource, body in changes:
        refused = customer.http.post(f"{customer.path}/{resource}", json=body)
        assert (refused.status_code, refused.json()["code"]) == (409, "subscription_ended"), resource

    assert (customer.balance, customer.events()) == (0, recorded)
    assert customer.get("renewal")["upcoming"] == []
