"""Endpoints of webhooks through the API: making, rotating, testing, listing, replaying; which addresses are taken."""

import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import replace
from datetime import datetime
from functools import partial
from typing import Any
from uuid import uuid4

import httpx
import pytest
from standardwebhooks import Webhook

from services.http.app import create_app
from services.postgres.database import connect, reading_pool
from services.webhooks.messages import TYPES
from services.webhooks.role import WebhookRole
from tests.acceptance.server import Customer, Server, listening, pages, plain_client
from tests.conftest import SCHEMA, SettableClock
from tests.integration.webhooks.receiver import Receiver, receiving, status
from tests.waiting import wait_until


@pytest.fixture
def customer(http: httpx.Client) -> Customer:
    return Customer.with_plan(http, "ai-suite-40000-monthly")


@contextmanager
def delivering_in_the_time_of(clock: Callable[[], datetime], database_url: str) -> Iterator[None]:
    """Run the role, which delivers to private addresses too."""
    stopping = threading.Event()
    with reading_pool(database_url, size=4) as connections:
        make = partial(connect, database_url, autocommit=True)
        role = WebhookRole(connections, make, SCHEMA, clock, allow_private=True)
        running = threading.Thread(target=role.run, args=[stopping])
        running.start()
        yield
        stopping.set()
        running.join()


@pytest.fixture
def delivering(database_url: str, clock: SettableClock) -> Iterator[None]:
    with delivering_in_the_time_of(clock, database_url):
        yield


def make(http: httpx.Client, url: str, *types: str) -> Any:
    made = http.post("/v1/webhooks", json={"url": url, "types": types or ["generation-charged"]})
    assert made.status_code == 201, made.text
    return made.json()


def of(http: httpx.Client, webhook: Any, resource: str = "") -> Any:
    answer = http.get(f"/v1/webhooks/{webhook['webhook_id']}{resource}")
    assert answer.status_code == 200, answer.text
    return answer.json()


def test_an_endpoint_is_made_read_listed_and_deleted(http: httpx.Client, customer: Customer) -> None:
    body = {"url": "https://example.com/hooks?a=1", "types": ["balance-low", "cycle-reset"], "description": "Billing"}
    made = http.post("/v1/webhooks", json=body)
    assert made.status_code == 201, made.text
    webhook = made.json()
    assert webhook.pop("secret").startswith("whsec_")
    assert made.headers["Location"] == f"/v1/webhooks/{webhook['webhook_id']}"
    assert webhook == {
        "webhook_id": webhook["webhook_id"],
        **body,
        "status": "enabled",
        "created_at": "2026-01-15T12:00:00Z",
        "position": 2,
    }
    assert of(http, webhook) == webhook
    others = [make(http, f"https://example.com/{number}") for number in range(3)]
    listed = [each["webhook_id"] for page in pages(http, "/v1/webhooks", limit=2) for each in page]
    assert listed == sorted(each["webhook_id"] for each in (webhook, *others))

    assert http.delete(f"/v1/webhooks/{webhook['webhook_id']}").status_code == 204
    for method, path in (("GET", ""), ("DELETE", ""), ("POST", "/test"), ("POST", "/rotate"), ("GET", "/deliveries")):
        gone = http.request(method, f"/v1/webhooks/{webhook['webhook_id']}{path}")
        assert (gone.status_code, gone.json()["code"]) == (404, "unknown_webhook")
    assert http.get("/v1/webhooks/none").json()["code"] == "unknown_webhook"
    assert http.post(f"/v1/webhooks/{uuid4()}/replay", json={"after_position": 0}).status_code == 404


@pytest.mark.parametrize(
    ("field", "value"),
    [
        ("types", []),
        ("types", ["GenerationCharged"]),
        ("types", ["balance-low", "balance-low"]),
        ("url", "ftp://example.com/"),
        ("url", "example.com"),
        ("url", "https://"),
        ("url", "https://user:secret@example.com/"),
        ("url", "https://example.com/ x"),
        ("url", "https://example.com:99999/"),
        ("url", "https://example.com:0/"),
        ("url", "https://example.com\\@10.0.0.1/"),
        ("url", "https://exa mple.com/"),
        ("url", "https://127.0.0.%31/"),
        ("url", "https://１２７.0.0.1/"),
        ("url", "https://example.com/" + "x" * 2_000),
        ("url", 7),
    ],
)
def test_what_is_wrong_with_an_endpoint_is_named(http: httpx.Client, field: str, value: Any) -> None:
    answer = http.post("/v1/webhooks", json={"url": "https://example.com/", "types": ["balance-low"], field: value})
    assert answer.status_code == 422, answer.text
    assert answer.json()["errors"][0]["field"].split("[")[0] == field


def test_an_address_that_is_not_of_the_internet_is_refused_at_once(server: Server) -> None:
    strict = replace(server.backend, webhooks_allow_private=False)
    headers = {"Authorization": f"Bearer {server.secret}"}
    with listening(create_app(strict)) as (url, _), plain_client(url, headers) as http:
        for host in ("localhost", "127.0.0.1", "2130706433", "[::ffff:10.0.0.1]", "169.254.169.254"):
            answer = http.post("/v1/webhooks", json={"url": f"https://{host}/hooks", "types": ["balance-low"]})
            assert answer.status_code == 422, answer.text
            assert answer.json()["errors"][0]["field"] == "url"
        make(http, "https://8.8.8.8/hooks")
        make(http, "https://hooks.example.com/")


@pytest.mark.usefixtures("delivering")
def test_both_secrets_sign_while_they_overlap(http: httpx.Client, customer: Customer, clock: SettableClock) -> None:
    with receiving() as receiver:
        webhook = make(http, receiver.url)
        path = f"/v1/webhooks/{webhook['webhook_id']}/rotate"
        rotated = http.post(path, json={"overlap_seconds": 60}).json()
        assert rotated["secret"] != webhook["secret"]
        assert "secret" not in of(http, webhook)
        customer.charge()
        wait_until(lambda: len(receiver.received) == 1)
        clock.advance(seconds=61)
        customer.charge()
        wait_until(lambda: len(receiver.received) == 2)
    for received, secrets in zip(
        receiver.received, [(rotated["secret"], webhook["secret"]), (rotated["secret"],)], strict=True
    ):
        at = clock.now if len(secrets) == 1 else clock.now.replace(minute=0, second=0)
        expected = [Webhook(secret).sign(received.message_id, at, received.body.decode()) for secret in secrets]
        assert received.headers["webhook-signature"].split() == expected
    assert http.post(path).json()["secret"] not in {webhook["secret"], rotated["secret"]}


def positions(receiver: Receiver) -> list[int]:
    return [each["data"]["position"] for each in receiver.bodies()]


@pytest.mark.usefixtures("delivering")
def test_deliveries_are_listed_and_replayed(http: httpx.Client, customer: Customer) -> None:
    with receiving() as receiver:
        webhook = make(http, receiver.url, "generation-charged", "subscription-cancelled")
        charged = [customer.charge()["position"] for _ in range(5)]
        customer.post("cancel", when="term_end")
        wait_until(lambda: of(http, webhook)["position"] == charged[-1] + 1)
        path = f"/v1/webhooks/{webhook['webhook_id']}"
        listed = [each for page in pages(http, f"{path}/deliveries", limit=2) for each in page]
        assert [each["position"] for each in listed] == [charged[-1] + 1, *reversed(charged)]
        assert listed[-1] == {
            "message_id": receiver.received[0].message_id,
            "type": "generation-charged",
            "position": charged[0],
            "status": "delivered",
            "attempts": 1,
            "last_status": 200,
            "last_error": None,
            "next_attempt_at": None,
        }
        first = {each.message_id for each in receiver.received}
        receiver.received.clear()
        replayed = http.post(f"{path}/replay", json={"after_position": charged[2]})
        assert replayed.status_code == 202
        wait_until(lambda: len(receiver.received) == 3)
        assert positions(receiver) == [charged[3], charged[4], charged[4] + 1]
        assert {each.message_id for each in receiver.received} < first
        assert http.post(f"{path}/replay", json={"after_position": -1}).status_code == 422


@pytest.mark.usefixtures("delivering")
def test_a_test_message_is_sent_and_listed(http: httpx.Client, clock: SettableClock) -> None:
    with receiving(status(500)) as receiver:
        webhook = make(http, receiver.url)
        path = f"/v1/webhooks/{webhook['webhook_id']}"
        sent = http.post(f"{path}/test")
        assert sent.status_code == 202
        wait_until(lambda: of(http, webhook, "/deliveries")["data"][0]["status"] == "retrying")
        receiver.answer = status(200)
        clock.advance(seconds=2)
        wait_until(lambda: of(http, webhook, "/deliveries")["data"][0]["status"] == "delivered")
        (delivery,) = of(http, webhook, "/deliveries")["data"]
    assert delivery["message_id"] == sent.json()["message_id"] == receiver.received[-1].message_id
    assert (delivery["type"], delivery["attempts"], delivery["last_status"]) == ("webhook-test", 2, 200)
    assert receiver.received[-1].message["data"] == {"webhook_id": webhook["webhook_id"]}
    assert "." not in delivery["message_id"]


def test_every_type_of_event_is_a_type_of_message(http: httpx.Client) -> None:
    webhook = make(http, "https://example.com/", *TYPES)
    assert {"generation-charged", "plan-upgraded", "dispute-opened", "balance-low"} <= set(webhook["types"])


@pytest.mark.usefixtures("delivering")
def test_low_credits_are_told_once_a_threshold_and_shown(http: httpx.Client, customer: Customer) -> None:
    with receiving() as receiver:
        webhook = make(http, receiver.url, "balance-low")
        customer.use(31_980)
        assert customer.get("balance")["alerts"] == []
        position = customer.charge("example-image-1")["position"]
        customer.use(7_980)
        last = customer.charge("example-image-1")["position"]
        wait_until(lambda: of(http, webhook)["position"] == last)
    at = "2026-01-15T12:00:00Z"
    assert customer.get("balance")["alerts"] == [
        {"threshold": "0.20", "crossed_at": at},
        {"threshold": "0.00", "crossed_at": at},
    ]
    low = {"subscription_id": customer.subscription_id, "granted_credits": 40_000, "cycle": 1}
    assert receiver.bodies() == [
        {
            "type": "balance-low",
            "timestamp": at,
            "data": {**low, "threshold": "0.20", "available_credits": 8_000, "position": position},
        },
        {
            "type": "balance-low",
            "timestamp": at,
            "data": {**low, "threshold": "0.00", "available_credits": 0, "position": last},
        },
    ]
    first, second = of(http, webhook, "/deliveries")["data"][::-1]
    assert (first["type"], first["position"], second["position"]) == ("balance-low", position, last)


def test_thresholds_of_its_own_are_set_and_shown(http: httpx.Client, customer: Customer) -> None:
    assert "alerts" not in customer.get()
    changed = customer.post("alerts", alerts=["0.9", "0.5"])
    assert changed["alerts"] == customer.get()["alerts"] == ["0.9", "0.5"]
    customer.use(4_000)
    assert [each["threshold"] for each in customer.get("balance")["alerts"]] == ["0.9"]
    assert "alerts" not in customer.post("alerts", alerts=None)
    for wrong in (["1.1"], ["0.20", "0.2"], ["-0.1"], ["0.00001"], [0.5], ["0.1"] * 11, "0.5"):
        answer = http.post(f"{customer.path}/alerts", json={"alerts": wrong})
        assert answer.status_code == 422
        assert answer.json()["errors"][0]["field"].startswith("alerts")
    assert http.post(f"{customer.path}/alerts", json={}).status_code == 422
