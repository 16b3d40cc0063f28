"""Keys and scopes, request ids, metrics, readiness: what holds for every route."""

from typing import Any

import httpx
import pytest

from services.http import freshness
from services.http.metrics import CONTENT_TYPE
from services.http.server import limits
from services.keys import SCOPES, CannotChange, KeyRing
from tests.acceptance.server import Customer, Server, plain_client
from tests.waiting import PATIENCE_SECONDS

NOBODY = "5b1f7a3e-90c4-4c55-8f0e-2f6d2a9d7c11"
SUBSCRIPTION = "/v1/subscriptions/0f8fad5b-d9cb-469f-a165-70867728950e"


@pytest.mark.parametrize(
    "authorization",
    [None, "", "Bearer", "Bearer ts_aaaaaaaa_bbbb", "Basic dXNlcjpwYXNz", "Bearer \xff", "ts_a_b"],
)
@pytest.mark.parametrize(
    ("method", "path"), [("GET", f"{SUBSCRIPTION}/balance"), ("POST", f"{SUBSCRIPTION}/charges"), ("GET", "/v1/plans")]
)
def test_a_request_without_a_valid_key_is_refused(
    server: Server, method: str, path: str, authorization: str | None
) -> None:
    headers = [] if authorization is None else [(b"Authorization", authorization.encode("latin-1"))]

    answer = httpx.request(method, server.url + path, headers=headers, content=b"{")

    assert (answer.status_code, answer.json()["code"]) == (401, "unauthenticated")
    assert answer.headers["WWW-Authenticate"] == "Bearer"


@pytest.mark.parametrize(
    ("scope", "method", "path"),
    [
        ("read", "GET", SUBSCRIPTION),
        ("read", "GET", f"{SUBSCRIPTION}/balance"),
        ("read", "GET", f"{SUBSCRIPTION}/renewal"),
        ("read", "GET", f"{SUBSCRIPTION}/charges"),
        ("read", "GET", f"{SUBSCRIPTION}/usage"),
        ("read", "GET", f"{SUBSCRIPTION}/statements"),
        ("read", "GET", f"{SUBSCRIPTION}/statements/1"),
        ("read", "GET", f"{SUBSCRIPTION}/charges/g-1"),
        ("read", "GET", f"{SUBSCRIPTION}/upgrade-preview?plan_id=p"),
        ("read", "GET", "/v1/subscriptions?account_id=a"),
        ("read", "POST", "/v1/quotes"),
        ("read", "GET", "/v1/plans"),
        ("read", "GET", "/v1/plans/p"),
        ("read", "GET", "/v1/rate-cards"),
        ("charge", "POST", f"{SUBSCRIPTION}/charges"),
        ("manage", "POST", "/v1/subscriptions"),
        ("manage", "POST", f"{SUBSCRIPTION}/upgrade"),
        ("manage", "POST", f"{SUBSCRIPTION}/downgrade"),
        ("manage", "POST", f"{SUBSCRIPTION}/cancel"),
        ("manage", "POST", f"{SUBSCRIPTION}/resume"),
        ("manage", "POST", f"{SUBSCRIPTION}/alerts"),
        ("manage", "POST", "/v1/webhooks"),
        ("manage", "GET", "/v1/webhooks"),
        ("manage", "GET", f"/v1/webhooks/{NOBODY}"),
        ("manage", "DELETE", f"/v1/webhooks/{NOBODY}"),
        ("manage", "POST", f"/v1/webhooks/{NOBODY}/rotate"),
        ("manage", "POST", f"/v1/webhooks/{NOBODY}/test"),
        ("manage", "GET", f"/v1/webhooks/{NOBODY}/deliveries"),
        ("manage", "POST", f"/v1/webhooks/{NOBODY}/replay"),
        ("audit", "GET", f"{SUBSCRIPTION}/refusals"),
        ("audit", "GET", f"{SUBSCRIPTION}/events"),
        ("audit", "GET", "/v1/charges"),
        ("audit", "GET", "/v1/usage"),
        ("audit", "GET", "/v1/reports/trial-balance"),
        ("audit", "GET", "/v1/reports/trial-balance/subscriptions"),
        ("audit", "GET", "/v1/events"),
    ],
)
def test_each_operation_requires_its_own_scope(server: Server, scope: str, method: str, path: str) -> None:
    others = [each for each in SCOPES if each != scope]

    with server.client(*others) as without, server.client(scope) as with_it:
        refused, allowed = (client.request(method, path, content=b"{}") for client in (without, with_it))

    assert (refused.status_code, refused.json()["code"], refused.json()["scope"]) == (403, "missing_scope", scope)
    assert allowed.status_code not in {401, 403}


def test_a_revoked_key_stops_within_five_seconds(server: Server) -> None:
    seconds = 100.0
    ring = KeyRing(server.backend.reads, server.backend.schema, "tests", monotonic=lambda: seconds)
    leaver = ring.create("leaver", ["read"])
    secret, before = leaver.key, ring.authenticate(leaver.key)

    ring.revoke(leaver.key_id)
    with pytest.raises(CannotChange):
        ring.revoke(leaver.key_id)
    seconds += 5

    assert before is not None
    assert (ring.known(secret), ring.authenticate(secret)) == (None, None)
    answer = get_plans(server, secret)
    assert answer.status_code == 401


def test_only_the_hash_of_a_key_is_stored(server: Server) -> None:
    secret = server.backend.keys.create("a service", ["read"]).key

    with server.backend.reads.connection() as connection:
        stored = repr(connection.execute("SELECT * FROM tallystick.api_keys").fetchall())

    assert secret.split("_", 2)[2] not in stored


def test_the_bootstrap_key_has_every_scope_and_stays_revoked(server: Server) -> None:
    ring = KeyRing(server.backend.reads, server.backend.schema, "tests")
    ring.ensure_bootstrap("first secret")
    ring.ensure_bootstrap("second secret")
    replaced, current = ring.authenticate("first secret"), ring.authenticate("second secret")

    assert replaced is None
    assert current is not None
    assert (current.key_id, current.scopes) == ("bootstrap", frozenset(SCOPES))
    ring.revoke("bootstrap")
    ring.ensure_bootstrap("second secret")
    assert KeyRing(server.backend.reads, server.backend.schema, "tests").authenticate("second secret") is None


def test_events_name_the_key_and_the_request(server: Server) -> None:
    key = server.backend.keys.create("backend", ["read", "charge", "manage", "audit"])
    headers = {"Authorization": f"Bearer {key.key}", "Request-Id": "trace-1:abc"}
    with plain_client(server.url, headers) as client:
        customer = Customer.with_plan(client, "ai-suite-40000-monthly")
        customer.charge("lyria-3")
        events = customer.get("events")["data"]

    assert [event["metadata"] for event in events] == [{"key_id": key.key_id, "request_id": "trace-1:abc"}] * 3


@pytest.mark.parametrize("path", ["/livez", "/v1/plans", f"{SUBSCRIPTION}/balance", "/nowhere", "/openapi.json"])
def test_every_response_carries_its_request_id(http: httpx.Client, path: str) -> None:
    own = http.get(path, headers={"Request-Id": "trace-1:abc"})
    made_up = [
        http.get(path, headers=headers) for headers in ({}, {"Request-Id": "two words"}, {"Request-Id": "r" * 65})
    ]

    assert own.headers.get_list("Request-Id") == ["trace-1:abc"]
    assert len({answer.headers["Request-Id"] for answer in made_up}) == 3


def test_metrics_count_requests_by_template_and_status(http: httpx.Client) -> None:
    customer = Customer.with_plan(http, "ai-starter-16500-monthly")
    customer.charge("lyria-3")
    customer.try_charge("lyria-3", count=1_000)
    http.get("/nowhere")
    http.request("PROPFIND", "/v1/plans")

    answer = http.get("/metrics")

    def counted(method: str, route: str, status: int) -> str:
        labels = f'method="{method}",route="{route}",status="{status}"'
        return f"tallystick_http_request_seconds_count{{{labels}}} 1.0"

    charges = "/v1/subscriptions/{subscription_id}/charges"
    assert answer.headers["content-type"] == CONTENT_TYPE
    lines = answer.text.splitlines()
    assert counted("POST", "/v1/subscriptions", 201) in lines
    assert counted("POST", charges, 201) in lines
    assert counted("POST", charges, 402) in lines
    assert counted("GET", "unmatched", 404) in lines
    assert counted("OTHER", "unmatched", 405) in lines
    assert "tallystick_lane_waiting_commands 0.0" in lines


def test_a_running_service_is_alive_and_ready(server: Server) -> None:
    answers: list[Any] = [httpx.get(f"{server.url}/{probe}", timeout=PATIENCE_SECONDS) for probe in ("livez", "readyz")]

    assert [answer.status_code for answer in answers] == [200, 200]
    parts = dict.fromkeys(("database", "writable", "migrations", "clock", "writer_lane", "accepting"), True)
    assert answers[1].json() == {
        "status": "ready",
        **parts,
        "projection_lag_events": None,
        "sealing": "ok",
        "unwitnessed_seconds": 0.0,
    }


def test_a_service_without_its_writer_lane_is_not_ready(server: Server) -> None:
    with server.client() as client:
        customer = Customer.with_plan(client, "ai-starter-16500-monthly")
        server.backend.ledger.lane.stop()
        refused = [customer.try_charge(), client.post(f"{customer.path}/cancel", json={"when": "now"})]
        readiness = client.get("/readyz")

    assert [answer.status_code for answer in refused] == [503, 503]
    assert {answer.json()["code"] for answer in refused} == {"unavailable"}
    assert {answer.headers["Retry-After"] for answer in refused} == {"1"}
    assert (readiness.status_code, readiness.json()["writer_lane"]) == (503, False)


def test_while_the_database_is_away_every_request_is_unavailable(server: Server) -> None:
    unseen = server.backend.keys.create("not seen yet", ["read"]).key
    with server.client() as client:
        customer = Customer.with_plan(client, "ai-starter-16500-monthly")
        server.backend.reads.close()
        known = client.get(f"{customer.path}/balance")
        unknown = get_plans(server, unseen)
        readiness = client.get("/readyz")

    assert [answer.status_code for answer in (known, unknown, readiness)] == [503, 503, 503]
    assert [answer.json()["code"] for answer in (known, unknown)] == ["unavailable", "unavailable"]
    assert readiness.json()["database"] is False


def test_the_answer_to_a_defect_shows_nothing_of_it(server: Server, monkeypatch: pytest.MonkeyPatch) -> None:
    def broken(*_arguments: object, **_options: object) -> None:
        raise RuntimeError("the secret of the defect")

    with server.client() as client:
        customer = Customer.with_plan(client, "ai-starter-16500-monthly")
        monkeypatch.setattr("services.http.reads.as_read", broken)
        monkeypatch.setattr("services.http.reads.balance_view", broken)
        answers = [client.get(customer.path), client.get(f"{customer.path}/balance")]

    for answer in answers:
        assert (answer.status_code, answer.json()["code"]) == (500, "internal_error")
        assert answer.json()["request_id"] == answer.headers["Request-Id"]
        assert "secret" not in answer.text


def get_plans(server: Server, secret: str) -> httpx.Response:
    """Read the plans with a key."""
    headers = {"Authorization": f"Bearer {secret}"}
    return httpx.get(f"{server.url}/v1/plans", headers=headers, timeout=PATIENCE_SECONDS)


def test_a_key_that_there_is_not_is_answered_late_and_counted(
    server: Server, http: httpx.Client, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(limits, "FAILED_KEY_PAUSE_SECONDS", 0.1)
    answers = [get_plans(server, "ts_nobody_0123456789") for _ in range(3)]

    assert [answer.status_code for answer in answers] == [401] * 3
    assert min(answer.elapsed.total_seconds() for answer in answers) >= 0.1
    assert "tallystick_failed_keys_total 3.0" in http.get("/metrics").text


def test_a_caller_without_a_key_cannot_make_the_metrics_grow(server: Server, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(freshness, "FRESH_SECONDS", -1.0)
    with httpx.Client(base_url=server.url) as client:
        paths = [*client.get("/openapi.json").json()["paths"]]

        def ask(number: int) -> int:
            for path in paths:
                for method in ("GET", "PUT", "BREW", f"M{number}"):
                    client.request(method, path.replace("}", f"{number}}}"))
            return len(client.get("/metrics").content)

        first = ask(1)
        assert ask(2) - first < 1_000
        assert first < 128 * 1024
