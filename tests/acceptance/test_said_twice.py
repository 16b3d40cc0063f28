"""What a request says twice is refused: the client means one of the two, and nobody knows which."""

import json
from contextlib import closing
from http.client import HTTPConnection

import httpx
import pytest

from tests.acceptance.server import Customer


@pytest.fixture
def customer(http: httpx.Client) -> Customer:
    return Customer.with_plan(http, "ai-starter-16500-monthly")


@pytest.mark.parametrize(
    ("path", "body", "key"),
    [
        ("charges", b'{"generation_id":"g-1","model":"lyria-3-pro","model":"lyria-3"}', "model"),
        ("charges", b'{"generation_id":"g-1","model":"lyria-3","m\\u006fdel":"lyria-3"}', "model"),
        ("charges", b'{"generation_id":"g-1","model":"lyria-3","settings":{"count":1,"count":2}}', "count"),
        ("charges", b'{"generation_id":"g-1","model":"lyria-3","settings":{},"settings":{}}', "settings"),
        ("charges", b'{"generation_id":"g:1","generation_id":"g","model":"lyria-3"}', "generation_id"),
        ("upgrade", b'{"plan_id":"max-pro-240000-yearly","plan_id":"max-pro-40000-yearly"}', "plan_id"),
        ("what-if", b'{"reprice":{"lyria-3":1,"lyria-3":2}}', "lyria-3"),
    ],
)
def test_a_key_that_is_there_twice_is_refused(customer: Customer, path: str, body: bytes, key: str) -> None:
    answer = customer.http.post(f"{customer.path}/{path}", content=body)

    assert (answer.status_code, answer.json()["code"]) == (422, "invalid_request")
    assert answer.json()["errors"] == [{"field": key, "reason": "is given more than once"}]
    assert customer.balance == 16_500


def test_a_colon_in_a_text_is_no_key(customer: Customer) -> None:
    answer = customer.try_charge("lyria-3", "night:2026:01")

    assert answer.status_code == 201


@pytest.mark.parametrize("header", ["Authorization", "Idempotency-Key", "Host"])
@pytest.mark.parametrize("resource", ["charges", "resume"])
def test_a_header_that_says_who_or_what_is_refused_twice(customer: Customer, resource: str, header: str) -> None:
    """Whichever of two is meant, another server between may take the other."""
    url = customer.http.base_url
    given = {"Host": url.host, "Authorization": customer.http.headers["Authorization"], "Idempotency-Key": "order-1"}
    body = b'{"generation_id":"g-1","model":"lyria-3"}' if resource == "charges" else b"{}"
    with closing(HTTPConnection(url.host, url.port or 80)) as connection:
        connection.putrequest("POST", f"{customer.path}/{resource}", skip_host=True)
        for name, value in [*given.items(), (header, given[header]), ("Content-Length", str(len(body)))]:
            connection.putheader(name, value)
        connection.endheaders(body)
        answer = connection.getresponse()
        problem = json.loads(answer.read())

    assert (answer.status, problem["code"]) == (400, "malformed_request")
    assert header in problem["reason"]
