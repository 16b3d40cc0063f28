"""The limit of requests a key, and the pace of callers whose keys there are not."""

import dataclasses
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from uuid import uuid4

import httpx
import pytest

from services.http.app import create_app
from services.http.server import limits
from tests.acceptance.server import Customer, Server, listening
from tests.acceptance.test_access import get_plans

LIMIT = 5


@pytest.fixture
def limited(server: Server) -> Iterator[Server]:
    """The same service with a limit."""
    backend = dataclasses.replace(server.backend, rate_limit=LIMIT)
    with listening(create_app(backend)) as (url, _):
        yield dataclasses.replace(server, url=url)


def ask_beyond(client: httpx.Client, method: str, path: str) -> list[httpx.Response]:
    """Ask until it is refused."""
    content = b'{"charges": []}' if method == "POST" else None
    answers = [client.request(method, path, content=content)]
    while answers[-1].status_code != 429:
        assert len(answers) < 1_000
        answers.append(client.request(method, path, content=content))
    return answers


@pytest.mark.parametrize(
    ("method", "path"),
    [
        ("GET", "/v1/plans"),
        ("GET", "/v1/subscriptions/{id}/balance"),
        ("GET", "/v1/webhooks/{id}"),
        ("POST", "/v1/subscriptions/{id}/charges"),
        ("POST", "/v1/charges/batch"),
    ],
)
def test_every_answer_says_what_is_left(limited: Server, method: str, path: str) -> None:
    with limited.client() as client:
        answers = ask_beyond(client, method, path.format(id=uuid4()))

    *taken, refused = answers
    assert len(taken) >= LIMIT
    assert {answer.headers["RateLimit-Policy"] for answer in answers} == {f'"key";q={LIMIT};w=1'}
    assert [answer.headers["RateLimit"] for answer in answers[:2]] == ['"key";r=4;t=1', '"key";r=3;t=1']
    assert not any("Retry-After" in answer.headers for answer in taken)
    assert (refused.json()["code"], refused.headers["Retry-After"]) == ("rate_limited", "1")
    assert refused.headers["RateLimit"] == '"key";r=0;t=1'
    assert refused.headers["content-type"] == "application/problem+json"


def test_a_limit_is_of_one_key_and_is_over_in_a_second(limited: Server) -> None:
    with limited.client("read") as one, limited.client("read") as other:
        ask_beyond(one, "GET", "/v1/plans")
        assert other.get("/v1/plans").status_code == 200
        time.sleep(1)
        assert one.get("/v1/plans").status_code == 200


def test_what_lacks_the_scope_counts_too(limited: Server) -> None:
    with limited.client("read") as client:
        answers = ask_beyond(client, "GET", "/v1/events")

    assert {answer.status_code for answer in answers[:LIMIT]} == {403}


def test_a_batch_counts_once(limited: Server) -> None:
    with limited.client() as client:
        customer = Customer.with_plan(client, "ai-suite-40000-monthly")
        items = [
            {"subscription_id": customer.subscription_id, "generation_id": f"b-{n}", "model": "lyria-3"}
            for n in range(20)
        ]
        answer = client.post("/v1/charges/batch", json={"charges": items})

    assert {each["status"] for each in answer.json()["results"]} == {201}
    assert int(answer.headers["RateLimit"].split("=")[1].split(";")[0]) >= LIMIT - 2


@pytest.mark.parametrize("path", ["/livez", "/readyz", "/metrics", "/openapi.json", "/v1/log/keys"])
def test_what_needs_no_key_is_free(limited: Server, path: str) -> None:
    with limited.client() as client:
        answers = [client.get(path) for _ in range(3 * LIMIT)]

    assert not any("RateLimit" in answer.headers or answer.status_code == 429 for answer in answers)


def test_without_a_setting_there_is_no_limit(http: httpx.Client) -> None:
    answers = [http.get("/v1/plans") for _ in range(50)]

    assert not any("RateLimit" in answer.headers for answer in answers)


def test_refusals_are_counted(limited: Server) -> None:
    with limited.client() as client:
        ask_beyond(client, "GET", "/v1/plans")

    assert "tallystick_rate_limited_total 1.0" in httpx.get(f"{limited.url}/metrics").text


def test_keys_that_there_are_not_are_answered_one_after_the_other(
    server: Server, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(limits, "FAILED_KEY_PAUSE_SECONDS", 1.0)
    with ThreadPoolExecutor(4) as threads, server.client() as one:
        began = time.monotonic()
        failing = [threads.submit(get_plans, server, f"ts_nobody_{n}") for n in range(4)]
        assert one.get("/v1/plans").status_code == 200  # from the same address
        assert not all(each.done() for each in failing)
        assert {each.result().status_code for each in failing} == {401}

    assert time.monotonic() - began >= 4.0
