"""Audit never refuses a payment: long reads are bounded in number and in time, and end when the asker is gone."""

import time
from concurrent.futures import ThreadPoolExecutor
from datetime import timedelta

import httpx
import psycopg
import pytest

from services.catalogue import Catalogue
from services.http import patience
from tests.acceptance.server import Customer, Listener
from tests.acceptance.sockets import Connection
from tests.acceptance.time_travel import TimeMachine, server_with_clocks
from tests.conftest import SettableClock
from tests.waiting import wait_until


@pytest.fixture
def customer(http: httpx.Client) -> Customer:
    customer = Customer.with_plan(http, "max-pro-240000-monthly")
    tracks = [
        {"subscription_id": customer.subscription_id, "generation_id": f"g-{number}", "model": "lyria-3"}
        for number in range(500)
    ]
    http.post("/v1/charges/batch", json={"charges": tracks}).raise_for_status()
    return customer


def test_a_replay_that_takes_too_long_is_refused_by_its_end(
    http: httpx.Client, customer: Customer, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(patience, "LONG_READ_SECONDS", 0.0)

    answer = http.post(f"{customer.path}/what-if", json={})

    assert (answer.status_code, answer.json()["errors"][0]["field"]) == (422, "until")


def test_a_replay_whose_asker_is_gone_ends(
    http: httpx.Client, customer: Customer, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Its connection to the database is free again long before the replay would have ended."""
    ended: list[bool] = []

    class Slow(patience.Patience):
        def __call__(self) -> None:
            time.sleep(0.05)
            try:
                super().__call__()
            except patience.AskerGone:
                ended.append(True)
                raise

    monkeypatch.setattr("services.http.routes.past.Patience", Slow)
    url = http.base_url
    connection = Connection(str(url))
    connection.send(
        f"POST {customer.path}/what-if HTTP/1.1\r\nHost: x\r\nAuthorization: {http.headers['Authorization']}\r\n"
        "Content-Length: 2\r\n\r\n{}".encode()
    )
    time.sleep(0.2)
    connection.close()

    assert wait_until(lambda: ended)


def test_payments_go_on_while_as_many_replay_as_like(http: httpx.Client, customer: Customer, database_url: str) -> None:
    """Forty at once, of which a few run: the rest wait, or are told to come again."""
    with ThreadPoolExecutor(40) as auditors, psycopg.connect(database_url) as holder:
        holder.execute("LOCK TABLE tallystick.refusals IN ACCESS EXCLUSIVE MODE")  # so that replays hang
        replays = [auditors.submit(http.post, f"{customer.path}/what-if", json={}) for _ in range(40)]
        for number in range(20):
            assert customer.try_charge("lyria-3", f"beside-{number}").status_code == 201
            assert http.get(f"{customer.path}/balance").status_code == 200
        assert http.get("/readyz").status_code == 200
        holder.rollback()
        answers = [replay.result() for replay in replays]

    assert {answer.status_code for answer in answers} <= {200, 503}


def test_an_advance_whose_client_is_gone_goes_on_when_it_is_asked_again(
    listener: Listener, database_url: str, catalogue: Catalogue, clock: SettableClock, monkeypatch: pytest.MonkeyPatch
) -> None:
    with server_with_clocks(listener, database_url, catalogue, clock) as (_, http):
        machine = TimeMachine.at(http, "2026-01-01T00:00:00Z")
        start = {"account_id": "a", "plan_id": "ai-suite-40000-monthly", "test_clock_id": machine.test_clock_id}
        path = f"/v1/subscriptions/{http.post('/v1/subscriptions', json=start).json()['subscription_id']}"
        url = f"/v1/test-clocks/{machine.test_clock_id}/advance"
        target = (clock.now + timedelta(days=366 * 300)).isoformat()
        with monkeypatch.context() as patch:
            patch.setattr(patience, "LONG_READ_SECONDS", 0.0)
            cut_short = http.post(url, json={"to": target})
        assert cut_short.status_code == 503

        done = http.post(url, json={"to": target})

        assert done.status_code == 200
        version = http.get(path).json()["version"]
        assert http.post(url, json={"to": target}).json()["recorded"] == {"subscriptions": 0, "events": 0}
        assert http.get(path).json()["version"] == version > 7_000
