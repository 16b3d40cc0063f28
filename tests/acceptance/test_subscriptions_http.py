"""Starting, changing and ending subscriptions over HTTP, safely repeated and in the right order."""

from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, datetime
from uuid import uuid4

import httpx
import pytest

from tests.acceptance.server import Customer, pages
from tests.conftest import SettableClock

START = {"account_id": "account-1", "plan_id": "ai-suite-40000-monthly"}


def test_a_started_subscription_is_shown_in_full(http: httpx.Client) -> None:
    started = http.post("/v1/subscriptions", json=START)

    id = started.json()["subscription_id"]
    period = {"number": 1, "starts_at": "2026-01-15T12:00:00Z", "ends_at": "2026-02-15T12:00:00Z"}
    assert started.status_code == 201
    assert started.headers["Location"] == f"/v1/subscriptions/{id}"
    assert started.headers["ETag"] == '"2"'
    assert started.json() == {
        "subscription_id": id,
        "account_id": "account-1",
        "status": "active",
        "plan": {
            "plan_id": "ai-suite-40000-monthly",
            "name": "AI Suite Starter 40,000",
            "tier": 3,
            "monthly_credits": 40_000,
            "billing_period": "monthly",
            "asset_types": ["voiceover", "image", "video", "music"],
        },
        "started_at": "2026-01-15T12:00:00Z",
        "anchor_at": "2026-01-15T12:00:00Z",
        "cycle": period,
        "term": period,
        "scheduled_change": None,
        "version": 2,
    }
    shown = http.get(started.headers["Location"])
    assert shown.json() == started.json()
    assert shown.headers["ETag"] == '"2"'


def test_a_balance_is_shown_in_full(http: httpx.Client) -> None:
    customer = Customer.with_plan(http, "ai-suite-40000-monthly")
    customer.charge("lyria-3")

    assert customer.get("balance") == {
        "subscription_id": customer.subscription_id,
        "plan_id": "ai-suite-40000-monthly",
        "status": "active",
        "balance_credits": 39_850,
        "granted_credits": 40_000,
        "used_credits": 150,
        "reversed_credits": 0,
        "carried_credits": 0,
        "held_credits": 0,
        "available_credits": 39_850,
        "cycle": {"number": 1, "starts_at": "2026-01-15T12:00:00Z", "ends_at": "2026-02-15T12:00:00Z"},
        "credits_renew_at": "2026-02-15T12:00:00Z",
        "as_of": "2026-01-15T12:00:00Z",
        "version": 3,
        "position": 3,
        "alerts": [],
    }


def test_the_same_start_again_starts_nothing(http: httpx.Client) -> None:
    body = {**START, "subscription_id": str(uuid4())}

    with ThreadPoolExecutor(20) as clients:
        answers = list(clients.map(lambda _: http.post("/v1/subscriptions", json=body), range(20)))

    assert sorted(answer.status_code for answer in answers) == [200] * 19 + [201]
    assert len({answer.content for answer in answers}) == 1


def test_another_start_under_the_same_id_is_a_conflict(http: httpx.Client) -> None:
    body = {**START, "subscription_id": str(uuid4())}
    http.post("/v1/subscriptions", json=body)

    answer = http.post("/v1/subscriptions", json={**body, "account_id": "account-2"})

    assert (answer.status_code, answer.json()["code"]) == (409, "subscription_exists")


def test_the_subscriptions_of_an_account_come_in_pages(http: httpx.Client) -> None:
    ids = sorted(Customer.with_plan(http, "ai-suite-40000-monthly").subscription_id for _ in range(5))
    Customer.with_plan(http, "ai-suite-40000-monthly", account_id="account-2")

    read = list(pages(http, "/v1/subscriptions", account_id="account-1", limit=2))

    assert [[each["subscription_id"] for each in page] for page in read] == [ids[:2], ids[2:4], ids[4:]]


def test_if_match_takes_the_current_version_only(http: httpx.Client) -> None:
    customer = Customer.with_plan(http, "ai-suite-40000-monthly")
    plan = {"plan_id": "max-pro-40000-monthly"}
    customer.charge("lyria-3")

    past = http.post(f"{customer.path}/upgrade", json=plan, headers={"If-Match": '"2"'})
    foreign = http.post(f"{customer.path}/upgrade", json=plan, headers={"If-Match": '"abc"'})
    weak = http.post(f"{customer.path}/upgrade", json=plan, headers={"If-Match": 'W/"3"'})
    current = http.post(f"{customer.path}/upgrade", json=plan, headers={"If-Match": '"3"'})

    assert [each.status_code for each in (past, foreign, weak, current)] == [412, 412, 412, 200]
    assert (past.json()["code"], past.json()["version"]) == ("version_mismatch", 3)
    assert current.headers["ETag"] == '"4"'


@pytest.mark.parametrize(
    ("tags", "matches"),
    [
        ('"3"', True),
        ("*", True),
        ('"2", "3"', True),
        ('"x,y",,W/"3" ,\t"3",', True),
        ('"003"', False),
        ('"3.0"', False),
        ('"+3"', False),
        ('W/"3"', False),
        ('"2", "4"', False),
        ('""', False),
        ('"*"', False),
        ('"é"', False),
        ('"99999999999999999999999999"', False),
    ],
)
def test_if_match_compares_tags_as_strings(http: httpx.Client, tags: str, *, matches: bool) -> None:
    customer = Customer.with_plan(http, "ai-suite-40000-monthly")
    customer.charge("lyria-3")

    answer = http.post(
        f"{customer.path}/cancel", json={"when": "term_end"}, headers=[(b"If-Match", tags.encode("latin-1"))]
    )

    assert answer.status_code == (200 if matches else 412)


def test_several_lines_of_if_match_are_one_list(http: httpx.Client) -> None:
    customer = Customer.with_plan(http, "ai-suite-40000-monthly")

    answer = http.post(
        f"{customer.path}/cancel", json={"when": "term_end"}, headers=[("If-Match", '"1"'), ("If-Match", '"2"')]
    )

    assert answer.status_code == 200


def test_a_downgrade_waits_for_the_end_of_the_term(http: httpx.Client, clock: SettableClock) -> None:
    customer = Customer.with_plan(http, "ai-suite-40000-yearly")

    scheduled = customer.post("downgrade", plan_id="ai-starter-7500-monthly")
    renewal = customer.get("renewal")
    clock.now = datetime(2027, 1, 15, 12, tzinfo=UTC)
    changed = customer.get()

    assert scheduled["scheduled_change"] == {
        "kind": "downgrade",
        "plan_id": "ai-starter-7500-monthly",
        "effective_at": "2027-01-15T12:00:00Z",
    }
    assert scheduled["plan"]["plan_id"] == "ai-suite-40000-yearly"
    assert [each["credits"] for each in renewal["upcoming"]] == [40_000] * 11 + [7_500]
    assert (changed["plan"]["plan_id"], changed["scheduled_change"]) == ("ai-starter-7500-monthly", None)
    assert changed["term"] == {"number": 2, "starts_at": "2027-01-15T12:00:00Z", "ends_at": "2027-02-15T12:00:00Z"}
    assert customer.balance == 7_500


def test_cancelling_keeps_the_credits_until_the_term_ends(http: httpx.Client, clock: SettableClock) -> None:
    customer = Customer.with_plan(http, "ai-suite-40000-monthly")

    cancelled = customer.post("cancel", when="term_end")
    customer.charge("lyria-3")
    clock.advance(days=31)

    assert (cancelled["status"], cancelled["scheduled_change"]["kind"]) == ("cancelling", "cancel")
    assert (customer.get()["status"], customer.balance) == ("ended", 0)
    refused = customer.try_charge("lyria-3")
    assert (refused.status_code, refused.json()["code"]) == (409, "subscription_ended")
    assert customer.events()[-1] == "SubscriptionEnded"


def test_cancelling_at_once_ends_at_once(http: httpx.Client) -> None:
    customer = Customer.with_plan(http, "ai-suite-40000-monthly")

    ended = customer.post("cancel", when="now")

    assert ended["status"] == "ended"
    balance = customer.get("balance")
    assert (balance["balance_credits"], balance["credits_renew_at"]) == (0, None)
    assert customer.get("renewal")["upcoming"] == []
    refused = http.post(f"{customer.path}/resume", json={})
    assert (refused.status_code, refused.json()["code"]) == (409, "subscription_ended")


@pytest.mark.parametrize(
    ("change", "body"), [("cancel", {"when": "term_end"}), ("downgrade", {"plan_id": "ai-starter-16500-monthly"})]
)
def test_a_scheduled_change_can_be_undone(http: httpx.Client, change: str, body: dict[str, str]) -> None:
    customer = Customer.with_plan(http, "ai-suite-40000-monthly")
    customer.post(change, **body)

    resumed = http.post(f"{customer.path}/resume")

    assert resumed.status_code == 200
    assert (resumed.json()["status"], resumed.json()["scheduled_change"]) == ("active", None)


def test_a_missed_year_is_recorded_reset_by_reset_before_the_next_charge(
    http: httpx.Client, clock: SettableClock
) -> None:
    customer = Customer.with_plan(http, "ai-suite-40000-yearly")
    clock.now = datetime(2027, 1, 15, 12, tzinfo=UTC)

    shown = customer.get("balance")
    charge = customer.charge("lyria-3")

    assert (shown["cycle"]["number"], shown["version"]) == (13, 2), "the version counts what is recorded"
    assert (charge["cycle_number"], charge["balance_before"]) == (13, 40_000)
    assert customer.events()[2:] == ["CycleReset"] * 12 + ["TermRenewed", "GenerationCharged"]


def test_if_match_takes_the_version_that_was_read_while_a_boundary_was_due(
    http: httpx.Client, clock: SettableClock
) -> None:
    customer = Customer.with_plan(http, "ai-suite-40000-yearly")
    clock.now = datetime(2026, 3, 20, tzinfo=UTC)
    read = http.get(customer.path)
    assert (read.json()["cycle"]["number"], read.json()["version"], read.headers["etag"]) == (3, 2, '"2"')

    upgraded = http.post(
        f"{customer.path}/upgrade",
        json={"plan_id": "max-pro-240000-yearly"},
        headers={"If-Match": read.headers["etag"]},
    )

    assert upgraded.status_code == 200
    assert customer.events()[2:] == ["CycleReset", "CycleReset", "PlanUpgraded"]
    assert upgraded.json()["version"] == 5


def test_version_and_position_count_what_is_recorded(http: httpx.Client, clock: SettableClock) -> None:
    customer = Customer.with_plan(http, "ai-suite-40000-monthly")
    clock.now = datetime(2026, 4, 20, tzinfo=UTC)  # three resets and three renewals are due

    shown = [customer.get("balance"), customer.get()]
    listed = http.get("/v1/subscriptions", params={"account_id": "account-1"}).json()["data"]

    assert [each["cycle"]["number"] for each in (*shown, *listed)] == [4, 4, 4]
    assert [each["version"] for each in (*shown, *listed)] == [2, 2, 2]
    assert shown[0]["position"] == 2
    assert len(customer.events()) == 2


def test_a_quote_says_whether_the_subscription_can_pay(http: httpx.Client) -> None:
    customer = Customer.with_plan(http, "ai-starter-7500-monthly")
    voice = {"model": "example-voice-1", "settings": {"characters": 1_000}}

    plain = http.post("/v1/quotes", json=voice).json()
    payable = http.post("/v1/quotes", json={**voice, "subscription_id": customer.subscription_id}).json()
    music = http.post("/v1/quotes", json={"model": "lyria-3", "subscription_id": customer.subscription_id}).json()

    assert "affordable" not in plain
    assert (payable["credits"], payable["affordable"], payable["balance_after"]) == (30, True, 7_470)
    assert (music["credits"], music["affordable"], "balance_after" in music) == (150, False, False)
    assert customer.balance == 7_500
