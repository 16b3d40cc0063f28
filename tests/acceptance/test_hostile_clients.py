"""Clients that break the protocol, or are slow, or are many: each gets its answer or its end, and the others theirs."""

import gc
import json
import socket
import struct
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import ExitStack, suppress
from random import Random
from select import select

import httpx
import pytest

from services.http.server import limits
from services.http.server.wire import Protocol
from tests.acceptance.server import Customer, Server
from tests.acceptance.sockets import Connection
from tests.faults.seeds import seeded
from tests.waiting import PATIENCE_SECONDS, wait_until

PIPELINES = 150
GARBAGE = (
    b"GARBAGE\r\n\r\n",
    b"\x00\xff\xfe\r\n\r\n",
    b"GET / HTTP/9.9\r\n\r\n",
    b"POST / HTTP/1.1\r\nHost: x\r\nContent-Length: -1\r\n\r\n",
    b"POST / HTTP/1.1\r\nHost: x\r\nContent-Length: 5\r\nContent-Length: 6\r\n\r\nabcde",
    b"GET / HTTP/1.1\r\nHost: x\r\nA B: c\r\n\r\n",
)


@pytest.fixture
def customer(http: httpx.Client) -> Customer:
    return Customer.with_plan(http, "max-pro-240000-monthly")


@pytest.fixture
def head(server: Server, customer: Customer) -> Callable[..., bytes]:
    """Makes the head of a request with a key, down to the empty line."""

    def make(method: str, path: str, *lines: str, host: str | None = "tallystick") -> bytes:
        given = [f"{method} {path} HTTP/1.1", f"Authorization: Bearer {server.secret}", *lines]
        return "\r\n".join([*given, *([f"Host: {host}"] if host else []), "", ""]).encode()

    return make


@pytest.fixture
def connect(server: Server) -> Iterator[Callable[[], Connection]]:
    with ExitStack() as opened:

        def make() -> Connection:
            connection = Connection(server.url)
            opened.callback(connection.close)
            return connection

        yield make


Head = Callable[..., bytes]
Connect = Callable[[], Connection]


def charge_body(generation_id: str) -> bytes:
    return json.dumps({"generation_id": generation_id, "model": "lyria-3"}).encode()


def charge(head: Head, customer: Customer, generation_id: str) -> bytes:
    body = charge_body(generation_id)
    return head("POST", f"{customer.path}/charges", f"Content-Length: {len(body)}") + body


@pytest.mark.parametrize("garbage", GARBAGE)
def test_a_charge_with_garbage_behind_it_is_answered_first(
    connect: Connect, head: Head, customer: Customer, garbage: bytes
) -> None:
    connection = connect()
    connection.send(charge(head, customer, "track") + garbage)

    charged, refused = connection.answer(), connection.answer()

    assert (charged.status, charged.json["generation_id"]) == (201, "track")
    assert (refused.status, refused.json["code"], refused.headers["connection"]) == (400, "malformed_request", "close")
    assert refused.json["request_id"].lower() == refused.headers["request-id"]
    assert connection.is_closed()
    assert customer.balance == 240_000 - 150


def test_pipelines_that_are_cut_anywhere_are_answered_in_order(
    connect: Connect, head: Head, customer: Customer
) -> None:
    """Valid requests, then perhaps garbage, in pieces cut at random: as many answers, each the right one."""
    random = seeded("pipelines")
    charged = 0
    for number in range(PIPELINES):
        charged += _pipeline(connect(), head, customer, random, number)

    assert customer.balance == 240_000 - 150 * charged
    print(f"{PIPELINES} pipelines, {charged} charges")


def _pipeline(connection: Connection, head: Head, customer: Customer, random: Random, number: int) -> int:
    expected: list[tuple[int, str]] = []
    sent = b""
    for place in range(random.randint(0, 4)):
        id = f"g-{number}-{place}"
        kind = random.choice(("charge", "balance", "plans"))
        if kind == "charge":
            sent += charge(head, customer, id)
            expected.append((201, id))
        elif kind == "balance":
            sent += head("GET", f"{customer.path}/balance")
            expected.append((200, "balance_credits"))
        else:
            sent += head("GET", "/v1/plans/ai-suite-40000-monthly")
            expected.append((200, "ai-suite-40000-monthly"))
    if random.random() < 0.5:
        sent += random.choice(GARBAGE)
        expected.append((400, "malformed_request"))
    cuts = sorted(random.randrange(len(sent) + 1) for _ in range(random.randint(0, 3)))
    connection.socket.setblocking(True)
    for begin, end in zip([0, *cuts], [*cuts, len(sent)], strict=True):
        connection.socket.sendall(sent[begin:end])
        time.sleep(random.choice((0, 0, 0.001)))
    for status, text in expected:
        answer = connection.answer()
        assert (answer.status, text in answer.body.decode()) == (status, True), (sent, answer)
    return sum(status == 201 for status, _ in expected)


def test_what_is_no_request_is_counted(connect: Connect, http: httpx.Client) -> None:
    connection = connect()
    connection.send(GARBAGE[0])

    assert connection.answer().status == 400
    assert 'method="OTHER",route="unmatched",status="400"' in http.get("/metrics").text


@pytest.mark.parametrize(
    "sent",
    [
        b"GET /livez HTTP/1.1\r\nHost: x\r\nX: " + b"a" * 200_000,
        b"GET /livez HTTP/1.1\r\nHost: x\r\nX: " + b"a" * 40_000 + b"\r\n\r\n",
        b"GET /livez HTTP/1.1\r\nHost: x\r\n" + b"A: b\r\n" * 101 + b"\r\n",
        b"GET /" + b"a" * 200_000,
    ],
    ids=["a line without end", "a long line", "many lines", "a long path"],
)
def test_a_head_is_bounded(connect: Connect, sent: bytes) -> None:
    connection = connect()
    connection.send(sent)

    answer = connection.answer()

    assert (answer.status, answer.json["code"]) == (431, "headers_too_large")


def test_a_host_is_needed(connect: Connect, head: Head, customer: Customer) -> None:
    for path in (f"{customer.path}/balance", "/v1/plans", "/livez"):
        connection = connect()
        connection.send(head("GET", path, host=None))
        answer = connection.answer()
        assert (answer.status, answer.json["code"]) == (400, "malformed_request")


def test_a_trailer_is_no_header(connect: Connect, head: Head, server: Server, customer: Customer) -> None:
    body = charge_body("track")
    request = (
        f"POST {customer.path}/charges HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\n"
        f"Trailer: Authorization\r\n\r\n{len(body):x}\r\n{body.decode()}\r\n0\r\n"
        f"Authorization: Bearer {server.secret}\r\n\r\n"
    )
    for pieces in ([request.encode()], [request.encode()[:200], request.encode()[200:]]):
        connection = connect()
        connection.send(*pieces)
        assert connection.answer().status == 401


@pytest.mark.parametrize("path", ["/balance%0a", "/balance%0D%0A", "/%00", "/charges%0a"])
def test_a_path_with_a_line_feed_is_no_path(connect: Connect, head: Head, customer: Customer, path: str) -> None:
    connection = connect()
    connection.send(head("GET", customer.path + path))

    assert connection.answer().status == 404


def test_an_encoded_body_is_refused(connect: Connect, head: Head, customer: Customer) -> None:
    body = charge_body("track")
    for resource in ("charges", "cancel"):
        connection = connect()
        lines = ("Content-Encoding: gzip", f"Content-Length: {len(body)}")
        connection.send(head("POST", f"{customer.path}/{resource}", *lines) + body)
        answer = connection.answer()
        assert (answer.status, answer.json["code"]) == (415, "unsupported_encoding")


def test_a_client_that_closes_its_side_gets_its_answers(connect: Connect, head: Head, customer: Customer) -> None:
    connection = connect()
    connection.send(charge(head, customer, "one") + head("GET", "/v1/plans") + charge(head, customer, "two"))
    connection.socket.shutdown(socket.SHUT_WR)

    assert [connection.answer().status for _ in range(3)] == [201, 200, 201]
    assert connection.is_closed()


def test_head_answers_as_get_without_a_body(http: httpx.Client, customer: Customer) -> None:
    for path in (f"{customer.path}/balance", f"{customer.path}/charges", "/v1/plans", "/livez", "/openapi.json"):
        answer, whole = http.head(path), http.get(path)
        assert (answer.status_code, answer.content) == (200, b"")
        assert answer.headers["content-type"] == whole.headers["content-type"]
        if "as_of" not in whole.text:
            assert answer.headers["content-length"] == whole.headers["content-length"]


def test_another_ids_header_is_taken_where_it_is_all_there_is(http: httpx.Client) -> None:
    long = "r" * 128
    assert http.get("/livez", headers={"X-Request-Id": long}).headers["request-id"] == long
    both = {"X-Request-Id": "proxy", "Request-Id": "own"}
    assert http.get("/livez", headers=both).headers["request-id"] == "own"


@pytest.fixture
def impatient(monkeypatch: pytest.MonkeyPatch) -> None:
    """Wait for slow clients for tenths of a second, and not for tens of seconds."""
    for name in ("SILENT_SECONDS", "HEAD_SECONDS", "BODY_SECONDS", "HALF_CLOSED_SECONDS"):
        monkeypatch.setattr(limits, name, 0.3)
    monkeypatch.setattr(limits, "ANSWER_SECONDS", 1.0)
    monkeypatch.setattr(limits, "SWEEP_SECONDS", 0.1)


@pytest.mark.usefixtures("impatient")
@pytest.mark.parametrize(
    "sent", [b"", b"GET /livez HT", b"GET /livez HTTP/1.1\r\nHost: x\r\n"], ids=["none", "line", "head"]
)
def test_a_head_is_awaited_for_a_time(connect: Connect, sent: bytes) -> None:
    connection = connect()
    connection.send(sent)

    assert _is_ended(connection)


@pytest.mark.usefixtures("impatient")
def test_a_caller_with_a_key_may_leave_its_connection_idle_for_longer(
    connect: Connect, head: Head, customer: Customer
) -> None:
    """A pool of connections ends them itself: were it us, the end would cross the next request."""
    stranger, known = connect(), connect()
    for connection, path in ((stranger, "/livez"), (known, f"{customer.path}/balance")):
        connection.send(head("GET", path))
        assert connection.answer().status == 200

    assert _is_ended(stranger)
    known.send(charge(head, customer, "track"))

    assert known.answer().status == 201


@pytest.mark.usefixtures("impatient")
@pytest.mark.parametrize("path", ["/charges", "/cancel"])
def test_a_body_is_awaited_for_a_time(connect: Connect, head: Head, customer: Customer, path: str) -> None:
    connection = connect()
    connection.send(head("POST", customer.path + path, "Content-Length: 100") + b'{"when"')

    assert _is_ended(connection)


@pytest.mark.usefixtures("impatient")
def test_an_answer_that_nobody_takes_is_given_up(
    connect: Connect, server: Server, head: Head, customer: Customer, monkeypatch: pytest.MonkeyPatch
) -> None:
    connection = connect()
    connection.socket.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
    requests = head("GET", "/openapi.json") * 40
    connection.send(requests)

    def is_gone() -> bool:
        try:
            connection.socket.send(b"")
            connection.socket.sendall(head("GET", "/livez"))
        except OSError:
            return True
        return False

    assert wait_until(is_gone)


def _is_ended(connection: Connection) -> bool:
    """Wait for the end of the connection; no answer comes."""
    try:
        return connection.is_closed()
    except ConnectionResetError:
        return True


HALF_A_BODY = b"POST /v1/charges/batch HTTP/1.1\r\nHost: x\r\nContent-Length: 60000\r\n\r\n" + b" " * 30_000
UNREAD = b"GET /openapi.json HTTP/1.1\r\nHost: x\r\n\r\n" * 20


@pytest.mark.parametrize(
    "sent", [b"GET /livez HTTP", HALF_A_BODY, UNREAD], ids=["half a head", "half a body", "unread"]
)
@pytest.mark.parametrize("is_reset", [False, True], ids=["closed", "reset"])
def test_nothing_is_kept_of_a_connection_that_has_ended(connect: Connect, sent: bytes, is_reset: bool) -> None:
    def kept() -> list[object]:
        return [each for each in gc.get_objects() if isinstance(each, Protocol) and each.transport.is_closing()]

    gc.collect()
    gc.disable()  # as a service seldom has time for it
    try:
        for _ in range(5):
            connection = connect()
            connection.send(sent)
            if b"\r\n\r\n" in sent:
                assert select([connection.socket], [], [], PATIENCE_SECONDS)[0]  # the first answer is there
            if is_reset:
                connection.socket.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
            connection.close()
        wait_until(lambda: not kept())
    finally:
        gc.enable()


def test_of_too_many_connections_those_end_that_ask_for_nothing(
    connect: Connect, server: Server, head: Head, customer: Customer, monkeypatch: pytest.MonkeyPatch
) -> None:
    known = connect()
    known.send(head("GET", f"{customer.path}/balance"))
    assert known.answer().status == 200
    bounded = limits.Connections.add

    def add(self: limits.Connections, *arguments: object) -> None:
        limit, self.limit = self.limit, 20
        bounded(self, *arguments)  # type: ignore[arg-type] # as they came
        self.limit = limit

    monkeypatch.setattr(limits.Connections, "add", add)
    silent = [connect() for _ in range(40)]
    for connection in silent:
        connection.send(b"G")  # the system hands over none that is silent

    known.send(head("GET", f"{customer.path}/balance"))
    assert known.answer().status == 200
    ended = wait_until(lambda: found if len(found := _readable(silent)) > 20 else [])
    rest = [each for each in silent if each.socket not in ended]
    assert len(rest) == 19
    for connection in rest:
        connection.send(head("GET", f"{customer.path}/balance")[1:])
        assert connection.answer().status == 200


def _readable(connections: Sequence[Connection]) -> list[socket.socket]:
    """Those that are ended, of some to which nothing was answered."""
    return select([each.socket for each in connections], [], [], 0)[0]


@pytest.mark.parametrize("part", [b"1000\r\n" + b" " * 4096 + b"\r\n", b"A: b\r\n" * 800], ids=["body", "trailers"])
@pytest.mark.parametrize("path", ["/charges", "/cancel"])
def test_a_body_without_end_is_refused_in_time(
    connect: Connect, head: Head, customer: Customer, path: str, part: bytes
) -> None:
    connection = connect()
    connection.send(head("POST", customer.path + path, "Transfer-Encoding: chunked"))
    if part.startswith(b"A"):
        connection.send(b"0\r\n")
    with suppress(OSError):
        for _ in range(2_000):
            connection.socket.sendall(part)

    answer = connection.answer()

    assert (answer.status, answer.json["code"]) == (413, "request_too_large")
    assert connection.is_closed()


@pytest.mark.parametrize("resource", ["charges", "cancel"])
@pytest.mark.parametrize("key", ["", "no such key"])
def test_a_body_that_is_none_gets_one_answer(
    connect: Connect, head: Head, customer: Customer, server: Server, resource: str, key: str
) -> None:
    """Whether the parser or the key is refused first."""
    request = head("POST", f"{customer.path}/{resource}", "Transfer-Encoding: chunked")
    if key:
        request = request.replace(server.secret.encode(), b"ts_nobody_0123456789")
    for pieces in ([request + b"zz\r\n\r\n"], [request, b'5\r\n{"whe', b"zz\r\n\r\n"]):
        connection = connect()
        connection.send(*pieces)
        assert connection.answer().status in {400, 401}
        assert connection.is_closed()
    assert customer.get()["status"] == "active"
