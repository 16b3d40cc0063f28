"""The past of a subscription, over HTTP and on the command line."""

import json
from collections.abc import Callable
from functools import partial
from pathlib import Path
from subprocess import CompletedProcess
from uuid import uuid4

import httpx
import pytest
from psycopg import OperationalError

from services.ledger.recorder import Recorder
from tests.acceptance.server import Customer, Server
from tests.conftest import SettableClock
from tests.processes import tallystick

AsOf = Callable[..., CompletedProcess[str]]


@pytest.fixture
def as_of(database_url: str, tmp_path: Path) -> AsOf:
    """Runs `tallystick as-of` on the test's ledger."""
    return partial(tallystick, "as-of", folder=tmp_path, database_url=database_url)


@pytest.fixture
def customer(http: httpx.Client) -> Customer:
    return Customer.with_plan(http, "ai-suite-40000-monthly")


def test_a_subscription_is_shown_as_it_was_at_an_instant(customer: Customer, clock: SettableClock) -> None:
    clock.advance(microseconds=1)
    customer.charge("lyria-3")
    then = customer.get(), customer.get("balance"), customer.get("events")["data"][-1]
    clock.advance(microseconds=1)
    customer.charge("lyria-3-pro")
    clock.advance(days=60)
    customer.post("upgrade", plan_id="max-pro-240000-yearly")

    past = customer.get("as-of", at="2026-01-15T12:00:00.000001Z")

    assert past == {"subscription": then[0], "balance": then[1], "last_event": then[2]}
    assert past["balance"]["balance_credits"] == 39_850
    assert past["balance"]["as_of"] == "2026-01-15T12:00:00.000001Z"
    assert customer.get("as-of", at="2026-01-15T13:00:00.000001+01:00") == past


def test_a_version_is_shown_as_its_event_left_it(customer: Customer, clock: SettableClock) -> None:
    clock.advance(seconds=1)
    charge = customer.charge("lyria-3")
    customer.charge("lyria-3")

    past = customer.get("as-of", version=charge["version"])

    assert past["last_event"]["data"]["generation_id"] == charge["generation_id"]
    assert past["balance"]["balance_credits"] == charge["balance_after"]
    assert (past["subscription"]["version"], past["balance"]["version"]) == (3, 3)
    assert past["balance"]["as_of"] == charge["charged_at"]


def test_an_unrecorded_reset_shows_from_its_instant_on(customer: Customer, clock: SettableClock) -> None:
    customer.charge("lyria-3")
    clock.advance(days=40)

    before = customer.get("as-of", at="2026-02-15T11:59:59.999999Z")["balance"]
    then = customer.get("as-of", at="2026-02-15T12:00:00Z")["balance"]

    assert (before["balance_credits"], before["cycle"]["number"]) == (39_850, 1)
    assert (then["balance_credits"], then["cycle"]["number"]) == (40_000, 2)
    assert (before["version"], then["version"], then["position"]) == (3, 3, 3), "a reset and a renewal are only due"


def test_before_its_start_there_was_no_subscription(customer: Customer) -> None:
    answer = customer.http.get(f"{customer.path}/as-of", params={"at": "2026-01-15T11:59:59.999999Z"})

    assert answer.status_code == 404
    assert answer.json()["code"] == "unknown_subscription"
    assert answer.json()["started_at"] == "2026-01-15T12:00:00Z"


@pytest.mark.parametrize(
    ("query", "field"),
    [
        ({"at": "2026-01-15T12:00:00.000001Z"}, "at"),
        ({"at": "2026-01-15T12:00:00"}, "at"),
        ({"at": "yesterday"}, "at"),
        ({"version": "3"}, "version"),
        ({"version": "0"}, "version"),
        ({"version": "one"}, "version"),
        ({}, "at"),
        ({"at": "2026-01-15T12:00:00Z", "version": "1"}, "at"),
        ({"when": "2026-01-15T12:00:00Z"}, "when"),
    ],
)
def test_a_moment_that_cannot_be_shown_names_the_parameter(
    customer: Customer, query: dict[str, str], field: str
) -> None:
    answer = customer.http.get(f"{customer.path}/as-of", params=query)

    assert answer.status_code == 422
    assert answer.json()["code"] == "invalid_request"
    assert answer.json()["errors"][0]["field"] == field


def test_an_unknown_subscription_has_no_past(http: httpx.Client) -> None:
    for query in ({"at": "2026-01-15T12:00:00Z"}, {"version": "1"}):
        answer = http.get(f"/v1/subscriptions/{uuid4()}/as-of", params=query)
        assert (answer.status_code, answer.json()["code"]) == (404, "unknown_subscription")


def test_the_past_is_unavailable_while_the_database_is(
    server: Server, customer: Customer, monkeypatch: pytest.MonkeyPatch
) -> None:
    def head(*_arguments: object) -> None:
        raise OperationalError("the server does not answer")

    monkeypatch.setattr(Recorder, "head", head)

    answer = customer.http.get(f"{customer.path}/as-of", params={"version": 1})

    assert (answer.status_code, answer.json()["code"], answer.headers["retry-after"]) == (503, "unavailable", "1")


def test_the_past_requires_the_scope_to_audit(server: Server, customer: Customer) -> None:
    with server.client("read", "charge", "manage", "dispute") as other:
        answer = other.get(f"{customer.path}/as-of", params={"version": 1})

    assert (answer.status_code, answer.json()["scope"]) == (403, "audit")


def test_the_command_line_shows_the_same(customer: Customer, as_of: AsOf) -> None:
    customer.charge("lyria-3")

    shown = as_of(customer.subscription_id, "--version", "3", "--json")
    output = as_of(customer.subscription_id, "--at", "2026-01-15T12:00:00Z")

    assert json.loads(shown.stdout) == customer.get("as-of", version=3)
    assert "  balance     39,850 credits\n" in output.stdout
    assert "  last event  version 3, position 3: GenerationCharged at 2026-01-15T12:00:00Z\n" in output.stdout


@pytest.mark.parametrize(
    ("arguments", "status", "error"),
    [
        (("--at", "2026-01-15T11:00:00Z"), 1, "it started at 2026-01-15T12:00:00+00:00"),
        (("--at", "9000-01-01T00:00:00Z"), 1, "--at must not be after now"),
        (("--version", "9"), 1, "the versions are 1 to 2"),
        ((), 2, "either --at or --version"),
        (("--at", "2026-01-15T12:00:00"), 2, "with its offset from UTC"),
        (("--at", "x", "--version", "1"), 2, "either --at or --version"),
    ],
)
def test_the_command_line_explains_what_it_cannot_show(
    customer: Customer, as_of: AsOf, arguments: tuple[str, ...], status: int, error: str
) -> None:
    output = as_of(customer.subscription_id, *arguments)

    assert (output.returncode, output.stdout) == (status, "")
    assert error in output.stderr


@pytest.mark.usefixtures("customer")
def test_the_command_line_refuses_an_unknown_subscription(as_of: AsOf) -> None:
    output = as_of(str(uuid4()), "--version", "1")

    assert output.returncode == 1
    assert "There is no subscription" in output.stderr
