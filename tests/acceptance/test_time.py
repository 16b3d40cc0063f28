"""A year in an afternoon: plans with two clocks, changes of plan and cancellations, in the time of test clocks."""

from collections.abc import Iterator
from contextlib import closing
from datetime import UTC, datetime
from typing import Any

import httpx
import pytest

from services.catalogue import Catalogue
from services.postgres.database import connect
from tests.acceptance.server import Customer, Listener, pages
from tests.acceptance.time_travel import MICROSECOND, TimeMachine, instant, server_with_clocks
from tests.conftest import SettableClock

YEARLY = "ai-suite-40000-yearly"
MONTHLY = "ai-suite-40000-monthly"
JANUARY_31 = "2026-01-31T10:00:00Z"
MONTH_ENDS = [
    f"2026-{day}T10:00:00Z" for day in "02-28 03-31 04-30 05-31 06-30 07-31 08-31 09-30 10-31 11-30 12-31".split()
]
NEXT_JANUARY_31 = "2027-01-31T10:00:00Z"


@pytest.fixture
def http(listener: Listener, database_url: str, catalogue: Catalogue, clock: SettableClock) -> Iterator[httpx.Client]:
    with server_with_clocks(listener, database_url, catalogue, clock) as (_, client):
        yield client


@pytest.fixture
def machine(http: httpx.Client) -> TimeMachine:
    return TimeMachine.at(http, JANUARY_31)


def test_a_yearly_plan_resets_twelve_times_and_then_renews(machine: TimeMachine) -> None:
    customer = machine.customer(YEARLY)
    for number, at in enumerate([*MONTH_ENDS, NEXT_JANUARY_31], start=2):
        customer.charge("lyria-3")
        before = instant(at) - MICROSECOND
        assert machine.advance(before) == {"subscriptions": 0, "events": 0}
        assert (customer.balance, customer.get("balance")["credits_renew_at"]) == (39_850, at)

        renews = at == NEXT_JANUARY_31
        assert machine.advance(at) == {"subscriptions": 1, "events": 2 if renews else 1}

        balance = customer.get("balance")
        assert (balance["balance_credits"], balance["used_credits"]) == (40_000, 0)
        assert (balance["cycle"]["number"], balance["cycle"]["starts_at"], balance["as_of"]) == (number, at, at)
        term = customer.get()["term"]
        assert term["number"] == (2 if renews else 1)
    assert customer.get()["term"]["ends_at"] == "2028-01-31T10:00:00Z"
    assert customer.events().count("CycleReset") == 12
    assert customer.events()[-2:] == ["CycleReset", "TermRenewed"]


def test_a_year_at_once_is_the_same_year(machine: TimeMachine) -> None:
    customer = machine.customer(YEARLY)

    assert machine.advance(NEXT_JANUARY_31) == {"subscriptions": 1, "events": 13}

    resets = customer.get("events", type="CycleReset")["data"]
    assert [reset["data"]["cycle"]["starts_at"] for reset in resets] == [*MONTH_ENDS, NEXT_JANUARY_31]
    assert {reset["recorded_at"] for reset in resets} == {NEXT_JANUARY_31}


def test_an_upgrade_in_the_middle_of_a_cycle_restarts_both_clocks(machine: TimeMachine) -> None:
    customer = machine.customer(YEARLY)
    machine.advance("2026-03-15T18:30:00Z")
    customer.use(1_000)

    customer.post("upgrade", plan_id="max-pro-240000-yearly")

    upgraded = customer.get()
    assert upgraded["anchor_at"] == upgraded["cycle"]["starts_at"] == upgraded["term"]["starts_at"] == machine.now
    assert upgraded["cycle"]["ends_at"] == "2026-04-15T18:30:00Z"
    assert upgraded["term"]["ends_at"] == "2027-03-15T18:30:00Z"
    assert customer.balance == 239_000
    upcoming = customer.get("renewal")["upcoming"]
    assert [each["at"][8:] for each in upcoming] == ["15T18:30:00Z"] * 12

    machine.advance("2026-03-31T10:00:00Z")
    assert (customer.balance, customer.get("balance")["cycle"]["number"]) == (239_000, 3), (
        "the old anchor has no effect"
    )
    machine.advance("2028-04-01T00:00:00Z")
    starts = [reset["data"]["cycle"]["starts_at"] for reset in customer.get("events", type="CycleReset")["data"][1:]]
    assert len(starts) == 24
    assert {start[8:] for start in starts} == {"15T18:30:00Z"}


@pytest.mark.parametrize(
    ("before", "after", "renews"),
    [
        (YEARLY, "ai-suite-40000-monthly", ["2027-02-28", "2027-03-31", "2027-04-30"]),
        (YEARLY, "ai-starter-16500-yearly", ["2028-01-31", "2029-01-31", "2030-01-31"]),
        (MONTHLY, "ai-suite-40000-yearly", ["2027-02-28", "2028-02-29", "2029-02-28"]),
        (MONTHLY, "ai-starter-7500-monthly", ["2026-03-31", "2026-04-30", "2026-05-31"]),
    ],
)
def test_a_change_at_the_terms_end_takes_effect_then_and_keeps_the_anchor(
    machine: TimeMachine, before: str, after: str, renews: list[str]
) -> None:
    customer = machine.customer(before)
    term_ends_at = customer.get()["term"]["ends_at"]
    scheduled = customer.post("downgrade", plan_id=after)["scheduled_change"]
    assert scheduled == {"kind": "downgrade", "plan_id": after, "effective_at": term_ends_at}

    machine.advance(instant(term_ends_at) - MICROSECOND)
    assert customer.get()["plan"]["plan_id"] == before
    machine.advance(term_ends_at)

    changed = customer.get()
    assert (changed["plan"]["plan_id"], changed["scheduled_change"]) == (after, None)
    assert (changed["anchor_at"], customer.balance) == (JANUARY_31, changed["plan"]["monthly_credits"])
    for day in renews:
        at = customer.get("renewal")["subscription_renews_at"]
        assert at == f"{day}T10:00:00Z"
        machine.advance(at)


def test_a_cancelled_year_keeps_its_resets_until_the_term_ends(machine: TimeMachine) -> None:
    customer = machine.customer(YEARLY)
    machine.advance("2026-02-10T00:00:00Z")
    customer.post("cancel", when="term_end")

    machine.advance("2026-12-31T10:00:00Z")
    last_cycle = customer.get("balance")
    assert (last_cycle["status"], last_cycle["balance_credits"], last_cycle["credits_renew_at"]) == (
        "cancelling",
        40_000,
        None,
    )
    machine.advance(instant(NEXT_JANUARY_31) - MICROSECOND)
    customer.charge("lyria-3")
    machine.advance(NEXT_JANUARY_31)

    assert (customer.get()["status"], customer.balance) == ("ended", 0)
    refused = customer.try_charge("lyria-3")
    assert (refused.status_code, refused.json()["code"]) == (409, "subscription_ended")
    assert machine.advance("2030-01-01T00:00:00Z") == {"subscriptions": 0, "events": 0}


def test_a_cancelled_subscription_can_be_resumed_until_it_ends(machine: TimeMachine) -> None:
    customer = machine.customer(MONTHLY)
    customer.post("cancel", when="term_end")
    machine.advance(instant(MONTH_ENDS[0]) - MICROSECOND)

    assert customer.post("resume")["status"] == "active"
    machine.advance(MONTH_ENDS[0])

    assert (customer.get()["status"], customer.balance) == ("active", 40_000)
    again = customer.http.post(f"{customer.path}/resume", json={})
    assert (again.status_code, again.json()["code"]) == (409, "nothing_scheduled")


def test_the_past_is_the_clocks_past(machine: TimeMachine) -> None:
    customer = machine.customer(YEARLY)
    machine.advance("2026-03-10T08:00:00Z")
    charge = customer.charge("lyria-3")
    machine.advance("2026-06-01T00:00:00Z")

    assert charge["charged_at"] == "2026-03-10T08:00:00Z"
    at_charge = customer.get("as-of", at="2026-03-10T08:00:00Z")["balance"]
    assert (at_charge["balance_credits"], at_charge["cycle"]["number"]) == (39_850, 2)
    in_may = customer.get("as-of", at="2026-05-15T00:00:00Z")["balance"]
    assert (in_may["balance_credits"], in_may["cycle"]["number"], in_may["as_of"]) == (
        40_000,
        4,
        "2026-05-15T00:00:00Z",
    )
    to_come = customer.http.get(f"{customer.path}/as-of", params={"at": "2026-06-01T00:00:00.000001Z"})
    assert (to_come.status_code, to_come.json()["errors"][0]["field"]) == (422, "at")
    events = customer.get("events")["data"]
    assert {event["recorded_at"] for event in events} == {JANUARY_31, "2026-03-10T08:00:00Z", "2026-06-01T00:00:00Z"}


def test_an_upgrade_whose_reply_was_lost_is_retried_under_its_key_even_after_the_clock_moved(
    machine: TimeMachine,
) -> None:
    customer = machine.customer(MONTHLY)
    key, body = {"Idempotency-Key": "upgrade-1"}, {"plan_id": "max-pro-240000-monthly"}
    lost = customer.http.post(f"{customer.path}/upgrade", json=body, headers=key)
    machine.advance("2026-05-05T00:00:00Z")

    retried = customer.http.post(f"{customer.path}/upgrade", json=body, headers=key)

    assert (retried.status_code, retried.content) == (200, lost.content)
    assert customer.events().count("PlanUpgraded") == 1


def test_reads_are_right_after_an_advance_that_was_cut_short(machine: TimeMachine, database_url: str) -> None:
    customer = machine.customer(YEARLY)
    with closing(connect(database_url, autocommit=True)) as connection:  # what is done before anything is recorded
        connection.execute("UPDATE tallystick.test_clocks SET now = '2026-05-05T00:00:00Z'")

    balance, renewal = customer.get("balance"), customer.get("renewal")
    assert (balance["cycle"]["number"], balance["as_of"]) == (4, "2026-05-05T00:00:00Z")
    assert renewal["credits_renew_at"] == "2026-05-31T10:00:00Z"
    assert "CycleReset" not in customer.events()
    assert machine.advance("2026-05-05T00:00:00Z") == {"subscriptions": 1, "events": 3}
    assert customer.get("balance")["balance_credits"] == balance["balance_credits"]


@pytest.mark.parametrize("zone", ["Europe/Rome", "America/New_York", "Pacific/Chatham"])
def test_summer_time_shows_and_moves_nothing(machine: TimeMachine, zone: str) -> None:
    customer = machine.customer(YEARLY)

    upcoming = customer.get("renewal", tz=zone)["upcoming"]

    assert [each["at"] for each in upcoming] == [*MONTH_ENDS, NEXT_JANUARY_31]
    assert [instant(each["at_local"]) for each in upcoming] == [instant(each["at"]) for each in upcoming]
    assert len({each["at_local"][-6:] for each in upcoming}) == 2, "summer and winter"
    winter, summer = {
        "Europe/Rome": ("2026-02-28T11:00:00+01:00", "2026-07-31T12:00:00+02:00"),
        "America/New_York": ("2026-02-28T05:00:00-05:00", "2026-07-31T06:00:00-04:00"),
        "Pacific/Chatham": ("2026-02-28T23:45:00+13:45", "2026-07-31T22:45:00+12:45"),
    }[zone]
    assert (upcoming[0]["at_local"], upcoming[5]["at_local"]) == (winter, summer)


def test_the_agenda_lists_subscriptions_by_their_next_boundary(http: httpx.Client, clock: SettableClock) -> None:
    early, late = TimeMachine.at(http, "2026-01-10T00:00:00Z"), TimeMachine.at(http, "2026-01-20T00:00:00Z")
    late_one = late.customer(YEARLY)
    by_the_real_clock = Customer.with_plan(http, MONTHLY)
    early_ones = [early.customer(MONTHLY), early.customer(YEARLY)]
    ending = early.customer(MONTHLY)
    ending.post("cancel", when="term_end")
    early.customer(MONTHLY).post("cancel", when="now")

    listed = [row for page in pages(http, "/v1/renewals", limit=2) for row in page]

    assert [(row["next_boundary_at"], row["subscription_id"]) for row in listed] == [
        *sorted(("2026-02-10T00:00:00Z", each.subscription_id) for each in (*early_ones, ending)),
        ("2026-02-15T12:00:00Z", by_the_real_clock.subscription_id),
        ("2026-02-20T00:00:00Z", late_one.subscription_id),
    ]
    by_id = {row["subscription_id"]: row for row in listed}
    assert by_id[ending.subscription_id]["credits_renew_at"] is None
    assert by_id[ending.subscription_id]["subscription_renews_at"] is None
    assert by_id[late_one.subscription_id] == {
        "subscription_id": late_one.subscription_id,
        "account_id": "account-1",
        "plan_id": YEARLY,
        "status": "active",
        "credits_renew_at": "2026-02-20T00:00:00Z",
        "subscription_renews_at": "2027-01-20T00:00:00Z",
        "next_boundary_at": "2026-02-20T00:00:00Z",
        "test_clock_id": late.test_clock_id,
    }
    before = [row for page in pages(http, "/v1/renewals", before="2026-02-15T12:00:00Z", limit=2) for row in page]
    assert before == listed[:3]


def test_the_agenda_is_as_of_now_while_nothing_is_recorded(http: httpx.Client, clock: SettableClock) -> None:
    first = Customer.with_plan(http, YEARLY)
    clock.advance(days=20)
    second = Customer.with_plan(http, YEARLY)
    ended = Customer.with_plan(http, MONTHLY)
    ended.post("cancel", when="term_end")
    clock.now = datetime(2026, 4, 10, tzinfo=UTC)  # no worker has run

    listed: list[Any] = [row for page in pages(http, "/v1/renewals", limit=1) for row in page]

    assert [(row["subscription_id"], row["next_boundary_at"]) for row in listed] == [
        (first.subscription_id, "2026-04-15T12:00:00Z"),
        (second.subscription_id, "2026-05-04T12:00:00Z"),
    ]
