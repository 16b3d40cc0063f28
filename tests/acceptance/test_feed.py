"""The feed of events: filters, waiting, and a stream that loses nothing."""

import json
import socket
import threading
import time
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from typing import Any
from urllib.parse import urlsplit

import httpx
import pytest

from services.http import feed
from services.http.app import create_app
from services.http.server import limits
from services.ledger.history import History
from tests.acceptance.server import Customer, Server, listening, pages
from tests.waiting import wait_until

STREAM = {"Accept": "text/event-stream"}


@pytest.fixture(autouse=True)
def _who_closes_is_gone(monkeypatch: pytest.MonkeyPatch) -> None:
    """A client that closes its side might still read; here none does."""
    monkeypatch.setattr(limits, "HALF_CLOSED_SECONDS", 0.0)
    monkeypatch.setattr(limits, "SWEEP_SECONDS", 0.1)


@pytest.fixture
def customer(http: httpx.Client) -> Customer:
    return Customer.with_plan(http, "ai-suite-40000-monthly")


def positions(http: httpx.Client, **query: Any) -> list[int]:
    return [event["position"] for page in pages(http, "/v1/events", **query) for event in page]


class Follower:
    """A client that follows, and reads one event after the other."""

    def __init__(self, answer: httpx.Response) -> None:
        assert answer.status_code == 200, answer.read()
        assert answer.headers["content-type"] == "text/event-stream; charset=utf-8"
        self._lines = answer.iter_lines()

    def next(self) -> dict[str, str]:
        """The fields of the next event; comments are passed over."""
        fields: dict[str, str] = {}
        for line in self._lines:
            if not line and fields:
                return fields
            if line and not line.startswith(":"):
                name, _, value = line.partition(": ")
                fields[name] = value
        return fields


@contextmanager
def following(http: httpx.Client, last_event_id: str | None = None, **query: Any) -> Iterator[Follower]:
    headers = STREAM if last_event_id is None else {**STREAM, "Last-Event-ID": last_event_id}
    with http.stream("GET", "/v1/events", params=query, headers=headers) as answer:
        yield Follower(answer)


def followers(server: Server) -> int:
    """How many follow, by the metrics."""
    with server.client() as client:
        lines = client.get("/metrics").text.splitlines()
    return next(int(float(line.split()[1])) for line in lines if line.startswith("tallystick_feed_followers "))


def test_events_are_filtered_by_type_subscription_and_request(http: httpx.Client, customer: Customer) -> None:
    other = Customer.with_plan(http, "ai-suite-40000-monthly", "account-2")
    body = {"generation_id": "track-1", "model": "lyria-3"}
    charged = http.post(f"{customer.path}/charges", json=body, headers={"Request-Id": "order-7"}).json()
    other.charge()
    dispute = {"subscription_id": customer.subscription_id, "generation_id": "track-1", "reason": "other", "note": "?"}
    opened = http.post("/v1/disputes", json=dispute)
    assert opened.status_code == 201, opened.text

    (event,) = http.get("/v1/events", params={"type": "DisputeOpened"}).json()["data"]
    assert (event["subscription_id"], event["dispute_id"]) == (customer.subscription_id, opened.json()["dispute_id"])
    assert positions(http, type="GenerationCharged") == [5, 6]
    assert positions(http, subscription_id=customer.subscription_id) == [1, 2, 5, 7]
    assert positions(http, request_id="order-7") == [charged["position"]] == [5]
    assert positions(http, request_id="order-7", subscription_id=other.subscription_id) == []
    assert positions(http, type="GenerationCharged", limit=1) == [5, 6]


def test_a_filter_that_matches_little_is_answered_in_parts(
    http: httpx.Client, customer: Customer, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("services.ledger.history.SCANNED_POSITIONS", 2)
    monkeypatch.setattr("services.http.routes.events._SCAN_SECONDS", 0.0)
    for _ in range(6):
        customer.charge()
    customer.post("cancel", when="term_end")

    found = list(pages(http, "/v1/events", type="SubscriptionCancelled"))

    assert [event["position"] for page in found for event in page] == [9]
    assert len(found) > 1
    assert positions(http, type="SubscriptionCancelled", after_position=9) == []


def test_an_answer_waits_for_the_next_event(http: httpx.Client, server: Server, customer: Customer) -> None:
    answers: list[httpx.Response] = []

    def ask() -> None:
        with server.client("audit") as client:
            answers.append(client.get("/v1/events?after_position=2&wait_seconds=30&type=GenerationCharged"))

    asking = threading.Thread(target=ask)
    asking.start()
    wait_until(lambda: followers(server) == 1)
    customer.post("cancel", when="term_end")
    customer.post("resume")
    assert not answers
    customer.charge()
    asking.join()

    assert [event["position"] for event in answers[0].json()["data"]] == [5]


def test_nothing_new_is_an_empty_page_after_the_wait(http: httpx.Client, customer: Customer) -> None:
    started = time.monotonic()
    answer = http.get("/v1/events", params={"after_position": 2, "wait_seconds": 1})
    assert answer.json() == {"data": [], "next_cursor": None}
    assert time.monotonic() - started >= 1
    assert http.get("/v1/events", params={"wait_seconds": 30}).json()["data"]  # which waits for nothing


@pytest.mark.parametrize("seconds", ["-1", "31", "soon"])
def test_a_wait_has_bounds(http: httpx.Client, seconds: str) -> None:
    answer = http.get("/v1/events", params={"wait_seconds": seconds})
    assert answer.status_code == 422
    assert answer.json()["errors"][0]["field"] == "wait_seconds"


def test_a_stream_follows_from_the_first_event_on(http: httpx.Client, customer: Customer) -> None:
    with following(http) as follower:
        first = follower.next()
        assert (first["id"], first["event"]) == ("1", "SubscriptionStarted")
        assert follower.next()["id"] == "2"
        for position in range(3, 8):
            customer.charge()
            event = follower.next()
            assert (event["id"], event["event"]) == (str(position), "GenerationCharged")
            assert json.loads(event["data"])["position"] == position
        customer.charge()
        (listed,) = http.get("/v1/events", params={"after_position": 7}).json()["data"]
        assert json.loads(follower.next()["data"]) == listed


def test_a_stream_goes_on_behind_the_last_event_id(http: httpx.Client, customer: Customer) -> None:
    customer.charge()
    with following(http, last_event_id="2", after_position=0) as follower:
        assert follower.next()["id"] == "3"


@pytest.mark.parametrize("last_event_id", ["-1", "x", "1.5", "99999999999999999999", ""])
def test_a_last_event_id_is_a_position(http: httpx.Client, last_event_id: str) -> None:
    answer = http.get("/v1/events", headers={**STREAM, "Last-Event-ID": last_event_id})
    assert answer.status_code == 422
    assert answer.json()["errors"][0]["field"] == "Last-Event-ID"


def test_a_stream_has_no_pages(http: httpx.Client) -> None:
    assert http.get("/v1/events", params={"limit": 5}, headers=STREAM).status_code == 422


def test_the_head_of_a_stream_has_an_end(http: httpx.Client) -> None:
    assert http.head("/v1/events", headers=STREAM).status_code == 200


def test_filters_hold_for_a_stream(http: httpx.Client, customer: Customer) -> None:
    other = Customer.with_plan(http, "ai-suite-40000-monthly", "account-2")
    customer.charge()
    query = {"subscription_id": other.subscription_id, "type": "GenerationCharged"}
    with following(http, **query) as follower:
        customer.charge()
        other.charge()
        assert follower.next()["id"] == "7"
        customer.charge()
        other.charge()
        assert follower.next()["id"] == "9"


def test_a_stream_gives_every_event_once_however_far_behind_it_begins(
    http: httpx.Client, customer: Customer, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(feed, "PAGE_EVENTS", 7)
    for _ in range(40):
        customer.charge()
    with following(http) as follower:
        charging = threading.Thread(target=lambda: [customer.charge() for _ in range(40)])
        charging.start()
        ids = [int(follower.next()["id"]) for _ in range(82)]
        charging.join()
    assert ids == list(range(1, 83))


def test_a_hundred_followers_cost_one_reader(
    http: httpx.Client, server: Server, customer: Customer, monkeypatch: pytest.MonkeyPatch
) -> None:
    reads: list[int] = []
    read = History.of_ledger

    def counted(self: History, *arguments: Any, **named: Any) -> Any:
        reads.append(1)
        return read(self, *arguments, **named)

    with server.client("audit") as client, ExitStack() as streams:
        found = [streams.enter_context(following(client, after_position=2)) for _ in range(100)]
        wait_until(lambda: followers(server) == 100)
        monkeypatch.setattr(History, "of_ledger", counted)
        for position in range(3, 13):
            customer.charge()
            assert {follower.next()["id"] for follower in found} == {str(position)}
        assert len(reads) == 10
    wait_until(lambda: followers(server) == 0)


def test_an_event_that_comes_while_others_are_sent_is_not_late(http: httpx.Client, customer: Customer) -> None:
    with following(http, after_position=2) as follower:
        charging = threading.Thread(target=lambda: [customer.charge() for _ in range(200)])
        charging.start()
        ids = [int(follower.next()["id"]) for _ in range(200)]
        charging.join()
        last_charged = time.monotonic()
    assert ids == list(range(3, 203))
    assert time.monotonic() - last_charged < feed.CHECK_SECONDS / 2


def test_too_many_followers_are_refused(
    http: httpx.Client, server: Server, customer: Customer, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(feed, "FOLLOWERS_MAX", 1)
    with following(http) as follower:
        assert follower.next()["id"] == "1"
        refused = http.get("/v1/events", headers=STREAM)
    assert (refused.status_code, refused.headers["retry-after"]) == (503, "1")


def test_a_follower_that_does_not_read_is_let_go(
    http: httpx.Client, server: Server, customer: Customer, monkeypatch: pytest.MonkeyPatch
) -> None:
    large = Customer.with_plan(http, "max-pro-240000-yearly")
    for number in range(16):  # 10 MB: more than the system keeps for a connection
        charges = [
            {"subscription_id": large.subscription_id, "generation_id": f"g{number}-{each}", "model": "example-image-1"}
            for each in range(1_000)
        ]
        assert http.post("/v1/charges/batch", json={"charges": charges}).status_code == 200
    url = urlsplit(server.url)
    with socket.socket() as silent:
        silent.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
        silent.connect((url.hostname, url.port))
        head = "GET /v1/events HTTP/1.1\r\nHost: x\r\nAccept: text/event-stream\r\n"
        silent.sendall(f"{head}Authorization: Bearer {server.secret}\r\n\r\n".encode())
        wait_until(lambda: followers(server) == 1)
        monkeypatch.setattr(limits, "ANSWER_SECONDS", 0.5)
        wait_until(lambda: followers(server) == 0)
        customer.charge()


def test_a_stream_ends_when_its_key_is_revoked(
    http: httpx.Client, server: Server, customer: Customer, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(feed, "CHECK_SECONDS", 0.1)
    key = server.backend.keys.create("a follower", ["audit"])
    with (
        httpx.Client(base_url=server.url, headers={"Authorization": f"Bearer {key.key}"}, timeout=30) as client,
        following(client, after_position=2) as follower,
    ):
        server.backend.keys.revoke(key.key_id)
        assert follower.next() == {}


def test_a_stop_ends_the_streams(server: Server, customer: Customer) -> None:
    with listening(create_app(server.backend)) as (url, running):
        headers = {"Authorization": f"Bearer {server.secret}"}
        with httpx.Client(base_url=url, headers=headers, timeout=30) as client, following(client) as follower:
            assert follower.next()["id"] == "1"
            assert follower.next()["id"] == "2"
            started = time.monotonic()
            running.should_exit = True
            assert follower.next() == {}
            assert time.monotonic() - started < 5
