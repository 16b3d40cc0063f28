"""Requests byte by byte: however a request arrives, it is answered alike, once, and in its turn."""

import json
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack, closing, contextmanager

import httpx
import psycopg
import pytest

from services.http.app import create_app
from services.http.server.edge import Edge
from services.http.server.exchange import BODY_LIMIT_BYTES
from tests.acceptance.server import Customer, Server, listening
from tests.acceptance.sockets import Connection
from tests.conftest import SCHEMA
from tests.waiting import wait_until


@pytest.fixture
def customer(http: httpx.Client) -> Customer:
    return Customer.with_plan(http, "ai-starter-16500-monthly")


@pytest.fixture
def connection(server: Server) -> Iterator[Connection]:
    opened = Connection(server.url)
    yield opened
    opened.close()


@pytest.fixture
def authorization(server: Server) -> bytes:
    return b"Host: tallystick\r\nAuthorization: Bearer " + server.secret.encode() + b"\r\n"


@pytest.fixture
def balance(customer: Customer, authorization: bytes) -> bytes:
    """A request that reads the balance."""
    return f"GET {customer.path}/balance HTTP/1.1\r\n".encode() + authorization + b"\r\n"


Charge = Callable[..., bytes]


@pytest.fixture
def charge(customer: Customer, authorization: bytes) -> Charge:
    """Makes requests that charge a track at 150 credits."""

    def make(generation_id: str = "track-1", more: bytes = b"", version: str = "1.1") -> bytes:
        body = json.dumps({"generation_id": generation_id, "model": "lyria-3"}).encode()
        head = f"POST {customer.path}/charges HTTP/{version}\r\nContent-Length: {len(body)}\r\n".encode()
        return head + authorization + more + b"\r\n" + body

    return make


@contextmanager
def nothing_can_be_recorded(database_url: str) -> Iterator[None]:
    """Hold the head row, so that a charge stays under way."""
    with psycopg.connect(database_url) as holder:
        holder.execute(f"SELECT last_id FROM {SCHEMA}.head FOR UPDATE")
        yield


@pytest.fixture
def batch(customer: Customer, authorization: bytes) -> bytes:
    """A request that charges two tracks at 150 credits each."""
    charges = [
        {"subscription_id": customer.subscription_id, "generation_id": generation_id, "model": "lyria-3"}
        for generation_id in ("track-8", "track-9")
    ]
    body = json.dumps({"charges": charges}).encode()
    return b"POST /v1/charges/batch HTTP/1.1\r\nContent-Length: %d\r\n%b\r\n%b" % (len(body), authorization, body)


def test_a_plain_request_needs_no_asgi(
    connection: Connection, charge: Charge, batch: bytes, balance: bytes, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delattr(Edge, "__call__")

    answers = []
    for request in (charge(), batch, balance):
        connection.send(request)
        answers.append(connection.answer())

    charged, charged_together, left = answers
    assert [answer.status for answer in answers] == [201, 200, 200]
    assert charged.json["balance_after"] == 16_350
    assert [result["status"] for result in charged_together.json["results"]] == [201, 201]
    assert left.json["balance_credits"] == 16_050


def test_idempotency_keys_hold_for_plain_requests(connection: Connection, charge: Charge, batch: bytes) -> None:
    for number, request in enumerate((charge(), batch)):
        keyed = request.replace(b"\r\n", b"\r\nIdempotency-Key: %d\r\n" % number, 1)
        connection.send(keyed)
        first = connection.answer()
        connection.send(keyed)
        again = connection.answer()

        connection.send(keyed.replace(b"lyria-3", b"lyria-9"))
        other = connection.answer()

        assert (first.status, again.status, other.status) == (201 if request is not batch else 200, 200, 422)
        assert other.json["code"] == "idempotency_key_reused"


def _apart(request: bytes) -> list[bytes]:
    head, end, body = request.partition(b"\r\n\r\n")
    return [head + end, body]


def _small_pieces(request: bytes) -> list[bytes]:
    return [request[start : start + 50] for start in range(0, len(request), 50)]


def _with_a_header(header: bytes) -> Callable[[bytes], list[bytes]]:
    return lambda request: [request.replace(b"\r\n", b"\r\n" + header + b"\r\n", 1)]


def _chunked(request: bytes) -> list[bytes]:
    head, _, body = request.partition(b"\r\n\r\n")
    lines = [line for line in head.split(b"\r\n") if not line.startswith(b"Content-Length")]
    return [b"\r\n".join([*lines, b"Transfer-Encoding: chunked", b"", b"%x" % len(body), body, b"0", b"", b""])]


@pytest.mark.parametrize(
    "sent",
    [
        _apart,
        _small_pieces,
        _chunked,
        _with_a_header(b"Connection: close"),
        _with_a_header(b"Connection: keep-alive"),
        lambda request: [request.replace(b"HTTP/1.1", b"HTTP/1.0")],
        lambda request: [request.replace(b"POST /v1/", b"POST http://tallystick/v1/")],
        lambda request: [request.replace(b"/charges", b"/%63harges")],
    ],
    ids=["body apart", "in pieces", "chunked", "close", "keep-alive", "HTTP/1.0", "absolute", "percent-encoded"],
)
def test_a_request_is_answered_alike_however_it_is_sent(
    server: Server, charge: Charge, sent: Callable[[bytes], list[bytes]]
) -> None:
    plain, other = Connection(server.url), Connection(server.url)
    plain.send(charge())
    plain.answer()

    plain.send(charge(more=b"Request-Id: same\r\n"))
    other.send(*sent(charge(more=b"Request-Id: same\r\n")))
    expected, answer = plain.answer(), other.answer()

    assert answer.status == expected.status == 200
    assert answer.body == expected.body
    for each in (answer, expected):
        each.headers.pop("date")
        each.headers.pop("connection", None)
    assert list(answer.headers.items()) == list(expected.headers.items())
    plain.close()
    other.close()


@pytest.mark.parametrize(
    ("version", "more"), [("1.1", b"Connection: close\r\n"), ("1.0", b"")], ids=["close", "HTTP/1.0"]
)
def test_a_connection_is_closed_on_request(connection: Connection, charge: Charge, version: str, more: bytes) -> None:
    connection.send(charge(version=version, more=more))

    answer = connection.answer()
    assert (answer.status, answer.headers["connection"]) == (201, "close")
    assert connection.is_closed()


def test_a_client_that_expects_100_continue_gets_it(connection: Connection, charge: Charge) -> None:
    head, body = _apart(charge(more=b"Expect: 100-continue\r\n"))

    connection.send(head)
    interim = connection.answer()
    connection.send(body)

    assert (interim.status, interim.headers) == (100, {})
    assert connection.answer().status == 201


def test_pipelined_requests_are_answered_in_their_order(connection: Connection, charge: Charge, balance: bytes) -> None:
    connection.send(charge("track-1") + balance + charge("track-2") + charge("track-1") + balance)
    answers = [connection.answer() for _ in range(5)]
    connection.send(charge("track-3"))

    assert [answer.status for answer in answers] == [201, 200, 201, 200, 200]
    assert [answers[place].json["balance_credits"] for place in (1, 4)] == [16_350, 16_200]
    assert connection.answer().json["balance_after"] == 16_050


def test_a_client_that_reads_late_gets_every_answer_in_order(connection: Connection, balance: bytes) -> None:
    request_ids = [f"request-{number}" for number in range(10_000)]
    line, _, _ = balance.partition(b"\r\n")  # without a key
    requests = [line + f"\r\nHost: tallystick\r\nRequest-Id: {id}\r\n\r\n".encode() for id in request_ids]

    def send_each() -> None:
        for request in requests:
            connection.socket.sendall(request)

    sending = threading.Thread(target=send_each)
    sending.start()
    time.sleep(0.5)
    answers = [connection.answer() for _ in request_ids]
    sending.join()

    assert [answer.headers["request-id"] for answer in answers] == request_ids
    assert {answer.status for answer in answers} == {401}


def test_a_charge_is_carried_out_although_its_client_disconnects(
    database_url: str, customer: Customer, connection: Connection, charge: Charge
) -> None:
    with nothing_can_be_recorded(database_url):
        connection.send(charge())
        time.sleep(0.1)
        connection.close()

    wait_until(lambda: customer.balance == 16_350)


def test_a_charge_under_way_is_answered_before_the_service_stops(
    server: Server, database_url: str, charge: Charge
) -> None:
    with listening(create_app(server.backend)) as (url, service):
        idle, busy = Connection(url), Connection(url)
        idle.send(b"GET /livez HTTP/1.1\r\nHost: x\r\n\r\n")
        assert idle.answer().status == 200
        with nothing_can_be_recorded(database_url):
            busy.send(charge())
            wait_until(lambda: service.server_state.tasks)
            service.should_exit = True
            assert idle.is_closed()

        answer = busy.answer()
        assert (answer.status, answer.headers["connection"]) == (201, "close")
        assert busy.is_closed()
        idle.close()
        busy.close()


def test_a_stop_is_announced_and_fails_no_request(server: Server, charge: Charge) -> None:
    """Old connections and new ones are answered meanwhile, each for the last time."""
    app = create_app(server.backend)
    ready = b"GET /readyz HTTP/1.1\r\nHost: x\r\n\r\n"
    with listening(app, stop_seconds=1.5) as (url, service), ExitStack() as opened:

        def connect() -> Connection:
            return opened.enter_context(closing(Connection(url)))

        kept = connect()
        kept.send(ready)
        assert (answer := kept.answer()).status == 200
        assert "connection" not in answer.headers

        service.should_exit = True
        assert wait_until(lambda: app.fast_path.service.stop.is_announced)

        for number, connection in enumerate((kept, connect(), connect())):
            connection.send(charge(f"stopping-{number}"))
            answer = connection.answer()
            assert (answer.status, answer.headers["connection"]) == (201, "close")
            assert connection.is_closed()
        asking = connect()
        asking.send(ready)
        answer = asking.answer()
        assert (answer.status, answer.headers["connection"]) == (503, "close")
        assert (answer.json["status"], answer.json["accepting"]) == ("not_ready", False)


def test_a_body_that_is_too_large_is_refused(connection: Connection, charge: Charge) -> None:
    head, body = _apart(charge())
    padding = b" " * (BODY_LIMIT_BYTES + 1 - len(body))
    length, longer = b"Content-Length: %d" % len(body), b"Content-Length: %d" % (BODY_LIMIT_BYTES + 1)

    connection.send(head.replace(length, longer) + body + padding)

    answer = connection.answer()
    assert (answer.status, answer.json["code"]) == (413, "request_too_large")


@pytest.mark.parametrize(
    "request_line",
    [b"POST", b"POST /v1/charges/batch HTTP/1.1\r\nContent-Length: ten", b"\x16\x03\x01\x02\x00"],
    ids=["half a line", "a length that is none", "TLS"],
)
def test_bytes_that_are_not_http_are_refused(connection: Connection, charge: Charge, request_line: bytes) -> None:
    connection.send(charge())
    assert connection.answer().status == 201

    connection.send(request_line + b"\r\n\r\n")

    assert connection.answer().status == 400
    assert connection.is_closed()


@pytest.mark.parametrize(
    ("before", "after", "status", "code"),
    [
        (b"Authorization: Bearer ", b"Authorization: Basic ", 401, "unauthenticated"),
        (b"/charges", b"/charges?dry_run=1", 422, "invalid_request"),
        (b"POST", b"PATCH", 405, "method_not_allowed"),
        (b'{"generation_id"', b'{{generation_id"', 400, "malformed_request"),
        (b"/subscriptions/", b"/subscriptions/0-", 404, "unknown_subscription"),
    ],
    ids=["no key", "a query", "another method", "no JSON", "no id"],
)
def test_a_refusal_is_a_problem_with_the_id_of_its_request(
    connection: Connection, charge: Charge, before: bytes, after: bytes, status: int, code: str
) -> None:
    connection.send(charge(more=b"Request-Id: mine\r\n").replace(before, after))

    answer = connection.answer()
    assert (answer.status, answer.headers["content-type"]) == (status, "application/problem+json")
    assert (answer.json["code"], answer.json["request_id"]) == (code, "mine")
    assert answer.headers["request-id"] == "mine"


def test_plain_requests_are_counted(
    http: httpx.Client, customer: Customer, connection: Connection, balance: bytes
) -> None:
    for _ in range(3):
        connection.send(balance)
        connection.answer()

    counted = 'tallystick_http_request_seconds_count{method="GET",route="/v1/subscriptions/{subscription_id}/balance"'
    assert f'{counted},status="200"}} 3.0\n' in http.get("/metrics").text
