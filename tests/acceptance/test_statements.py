"""Statements: what moved the balance in each cycle, line by line, and in every form."""

import csv
import io
import json
from typing import Any
from uuid import UUID, uuid4

import httpx
import pytest

from services.catalogue import load_catalogue
from services.catalogue.packaged import packaged
from services.http.routes import statements
from services.ledger.ledger import Ledger
from services.subscription.commands import AdjustCredits
from tests.acceptance.holding import TRACK, VIDEO, capture, hold, release
from tests.acceptance.server import Customer, Listener, Server, pages, running_server
from tests.conftest import SettableClock
from tests.integration.time.fleet import BY

SUITE = "ai-suite-40000-monthly"
PRO_TRACK = {"model": "lyria-3-pro"}


def statement(customer: Customer, cycle: int) -> dict[str, Any]:
    """Read a statement, whose lines must add up to its figures and to its closing."""
    shown: dict[str, Any] = customer.get(f"statements/{cycle}")
    balance, sums = shown["opening_credits"], dict.fromkeys(("granted", "used", "reversed", "lapsed", "held"), 0)
    for line in shown["lines"]:
        balance += line["credits"]
        assert line["balance_after"] == balance
        match line["kind"]:
            case "charged" | "brought_along":
                sums["used"] -= line["credits"]
            case "adjusted":
                sums["reversed" if line["credits"] > 0 else "used"] += abs(line["credits"])
            case "lapsed":
                sums["lapsed"] -= line["credits"]
            case "held_over":
                sums["held"] -= line["credits"]
            case "late":
                assert line["credits"] == 0
            case kind:
                sums[kind] += line["credits"]
    assert shown["closing_credits"] == balance
    assert {name: shown[f"{name}_credits"] for name in sums} == sums
    return shown


def moves(shown: dict[str, Any]) -> list[tuple[str, int]]:
    """The kinds and credits of the lines."""
    return [(line["kind"], line["credits"]) for line in shown["lines"]]


def give_back(customer: Customer, generation_id: str, **decision: Any) -> None:
    """Open a dispute and uphold it."""
    dispute = {"subscription_id": customer.subscription_id, "generation_id": generation_id, "note": "?"}
    opened = customer.http.post("/v1/disputes", json={**dispute, "reason": "other"})
    decided = {"outcome": "upheld", "note": "Yes.", "credit_to": "current_cycle", **decision}
    assert customer.http.post(f"{opened.headers['Location']}/resolve", json=decided).status_code == 200


def test_a_charge_and_what_was_given_back_of_it_are_lines(http: httpx.Client, clock: SettableClock) -> None:
    customer = Customer.with_plan(http, SUITE)
    customer.post("charges", generation_id="song", member="ada", **TRACK)
    clock.advance(hours=1)
    give_back(customer, "song", credits=100)

    shown = statement(customer, 1)

    assert {name: value for name, value in shown.items() if name != "lines"} == {
        "subscription_id": customer.subscription_id,
        "cycle": 1,
        "plan_id": SUITE,
        "opening_credits": 0,
        "granted_credits": 40_000,
        "carried_credits": 0,
        "used_credits": 150,
        "reversed_credits": 100,
        "lapsed_credits": 0,
        "held_credits": 0,
        "closing_credits": 39_950,
        "first_version": 1,
        "last_version": 4,
    }
    granted, charged, reversed_line = shown["lines"]
    assert (granted["kind"], granted["credits"], granted["balance_after"]) == ("granted", 40_000, 40_000)
    assert charged == {
        "at": "2026-01-15T12:00:00Z",
        "kind": "charged",
        "credits": -150,
        "balance_after": 39_850,
        "text": "150 credits for music with lyria-3, by ada.",
        "generation_id": "song",
    }
    assert reversed_line == {
        "at": "2026-01-15T13:00:00Z",
        "kind": "reversed",
        "credits": 100,
        "balance_after": 39_950,
        "text": "100 credits were given back for song.",
        "generation_id": "song",
    }


def test_at_a_reset_what_is_left_lapses_what_is_held_stays_and_the_allowance_is_granted(
    http: httpx.Client, clock: SettableClock
) -> None:
    customer = Customer.with_plan(http, SUITE)
    clock.advance(days=30, hours=23)
    for id in ("captured", "released", "expired"):
        hold(customer, id, **VIDEO, expires_in_seconds=7_200)
    for id in ("in-time", "out-of-time"):
        hold(customer, id, **TRACK, expires_in_seconds=1_800)
    capture(customer, "in-time")
    clock.advance(minutes=90)
    capture(customer, "captured")
    release(customer, "released", reason="failed")
    clock.advance(hours=1)

    first, second = statement(customer, 1), statement(customer, 2)

    assert moves(first) == [("granted", 40_000), ("charged", -150)]
    assert moves(second) == [("lapsed", -39_400), ("held_over", -450), ("granted", 40_000), *[("late", 0)] * 3]
    assert first["closing_credits"] == second["opening_credits"] == 39_850
    assert second["closing_credits"] == customer.get("balance")["balance_credits"] == 40_000
    assert [line["generation_id"] for line in second["lines"][3:]] == ["captured", "released", "expired"]
    assert [line["at"] for line in second["lines"][:3]] == ["2026-02-15T12:00:00Z"] * 3
    assert first["last_version"] + 1 == second["first_version"]
    assert customer.get("charges/captured")["cycle_number"] == 1, "and is used in no statement"


def test_what_was_used_before_moving_in_is_brought_along(http: httpx.Client) -> None:
    body = {"subscription_id": str(uuid4()), "account_id": "account-1", "plan_id": SUITE}
    moved = http.post("/v1/subscriptions", json={**body, "anchor_at": "2025-10-31T10:00:00Z", "used_credits": 1_000})
    assert moved.status_code == 201

    shown = statement(Customer(http, body["subscription_id"]), 1)

    assert moves(shown) == [("granted", 40_000), ("brought_along", -1_000)]
    assert shown["used_credits"] == 1_000


def test_a_correction_of_the_operator_is_a_line(http: httpx.Client, server: Server) -> None:
    customer = Customer.with_plan(http, SUITE)
    customer.charge()
    ledger: Ledger = server.backend.ledger
    for credited, run_id in ((-50, "run-1"), (20, "run-2")):
        ledger.execute(UUID(customer.subscription_id), AdjustCredits(credited, run_id, "A price was wrong."), BY)

    shown = statement(customer, 1)

    assert moves(shown)[2:] == [("adjusted", -50), ("adjusted", 20)]
    assert (shown["used_credits"], shown["reversed_credits"]) == (200, 20)
    assert shown["lines"][-1]["text"] == "20 credits were adjusted: A price was wrong."


@pytest.mark.parametrize(
    ("policy", "lines", "carried"),
    [
        ("deduct_used", [("granted", 200_000)], 39_000),
        ("add_leftover", [("granted", 240_000)], 39_000),
        ("fresh", [("lapsed", -39_000), ("granted", 240_000)], 0),
    ],
)
def test_an_upgrade_begins_a_statement_by_its_policy(
    listener: Listener,
    database_url: str,
    clock: SettableClock,
    policy: str,
    lines: list[tuple[str, int]],
    carried: int,
) -> None:
    chosen = packaged().replace('upgrade_policy = "deduct_used"', f'upgrade_policy = "{policy}"')
    with (
        running_server(listener, database_url, load_catalogue(chosen, "chosen"), clock) as server,
        server.client() as http,
    ):
        customer = Customer.with_plan(http, SUITE)
        customer.use(1_000)
        clock.advance(days=3)
        customer.post("upgrade", plan_id="max-pro-240000-monthly")

        before, after = statement(customer, 1), statement(customer, 2)

    assert (before["plan_id"], after["plan_id"]) == (SUITE, "max-pro-240000-monthly")
    assert before["closing_credits"] == after["opening_credits"] == 39_000
    assert moves(after) == lines
    assert after["carried_credits"] == carried


def test_an_upgrade_to_less_than_is_left_lets_the_difference_lapse(http: httpx.Client, clock: SettableClock) -> None:
    customer = Customer.with_plan(http, "ai-starter-16500-monthly")
    customer.charge()
    customer.post("upgrade", plan_id="ai-suite-40000-monthly")
    give_back(customer, customer.get("charges")["data"][0]["generation_id"])
    customer.post("upgrade", plan_id="max-pro-40000-monthly")

    assert moves(statement(customer, 3)) == [("granted", 0)], "40,000 as before: the upgrade has its line"


def test_what_is_due_is_in_the_statement_and_versions_are_null_until_it_is_recorded(
    http: httpx.Client, clock: SettableClock
) -> None:
    customer = Customer.with_plan(http, SUITE)
    customer.charge()
    clock.advance(days=62)

    third, second, first = customer.get("statements")["data"]

    assert (first["first_version"], first["last_version"]) == (1, 3)
    for shown, at in ((second, "2026-02-15T12:00:00Z"), (third, "2026-03-15T12:00:00Z")):
        assert (shown["first_version"], shown["last_version"]) == (None, None)
        assert {line["at"] for line in shown["lines"]} == {at}
        assert shown["closing_credits"] == 40_000
    lines = [statement(customer, cycle)["lines"] for cycle in (1, 2, 3)]
    customer.charge()
    assert [statement(customer, cycle)["lines"] for cycle in (1, 2)] == lines[:2], "recorded or not"
    assert statement(customer, 3)["lines"][:-1] == lines[2]
    assert statement(customer, 3)["first_version"] == 6


@pytest.mark.parametrize("when", ["now", "term_end"])
def test_the_lapse_of_an_end_stands_in_the_last_statement(http: httpx.Client, clock: SettableClock, when: str) -> None:
    customer = Customer.with_plan(http, SUITE)
    hold(customer, "job", **VIDEO, expires_in_seconds=604_800)
    customer.post("cancel", when=when)
    clock.advance(days=0 if when == "now" else 31)

    shown = statement(customer, 1)

    expected = [("granted", 40_000), ("lapsed", -39_850), ("held_over", -150)]
    assert moves(shown) == (expected if when == "now" else [("granted", 40_000), ("lapsed", -40_000)])
    assert shown["closing_credits"] == 0
    assert len(customer.get("statements")["data"]) == 1


def test_a_scheduled_plan_is_that_of_the_statement_that_its_term_begins(
    http: httpx.Client, clock: SettableClock
) -> None:
    customer = Customer.with_plan(http, SUITE)
    customer.post("downgrade", plan_id="ai-starter-7500-monthly")
    clock.advance(days=31)

    assert [each["plan_id"] for each in customer.get("statements")["data"]] == ["ai-starter-7500-monthly", SUITE]
    customer.try_charge("example-voice-1", "words", characters=1_000)
    assert [each["plan_id"] for each in customer.get("statements")["data"]] == ["ai-starter-7500-monthly", SUITE]


def test_statements_come_in_pages_newest_first(
    http: httpx.Client, clock: SettableClock, catch_up: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    customer = Customer.with_plan(http, SUITE)
    for _ in range(4):
        customer.charge()
        clock.advance(days=31)
    path = f"{customer.path}/statements"
    whole = customer.get("statements")["data"]

    assert [each["cycle"] for each in whole] == [5, 4, 3, 2, 1]
    assert whole == [statement(customer, each["cycle"]) for each in whole]
    assert [len(page) for page in pages(http, path, limit=2)] == [2, 2, 1]
    monkeypatch.setattr(statements, "LINES_A_PAGE", 5)
    assert [each for page in pages(http, path) for each in page] == whole, "a page ends where lines are many"
    assert len(http.get(path).json()["data"]) == 2
    catch_up()
    assert [each for page in pages(http, path) for each in page] == whole, "whether the projector has come there or not"


def test_as_csv_a_statement_is_its_lines_and_the_list_its_figures(http: httpx.Client, clock: SettableClock) -> None:
    customer = Customer.with_plan(http, SUITE)
    customer.charge()
    clock.advance(days=31)
    shown = statement(customer, 1)

    answer = http.get(f"{customer.path}/statements/1", headers={"Accept": "text/csv"})

    assert answer.headers["content-type"] == "text/csv; charset=utf-8"
    rows = list(csv.DictReader(io.StringIO(answer.text, newline="")))
    assert [(row["kind"], int(row["credits"]), int(row["balance_after"]), row["text"]) for row in rows] == [
        (line["kind"], line["credits"], line["balance_after"], line["text"]) for line in shown["lines"]
    ]
    assert {(row["subscription_id"], row["cycle"]) for row in rows} == {(customer.subscription_id, "1")}
    listed = http.get(f"{customer.path}/statements", headers={"Accept": "text/csv"}).text
    figures = [*csv.DictReader(io.StringIO(listed, newline=""))]
    assert [row["cycle"] for row in figures] == ["2", "1"]
    assert figures[1] == {name: str(value) for name, value in shown.items() if name != "lines"}
    assert (figures[0]["first_version"], figures[0]["last_version"]) == ("", "")


def test_as_json_lines_a_statement_is_its_lines_and_the_list_its_statements(http: httpx.Client) -> None:
    customer = Customer.with_plan(http, SUITE)
    customer.charge()
    ndjson = {"Accept": "application/x-ndjson"}

    lines = http.get(f"{customer.path}/statements/1", headers=ndjson).text.splitlines()
    listed = http.get(f"{customer.path}/statements", headers=ndjson).text.splitlines()

    assert [json.loads(line) for line in lines] == statement(customer, 1)["lines"]
    assert [json.loads(line) for line in listed] == [statement(customer, 1)]


def test_a_statement_names_the_newest_checkpoint_that_covers_it(http: httpx.Client, server: Server) -> None:
    customer = Customer.with_plan(http, SUITE)
    assert "checkpoint" not in statement(customer, 1)
    server.seal()
    note = http.get("/v1/checkpoints/latest").text
    assert statement(customer, 1)["checkpoint"] == note

    customer.charge()

    assert "checkpoint" not in statement(customer, 1), "the charge is not covered"


def test_a_browser_gets_a_page_to_print_that_runs_and_loads_nothing(http: httpx.Client, server: Server) -> None:
    customer = Customer.with_plan(http, SUITE)
    customer.post("charges", generation_id="song", **TRACK)
    server.seal()
    browser = {"Accept": "text/html,application/xhtml+xml,application/xml;q=0.9,*/*;q=0.8"}

    answer = http.get(f"{customer.path}/statements/1", headers=browser)

    assert answer.headers["content-type"] == "text/html; charset=utf-8"
    assert answer.headers["cache-control"] == "no-store"
    policy = answer.headers["content-security-policy"]
    assert policy.startswith("default-src 'none'; style-src 'sha256-")
    assert "unsafe" not in policy
    page = answer.text
    assert page.count("<h1>") == 1
    assert "<script" not in page
    assert 'style="' not in page
    told = "150 credits for music with lyria-3."
    for text in (customer.subscription_id, told, "39,850", "\N{MINUS SIGN}150", "song"):
        assert text in page, text
    assert http.get("/v1/checkpoints/latest").text.splitlines()[2] in page
    assert "Cycle 1" in http.get(f"{customer.path}/statements", headers=browser).text


def test_what_a_page_quotes_is_escaped(http: httpx.Client, server: Server) -> None:
    customer = Customer.with_plan(http, SUITE)
    server.backend.ledger.execute(UUID(customer.subscription_id), AdjustCredits(5, "run-1", "<b>bold</b> & more"), BY)

    page = http.get(f"{customer.path}/statements/1", headers={"Accept": "text/html"}).text

    assert "&lt;b&gt;bold&lt;/b&gt; &amp; more" in page


@pytest.mark.parametrize("cycle", ["2", "0", "-1", "one", "1.0", "99999999999999999999"])
def test_an_unknown_cycle_is_not_found(http: httpx.Client, cycle: str) -> None:
    answer = http.get(f"{Customer.with_plan(http, SUITE).path}/statements/{cycle}")

    assert (answer.status_code, answer.json()["code"]) == (404, "unknown_cycle")


@pytest.mark.parametrize("path", ["statements", "statements/1"])
def test_statements_of_an_unknown_subscription_are_not_found(http: httpx.Client, path: str) -> None:
    answer = http.get(f"/v1/subscriptions/0f8fad5b-d9cb-469f-a165-70867728950e/{path}")

    assert (answer.status_code, answer.json()["code"]) == (404, "unknown_subscription")
