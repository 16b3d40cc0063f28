"""Bad input is refused by name and records nothing."""

import json
from collections.abc import Iterator
from typing import Any, NamedTuple

import httpx
import psycopg
import pytest

from tests.acceptance.server import Customer

CHARGE = {"generation_id": "g-1", "model": "lyria-3"}
START = {"account_id": "account-1", "plan_id": "ai-starter-16500-monthly"}


class Case(NamedTuple):
    """A body for a path below the subscription, or an absolute one, and the problem that it meets."""

    what: str
    path: str
    body: Any
    status: int
    code: str
    field: str | None = None

    def __str__(self) -> str:
        return f"{self.path} {self.what}"


def invalid(what: str, path: str, body: Any, field: str) -> Case:
    return Case(what, path, body, 422, "invalid_request", field)


def malformed(what: str, body: bytes, path: str = "charges") -> Case:
    return Case(what, path, body, 400, "malformed_request")


def bad_settings(what: str, model: str, key: str, **settings: Any) -> Case:
    body = {**CHARGE, "model": model, "settings": settings}
    return Case(f"{what} for {model}", "charges", body, 422, "invalid_settings", f"settings.{key}")


CASES = [
    malformed("without a body", b""),
    malformed("half an object", b'{"generation_id":'),
    malformed("not JSON", b"generation_id=g-1"),
    malformed("something behind the object", json.dumps(CHARGE).encode() + b"x"),
    malformed("not a number", b'{"generation_id":"g-1","model":"lyria-3","settings":{"duration_seconds":NaN}}'),
    malformed("no UTF-8", b'{"generation_id":"g-1","model":"\xff"}'),
    malformed("half a surrogate pair", b'{"generation_id":"g-1","model":"\\ud800"}'),
    malformed("nested beyond reason", b'{"settings":{"duration_seconds":' + b"[" * 50_000),
    malformed("half an object", b"{", "upgrade"),
    invalid("without a body", "upgrade", b"", "plan_id"),
    invalid("without a body", "downgrade", b"", "plan_id"),
    invalid("without a body", "cancel", b"", "when"),
    invalid("without a body", "alerts", b"", "alerts"),
    invalid("without a body", "suspend", b"", "reason"),
    invalid("without a body", "reinstate", b"", "reason"),
    malformed("half an object", b"{", "/v1/subscriptions"),
    malformed("half an object", b"{", "/v1/quotes"),
    invalid("a list", "charges", [CHARGE], "$"),
    invalid("null", "charges", None, "$"),
    invalid("no id", "charges", {"model": "lyria-3"}, "generation_id"),
    invalid("no model", "charges", {"generation_id": "g-1"}, "model"),
    invalid("a number as id", "charges", {**CHARGE, "generation_id": 7}, "generation_id"),
    invalid("null as id", "charges", {**CHARGE, "generation_id": None}, "generation_id"),
    invalid("an empty id", "charges", {**CHARGE, "generation_id": ""}, "generation_id"),
    invalid("an over-long id", "charges", {**CHARGE, "generation_id": "g" * 129}, "generation_id"),
    invalid("an id with a space", "charges", {**CHARGE, "generation_id": "g 1"}, "generation_id"),
    invalid("an id with a line's end", "charges", {**CHARGE, "generation_id": "g-1\n"}, "generation_id"),
    invalid("an id with a NUL", "charges", {**CHARGE, "generation_id": "g\0"}, "generation_id"),
    invalid("an id beyond ASCII", "charges", {**CHARGE, "generation_id": "gé"}, "generation_id"),
    invalid("a model with a NUL", "charges", {**CHARGE, "model": "lyria-3\0"}, "model"),
    invalid("an over-long model", "charges", {**CHARGE, "model": "m" * 129}, "model"),
    invalid("an unknown field", "charges", {**CHARGE, "credits": 0}, "credits"),
    invalid("settings as text", "charges", {**CHARGE, "settings": "count=1"}, "settings"),
    invalid("a count as text", "charges", {**CHARGE, "settings": {"count": "1"}}, "settings.count"),
    invalid("a count as truth", "charges", {**CHARGE, "settings": {"count": True}}, "settings.count"),
    invalid("a fraction as count", "charges", {**CHARGE, "settings": {"count": 1.5}}, "settings.count"),
    invalid(
        "a duration as text",
        "charges",
        {**CHARGE, "settings": {"duration_seconds": "180"}},
        "settings.duration_seconds",
    ),
    invalid(
        "a duration in an object",
        "charges",
        {**CHARGE, "settings": {"duration_seconds": {}}},
        "settings.duration_seconds",
    ),
    invalid(
        "a duration of a thousand digits",
        "charges",
        {**CHARGE, "settings": {"duration_seconds": 10**1_000}},
        "settings.duration_seconds",
    ),
    invalid("a resolution with a NUL", "charges", {**CHARGE, "settings": {"resolution": "1\0"}}, "settings.resolution"),
    bad_settings("an unknown setting", "lyria-3", "foo", foo=1),
    bad_settings("a setting of another rule", "lyria-3", "characters", characters=10),
    bad_settings("a negative duration", "lyria-3", "duration_seconds", duration_seconds=-1),
    bad_settings("no time at all", "example-video-1", "duration_seconds", duration_seconds=0),
    bad_settings("a huge duration", "example-video-1", "duration_seconds", duration_seconds=1e300),
    bad_settings("more than a day", "example-video-1", "duration_seconds", duration_seconds=86_400.001),
    bad_settings("too fine a duration", "example-video-1", "duration_seconds", duration_seconds=1e-300),
    bad_settings("no duration", "example-video-1", "duration_seconds"),
    bad_settings("no generation", "lyria-3", "count", count=0),
    bad_settings("less than none", "lyria-3", "count", count=-1),
    bad_settings("more than bounded", "lyria-3", "count", count=1_001),
    bad_settings("more than a machine word", "lyria-3", "count", count=2**64),
    bad_settings("no characters", "example-voice-1", "characters", characters=0),
    bad_settings("too many characters", "example-voice-1", "characters", characters=10_000_001),
    bad_settings("a size not on the card", "example-image-1", "resolution", resolution="1x1"),
    Case("an unknown model", "charges", {**CHARGE, "model": "lyria-9"}, 422, "unknown_model"),
    Case("a million bytes", "charges", b'{"generation_id":"' + b"g" * 1_000_000, 413, "request_too_large"),
    Case("a million bytes", "upgrade", b'{"plan_id":"' + b"p" * 1_000_000, 413, "request_too_large"),
    invalid("no account", "/v1/subscriptions", {"plan_id": "p"}, "account_id"),
    invalid("an empty account", "/v1/subscriptions", {**START, "account_id": ""}, "account_id"),
    invalid("an over-long account", "/v1/subscriptions", {**START, "account_id": "a" * 129}, "account_id"),
    invalid("an account with a NUL", "/v1/subscriptions", {**START, "account_id": "a\0"}, "account_id"),
    invalid("an account with a tab", "/v1/subscriptions", {**START, "account_id": "a\tb"}, "account_id"),
    invalid("no UUID", "/v1/subscriptions", {**START, "subscription_id": "1"}, "subscription_id"),
    invalid("the nil UUID", "/v1/subscriptions", {**START, "subscription_id": "0" * 32}, "subscription_id"),
    invalid("an unknown field", "/v1/subscriptions", {**START, "credits": 5}, "credits"),
    Case("an unknown plan", "/v1/subscriptions", {**START, "plan_id": "max-pro-1"}, 422, "unknown_plan"),
    Case(
        "a test clock where there are none",
        "/v1/subscriptions",
        {**START, "test_clock_id": "clock-1"},
        404,
        "test_clocks_disabled",
    ),
    invalid("no plan", "upgrade", {}, "plan_id"),
    invalid("a plan with a NUL", "upgrade", {"plan_id": "p\0"}, "plan_id"),
    invalid("a reference with a NUL", "upgrade", {"plan_id": "p", "billing_reference": "\0"}, "billing_reference"),
    invalid("a reference over-long", "upgrade", {"plan_id": "p", "billing_reference": "r" * 256}, "billing_reference"),
    Case("an unknown plan", "upgrade", {"plan_id": "max-pro-1"}, 422, "unknown_plan"),
    Case("an unknown plan", "downgrade", {"plan_id": "max-pro-1"}, 422, "unknown_plan"),
    Case("a lower plan", "upgrade", {"plan_id": "ai-starter-7500-monthly"}, 409, "not_an_upgrade"),
    Case("a higher plan", "downgrade", {"plan_id": "max-pro-40000-monthly"}, 409, "not_a_downgrade"),
    Case("nothing scheduled", "resume", {}, 409, "nothing_scheduled"),
    invalid("never", "cancel", {"when": "never"}, "when"),
    invalid("no when", "cancel", {}, "when"),
    invalid("an unknown field", "resume", {"when": "now"}, "when"),
    invalid("no model", "/v1/quotes", {}, "model"),
    Case("an unknown model", "/v1/quotes", {"model": "lyria-9"}, 422, "unknown_model"),
    Case(
        "an unknown subscription",
        "/v1/quotes",
        {"model": "lyria-3", "subscription_id": "7" * 32},
        404,
        "unknown_subscription",
    ),
]


@pytest.fixture
def customer(http: httpx.Client) -> Customer:
    return Customer.with_plan(http, "ai-starter-16500-monthly")


def recorded(database_url: str) -> tuple[Any, ...]:
    """Count the rows of the ledger and of every table beside it."""
    with psycopg.connect(database_url) as connection:
        row = connection.execute(
            "SELECT (SELECT count(*) FROM tallystick.ledger_events), (SELECT last_id FROM tallystick.head),"
            " (SELECT count(*) FROM tallystick.balance), (SELECT count(*) FROM tallystick.charges),"
            " (SELECT count(*) FROM tallystick.refusals)"
        ).fetchone()
    assert row is not None
    return row


def test_bad_bodies_are_refused_by_name_and_nothing_is_recorded(customer: Customer, database_url: str) -> None:
    before = recorded(database_url)
    actual, expected = [], []

    for case in CASES:
        path = case.path if case.path.startswith("/") else f"{customer.path}/{case.path}"
        body = case.body if isinstance(case.body, bytes) else json.dumps(case.body).encode()
        answer = customer.http.post(path, content=body)
        problem = answer.json()
        named = problem["errors"][0]["field"] if case.field and "errors" in problem else None
        actual.append((str(case), answer.status_code, problem["code"], named))
        expected.append((str(case), case.status, case.code, case.field))
        assert answer.headers["content-type"] == "application/problem+json"
        assert problem["status"] == answer.status_code

    assert actual == expected
    assert recorded(database_url) == before


@pytest.mark.parametrize(
    ("path", "field"),
    [
        ("charges?limit=0", "limit"),
        ("charges?limit=1001", "limit"),
        ("charges?limit=ten", "limit"),
        ("charges?limit=1.0", "limit"),
        ("charges?limit=99999999999999999999", "limit"),
        ("charges?limit=1&limit=2", "limit"),
        ("charges?cursor=x", "cursor"),
        ("charges?cursor=WzEsMl0=", "cursor"),
        ("charges?cursor=%F0%9F%8E%B5", "cursor"),
        ("charges?from=yesterday", "from"),
        ("charges?from=5", "from"),
        ("charges?to=2026-01-15T12:00:00", "to"),
        ("charges?asset_type=smell", "asset_type"),
        ("charges?cycle=-1", "cycle"),
        ("charges?model=%00", "model"),
        ("charges?page=2", "page"),
        ("events?after_version=-1", "after_version"),
        ("events?type=%00", "type"),
        ("events?type=Nope", "type"),
        ("events?type=generationcharged", "type"),
        ("events?type=", "type"),
        ("/v1/events?type=Nope", "type"),
        ("renewal?tz=Europe/Atlantis", "tz"),
        ("renewal?tz=../../etc/passwd", "tz"),
        ("renewal?tz=%00", "tz"),
        ("renewal?tz=Europe", "tz"),
        ("renewal?tz=localtime", "tz"),
        ("renewal?tz=Factory", "tz"),
        ("renewal?tz=posixrules", "tz"),
        ("renewal?tz=posix/Europe/Rome", "tz"),
        ("renewal?tz=europe/rome", "tz"),
        ("upgrade-preview", "plan_id"),
        ("balance?tz=UTC", "tz"),
        ("?verbose=1", "verbose"),
        ("/v1/plans?limit=1", "limit"),
        ("/v1/subscriptions?account_id=%00", "account_id"),
        ("/v1/charges?generation_id=%00", "generation_id"),
        ("/v1/events?after_position=9223372036854775808", "after_position"),
    ],
)
def test_bad_queries_are_refused_by_name(customer: Customer, path: str, field: str) -> None:
    answer = customer.http.get(path if path.startswith("/") else f"{customer.path}/{path}".replace("/?", "?"))

    assert (answer.status_code, answer.json()["code"]) == (422, "invalid_request")
    assert [error["field"] for error in answer.json()["errors"]] == [field]


@pytest.mark.parametrize(
    ("headers", "field"),
    [
        ({"Idempotency-Key": ""}, "Idempotency-Key"),
        ({"Idempotency-Key": "k" * 256}, "Idempotency-Key"),
        ({"Idempotency-Key": "two words"}, "Idempotency-Key"),
        ({"If-Match": "7"}, "If-Match"),
        ({"If-Match": ""}, "If-Match"),
        ({"If-Match": ","}, "If-Match"),
        ({"If-Match": '"2'}, "If-Match"),
        ({"If-Match": '" 2"'}, "If-Match"),
        ({"If-Match": '"2" "3"'}, "If-Match"),
        ({"If-Match": '*, "2"'}, "If-Match"),
        ({"If-Match": 'w/"2"'}, "If-Match"),
    ],
)
def test_bad_headers_are_refused_by_name(customer: Customer, headers: dict[str, str], field: str) -> None:
    answer = customer.http.post(f"{customer.path}/cancel", json={"when": "term_end"}, headers=headers)

    assert (answer.status_code, answer.json()["code"]) == (422, "invalid_request")
    assert [error["field"] for error in answer.json()["errors"]] == [field]
    assert customer.get()["status"] == "active"


@pytest.mark.parametrize("id", ["1", "%00", "0f8fad5b-d9cb-469f-a165-70867728950e", "urn:uuid:0f8fad5b", "..%2F.."])
@pytest.mark.parametrize("resource", ["", "/balance", "/renewal", "/charges", "/events", "/refusals"])
def test_an_id_that_no_subscription_has_is_unknown(http: httpx.Client, id: str, resource: str) -> None:
    answer = http.get(f"/v1/subscriptions/{id}{resource}")

    assert answer.status_code == 404
    assert answer.json()["code"] == "unknown_subscription" or "%2F" in id


@pytest.mark.parametrize(
    ("resource", "body"),
    [
        ("charges", CHARGE),
        ("upgrade", {"plan_id": "ai-suite-40000-monthly"}),
        ("downgrade", {"plan_id": "ai-starter-7500-monthly"}),
        ("cancel", {"when": "now"}),
        ("resume", {}),
    ],
)
def test_commands_to_an_unknown_subscription_start_none(
    http: httpx.Client, database_url: str, resource: str, body: dict[str, str]
) -> None:
    answer = http.post(f"/v1/subscriptions/0f8fad5b-d9cb-469f-a165-70867728950e/{resource}", json=body)

    assert (answer.status_code, answer.json()["code"]) == (404, "unknown_subscription")
    assert recorded(database_url) == (0, 0, 0, 0, 0)


@pytest.mark.parametrize(
    ("method", "path", "status", "code", "allow"),
    [
        ("GET", "/", 404, "not_found", None),
        ("GET", "/v1/plans/", 404, "not_found", None),
        ("GET", "/v1/nothing", 404, "not_found", None),
        ("GET", "/v1/plans/max-pro-1", 404, "unknown_plan", None),
        ("DELETE", "/v1/plans", 405, "method_not_allowed", "GET"),
        (
            "PUT",
            "/v1/subscriptions/0f8fad5b-d9cb-469f-a165-70867728950e/charges",
            405,
            "method_not_allowed",
            "GET, POST",
        ),
        ("POST", "/v1/subscriptions/0f8fad5b-d9cb-469f-a165-70867728950e/balance", 405, "method_not_allowed", "GET"),
    ],
)
def test_unknown_paths_and_methods_are_problems(
    http: httpx.Client, method: str, path: str, status: int, code: str, allow: str | None
) -> None:
    answer = http.request(method, path)

    assert (answer.status_code, answer.json()["code"], answer.headers.get("allow")) == (status, code, allow)
    assert answer.json()["request_id"] == answer.headers["Request-Id"]


def test_a_body_of_unknown_length_is_cut_off_at_the_limit(customer: Customer) -> None:
    def endless() -> Iterator[bytes]:
        for _ in range(1_000):
            yield b" " * 1_000

    answer = customer.http.post(f"{customer.path}/charges", content=endless())

    assert (answer.status_code, answer.json()["code"]) == (413, "request_too_large")
    assert answer.json()["limit_bytes"] == 64 * 1024


def test_the_content_type_does_not_matter_where_the_body_is_json(customer: Customer) -> None:
    headers = {"Content-Type": "text/plain"}

    answer = customer.http.post(f"{customer.path}/charges", content=json.dumps(CHARGE), headers=headers)

    assert answer.status_code == 201
