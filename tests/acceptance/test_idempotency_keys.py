"""`Idempotency-Key`: the same key and body again repeats the first answer, and does nothing."""

from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import httpx
import pytest

from services.catalogue import Catalogue
from tests.acceptance.server import Customer, Listener, Server
from tests.acceptance.time_travel import server_with_clocks
from tests.conftest import SettableClock

START = {"account_id": "account-1", "plan_id": "ai-suite-40000-monthly"}
KEY = {"Idempotency-Key": "order-1"}


@pytest.fixture
def customer(http: httpx.Client) -> Customer:
    return Customer.with_plan(http, "ai-suite-40000-monthly")


def test_a_start_without_an_id_is_safely_repeated(http: httpx.Client) -> None:
    with ThreadPoolExecutor(20) as clients:
        answers = list(clients.map(lambda _: http.post("/v1/subscriptions", json=START, headers=KEY), range(20)))

    assert [answer.status_code for answer in answers] == [201] * 20
    assert len({answer.content for answer in answers}) == 1
    assert len({answer.headers["Location"] for answer in answers}) == 1
    assert [answer.headers.get("Idempotent-Replayed") for answer in answers].count(None) == 1
    assert len(http.get("/v1/subscriptions", params={"account_id": "account-1"}).json()["data"]) == 1


@pytest.mark.parametrize(
    ("resource", "body"),
    [
        ("upgrade", {"plan_id": "max-pro-240000-monthly"}),
        ("downgrade", {"plan_id": "ai-starter-16500-monthly"}),
        ("cancel", {"when": "now"}),
    ],
)
def test_the_first_answer_is_repeated(customer: Customer, resource: str, body: dict[str, Any]) -> None:
    first = customer.http.post(f"{customer.path}/{resource}", json=body, headers=KEY)
    events = customer.events()

    again = customer.http.post(f"{customer.path}/{resource}", json=body, headers=KEY)

    assert (again.status_code, again.content) == (first.status_code, first.content)
    assert again.headers["content-type"] == first.headers["content-type"]
    assert again.headers.get("ETag") == first.headers.get("ETag")
    assert (first.headers.get("Idempotent-Replayed"), again.headers["Idempotent-Replayed"]) == (None, "true")
    assert customer.events() == events


def test_a_refusal_is_not_kept(customer: Customer) -> None:
    """The same request succeeds once it can; another one under its key is refused."""
    tracks = [
        {"subscription_id": customer.subscription_id, "generation_id": f"g-{n}", "model": "lyria-3"} for n in range(266)
    ]
    customer.http.post("/v1/charges/batch", json={"charges": tracks})
    path, body = f"{customer.path}/charges", {"generation_id": "more", "model": "lyria-3"}
    poor = customer.http.post(path, json=body, headers=KEY)
    resume = customer.http.post(f"{customer.path}/resume", json={}, headers={"Idempotency-Key": "order-2"})
    customer.post("upgrade", plan_id="max-pro-240000-monthly")
    customer.post("cancel", when="term_end")

    reused = customer.http.post(path, json={**body, "model": "lyria-3-pro"}, headers=KEY)
    charged = customer.http.post(path, json=body, headers=KEY)
    resumed = customer.http.post(f"{customer.path}/resume", json={}, headers={"Idempotency-Key": "order-2"})

    assert (poor.status_code, resume.status_code) == (402, 409)
    assert (reused.status_code, reused.json()["code"]) == (422, "idempotency_key_reused")
    assert (charged.status_code, resumed.status_code) == (201, 200)


def test_the_layout_of_the_json_does_not_make_another_body(customer: Customer) -> None:
    path = f"{customer.path}/upgrade"
    one = b'{"plan_id":"max-pro-240000-monthly","billing_reference":"i-1"}'
    other = b' {"billing_reference": "i-1", "plan_id": "max-pro-240000-monthly"}'

    answers = [customer.http.post(path, content=body, headers=KEY) for body in (one, other)]

    assert [answer.status_code for answer in answers] == [200, 200]


@pytest.mark.parametrize(
    ("path", "body"),
    [
        ("upgrade", {"plan_id": "max-pro-40000-monthly"}),
        ("downgrade", {"plan_id": "max-pro-240000-monthly"}),
        ("charges", {"generation_id": "g-1", "model": "lyria-3"}),
    ],
)
def test_the_key_with_another_request_is_refused(customer: Customer, path: str, body: dict[str, Any]) -> None:
    customer.http.post(f"{customer.path}/upgrade", json={"plan_id": "max-pro-240000-monthly"}, headers=KEY)

    answer = customer.http.post(f"{customer.path}/{path}", json=body, headers=KEY)

    assert (answer.status_code, answer.json()["code"]) == (422, "idempotency_key_reused")


def test_a_charge_under_a_key_is_repeated_like_any_charge(customer: Customer) -> None:
    path, body = f"{customer.path}/charges", {"generation_id": "g-1", "model": "lyria-3"}

    answers = [customer.http.post(path, json=body, headers=KEY) for _ in range(2)]
    reused = customer.http.post(path, json={**body, "generation_id": "g-2"}, headers=KEY)

    assert [answer.status_code for answer in answers] == [201, 200]
    assert answers[0].content == answers[1].content
    assert (reused.status_code, reused.json()["code"]) == (422, "idempotency_key_reused")


@pytest.mark.parametrize("end", ["capture", "release"])
def test_one_key_may_come_with_the_ends_of_several_holds(customer: Customer, end: str) -> None:
    """What is done once for its generation id is so under any key, which guards the body alone."""
    jobs = ("first", "second", "third")
    for job in jobs:
        customer.post("holds", generation_id=job, model="lyria-3")

    answers = [customer.http.post(f"{customer.path}/holds/{job}/{end}", json={}, headers=KEY) for job in jobs]
    again = [customer.http.post(f"{customer.path}/holds/{job}/{end}", headers=KEY) for job in jobs]
    other = {"capture": {"settings": {"count": 2}}, "release": {"reason": "it failed"}}[end]
    reused = customer.http.post(f"{customer.path}/holds/first/{end}", json=other, headers=KEY)

    assert [answer.json()["generation_id"] for answer in answers] == list(jobs)
    assert {answer.status_code for answer in answers} == {201 if end == "capture" else 200}
    assert [(each.status_code, each.json()) for each in again] == [(200, answer.json()) for answer in answers]
    assert (reused.status_code, reused.json()["code"]) == (422, "idempotency_key_reused")
    assert customer.balance == 40_000 - (450 if end == "capture" else 0)


@pytest.mark.parametrize("resource", ["charges", "holds"])
def test_one_key_may_come_with_the_same_body_for_several_subscriptions(http: httpx.Client, resource: str) -> None:
    customers = [Customer.with_plan(http, "ai-suite-40000-monthly") for _ in range(2)]

    answers = [http.post(f"{each.path}/{resource}", json=TRACK, headers=KEY) for each in customers]

    assert [answer.status_code for answer in answers] == [201, 201]
    assert [each.get("balance")["available_credits"] for each in customers] == [39_850, 39_850]


def test_one_key_for_what_has_no_generation_id_is_for_one_path(http: httpx.Client) -> None:
    one, other = (Customer.with_plan(http, "ai-suite-40000-monthly") for _ in range(2))
    one.http.post(f"{one.path}/cancel", json={"when": "now"}, headers=KEY)

    answer = other.http.post(f"{other.path}/cancel", json={"when": "now"}, headers=KEY)

    assert (answer.status_code, answer.json()["code"]) == (422, "idempotency_key_reused")
    assert other.get()["status"] == "active"


def test_each_api_key_has_idempotency_keys_of_its_own(server: Server, customer: Customer) -> None:
    with server.client("manage") as other:
        first = customer.http.post(f"{customer.path}/cancel", json={"when": "term_end"}, headers=KEY)
        second = other.post(f"{customer.path}/resume", json={}, headers=KEY)

    assert (first.status_code, second.status_code) == (200, 200)
    assert second.json()["status"] == "active"


Body = dict[str, Any]
HOOK = {"url": "https://example.com/hooks", "types": ["generation-charged"]}
TRACK = {"generation_id": "track", "model": "lyria-3"}
EVERY_POST: dict[str, Callable[[Customer], tuple[Body, Body]]] = {
    "/v1/subscriptions": lambda _: (START, {**START, "account_id": "account-2"}),
    "/v1/subscriptions/{subscription_id}/charges": lambda _: (TRACK, {**TRACK, "generation_id": "other"}),
    "/v1/subscriptions/{subscription_id}/upgrade": lambda _: (
        {"plan_id": "max-pro-240000-monthly"},
        {"plan_id": "max-pro-240000-yearly"},
    ),
    "/v1/subscriptions/{subscription_id}/downgrade": lambda _: (
        {"plan_id": "ai-starter-16500-monthly"},
        {"plan_id": "ai-starter-7500-monthly"},
    ),
    "/v1/subscriptions/{subscription_id}/cancel": lambda _: ({"when": "term_end"}, {"when": "now"}),
    "/v1/subscriptions/{subscription_id}/alerts": lambda _: ({"alerts": ["0.5"]}, {"alerts": None}),
    "/v1/subscriptions/{subscription_id}/resume": lambda _: ({}, {}),
    "/v1/subscriptions/{subscription_id}/suspend": lambda _: ({"reason": "not paid"}, {"reason": "fraud"}),
    "/v1/subscriptions/{subscription_id}/reinstate": lambda _: ({"reason": "paid"}, {"reason": "an error"}),
    "/v1/subscriptions/{subscription_id}/holds": lambda _: (TRACK, {**TRACK, "expires_in_seconds": 60}),
    "/v1/subscriptions/{subscription_id}/holds/{generation_id}/capture": lambda _: ({}, {"settings": {"count": 2}}),
    "/v1/subscriptions/{subscription_id}/holds/{generation_id}/release": lambda _: ({}, {"reason": "it failed"}),
    "/v1/subscriptions/{subscription_id}/what-if": lambda _: ({}, {"without_generations": ["first"]}),
    "/v1/charges/batch": lambda customer: (
        {"charges": [{"subscription_id": customer.subscription_id, **TRACK}]},
        {"charges": [{"subscription_id": customer.subscription_id, **TRACK, "model": "lyria-3-pro"}]},
    ),
    "/v1/quotes": lambda customer: (
        {"model": "lyria-3", "subscription_id": customer.subscription_id},
        {"model": "lyria-3-pro", "subscription_id": customer.subscription_id},
    ),
    "/v1/disputes": lambda customer: (
        {"subscription_id": customer.subscription_id, "generation_id": "first", "reason": "other", "note": "?"},
        {"subscription_id": customer.subscription_id, "generation_id": "first", "reason": "duplicate", "note": "?"},
    ),
    "/v1/disputes/{dispute_id}/resolve": lambda _: (
        {"outcome": "rejected", "note": "No."},
        {"outcome": "upheld", "note": "Yes.", "credit_to": "current_cycle"},
    ),
    "/v1/webhooks": lambda _: (HOOK, {**HOOK, "types": ["balance-low"]}),
    "/v1/webhooks/{webhook_id}/rotate": lambda _: ({"overlap_seconds": 1}, {"overlap_seconds": 2}),
    "/v1/webhooks/{webhook_id}/test": lambda _: ({}, {}),
    "/v1/webhooks/{webhook_id}/replay": lambda _: ({"after_position": 1}, {"after_position": 2}),
    "/v1/test-clocks": lambda _: ({"now": "2026-01-01T00:00:00Z"}, {"now": "2026-01-02T00:00:00Z"}),
    "/v1/test-clocks/{test_clock_id}/advance": lambda _: (
        {"to": "2026-03-01T00:00:00Z"},
        {"to": "2026-04-01T00:00:00Z"},
    ),
}


def test_every_post_takes_a_key(
    listener: Listener, database_url: str, catalogue: Catalogue, clock: SettableClock, subtests: pytest.Subtests
) -> None:
    """A repetition gets the first answer whatever happened since; another body is refused."""
    with server_with_clocks(listener, database_url, catalogue, clock) as (_, http):
        paths: dict[str, Any] = http.get("/openapi.json").json()["paths"]
        posts = {path: methods["post"] for path, methods in paths.items() if "post" in methods}
        assert set(posts) == set(EVERY_POST)
        for number, (path, operation) in enumerate(posts.items()):
            with subtests.test(path=path):
                assert "Idempotency-Key" in [each["name"] for each in operation["parameters"]]
                customer = Customer.with_plan(http, "ai-suite-40000-monthly")
                assert customer.try_charge("lyria-3", "first").status_code == 201
                url, (body, other) = _fill(path, customer), EVERY_POST[path](customer)
                key = {"Idempotency-Key": f"key-{number}"}

                first = http.post(url, json=body, headers=key)
                customer.try_charge("lyria-3", "between")
                again = http.post(url, json=body, headers=key)

                assert first.is_success, first.text
                if not url.endswith("/batch"):  # its charges are decided anew, each by its generation id
                    assert again.content == first.content
                    assert again.headers["Idempotent-Replayed"] == "true"
                is_idempotent = url.endswith(("/charges", "/holds", "/capture"))
                assert again.status_code == (200 if is_idempotent else first.status_code)
                if other != body:
                    reused = http.post(url, json=other, headers=key)
                    assert (reused.status_code, reused.json()["code"]) == (422, "idempotency_key_reused")
                malformed = http.post(url, json=body, headers={"Idempotency-Key": "two words"})
                assert (malformed.status_code, malformed.json()["code"]) == (422, "invalid_request")


def test_of_two_bodies_at_once_under_one_key_one_does_nothing(
    listener: Listener, database_url: str, catalogue: Catalogue, clock: SettableClock, subtests: pytest.Subtests
) -> None:
    """Two servers get them, so that nothing within one process decides between them."""
    with (
        server_with_clocks(listener, database_url, catalogue, clock) as (_, http),
        server_with_clocks(listener, database_url, catalogue, clock) as (_, other_http),
        ThreadPoolExecutor(2) as threads,
    ):
        for path, bodies_of in EVERY_POST.items():
            for attempt in range(4):
                with subtests.test(path=path, attempt=attempt):
                    customer = Customer.with_plan(http, "ai-suite-40000-monthly")
                    assert customer.try_charge("lyria-3", "first").status_code == 201
                    url, bodies = _fill(path, customer), bodies_of(customer)
                    if bodies[0] == bodies[1]:
                        continue
                    key = {"Idempotency-Key": f"{path}-{attempt}", "Authorization": http.headers["Authorization"]}
                    posts = [
                        threads.submit(client.post, url, json=body, headers=key)
                        for client, body in zip((http, other_http), bodies, strict=True)
                    ]
                    answers = [post.result() for post in posts]

                    codes = sorted(answer.status_code for answer in answers)
                    assert codes[0] < 300, [answer.text for answer in answers]
                    assert codes[1] == 422
                    assert _effects(customer) == (1 if url.endswith(("charges", "batch", "capture")) else 0)


def _effects(customer: Customer) -> int:
    """Count the charges beside the first one."""
    return len(customer.http.get(f"{customer.path}/charges").json()["data"]) - 1


def _fill(path: str, customer: Customer) -> str:
    """Fill a path template with ids of what exists, and is in the state that the request needs."""
    ids = {"subscription_id": customer.subscription_id}
    if path.endswith("/resume"):
        customer.post("cancel", when="term_end")
    if path.endswith("/reinstate"):
        customer.post("suspend", reason="not paid")
    if "{generation_id}" in path:
        ids["generation_id"] = customer.post("holds", **TRACK)["generation_id"]
    if "{dispute_id}" in path:
        body = {**ids, "generation_id": "first", "reason": "other", "note": "?"}
        ids["dispute_id"] = customer.http.post("/v1/disputes", json=body).json()["dispute_id"]
    if "{test_clock_id}" in path:
        made = customer.http.post("/v1/test-clocks", json={"now": "2026-01-01T00:00:00Z"})
        ids["test_clock_id"] = made.json()["test_clock_id"]
    if "{webhook_id}" in path:
        ids["webhook_id"] = customer.http.post("/v1/webhooks", json=HOOK).json()["webhook_id"]
    return path.format(**ids)
