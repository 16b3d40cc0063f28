"""What endpoints are sent: everything, in order per subscription, again where it was not taken."""

import socket
import time
from collections import Counter
from datetime import timedelta
from functools import partial
from pathlib import Path
from typing import Any
from uuid import UUID

import pytest
from standardwebhooks import Webhook, WebhookVerificationError

from services.ledger.ledger import utc_now
from services.webhooks import courier, sending
from services.webhooks.deliveries import Before, Deliveries, Delivery
from services.webhooks.messages import Place
from services.webhooks.schedule import PAUSES
from services.webhooks.store import Endpoint
from tests.conftest import SCHEMA
from tests.integration.webhooks.conftest import Books, Running
from tests.integration.webhooks.receiver import OK, Answer, Received, Receiver, receiving, status
from tests.processes import tallystick
from tests.waiting import wait_until


def position_of(received: Received) -> int:
    position: int = received.message["data"]["position"]
    return position


def stream_of(received: Received) -> str:
    stream: str = received.message["data"]["subscription_id"]
    return stream


def positions(receiver: Receiver, subscription_id: UUID | None = None) -> list[int]:
    with receiver.lock:
        return [
            position_of(each)
            for each in receiver.received
            if str(subscription_id or stream_of(each)) == stream_of(each)
        ]


def deliveries(books: Books, endpoint: Endpoint) -> list[Delivery]:
    before = Before(Place(2**62), 2**62)
    part = Deliveries(SCHEMA).part(books.connection, books.now(endpoint), before, 1_000, books.clock.now)
    assert part.rest is None
    return list(part.deliveries)


def statuses(books: Books, endpoint: Endpoint) -> Counter[str]:
    return Counter(each.status for each in deliveries(books, endpoint))


def failing_for(subscription_id: UUID, failure: Answer, otherwise: Answer = OK) -> Answer:
    """Fail for one subscription alone."""

    def answer(received: Received, client: socket.socket) -> None:
        (failure if stream_of(received) == str(subscription_id) else otherwise)(received, client)

    return answer


def test_a_message_is_the_event_signed(books: Books, delivering: Running, clock: Any) -> None:
    subscription = books.start()
    with receiving() as receiver, delivering():
        endpoint = books.endpoint(receiver.url)
        position = books.charge(subscription)
        wait_until(lambda: receiver.received)
    (received,) = receiver.received

    assert received.message_id == f"{endpoint.webhook_id.hex}-{position}"
    assert received.message["type"] == "generation-charged"
    assert received.message["timestamp"] == "2026-01-15T12:00:00Z"
    assert received.message["data"]["type"] == "GenerationCharged"
    assert received.message["data"]["position"] == position
    assert received.headers["content-type"] == "application/json"
    signed_at = {**received.headers}
    with pytest.raises(WebhookVerificationError, match="too old"):  # the test's clock stands in the past
        Webhook(endpoint.secret).verify(received.body, signed_at)
    signature = Webhook(endpoint.secret).sign(received.message_id, clock.now, received.body.decode())
    assert received.headers["webhook-signature"] == signature


def test_only_what_comes_after_its_making_and_is_of_its_types(books: Books, delivering: Running) -> None:
    subscription = books.start()
    books.charge(subscription)
    with receiving() as receiver, delivering():
        endpoint = books.endpoint(receiver.url, ["subscription-started", "generation-charged"])
        other = books.start()
        last = books.charge(other)
        wait_until(lambda: len(receiver.received) == 2)
        wait_until(lambda: books.now(endpoint).position >= last)
    assert [each["type"] for each in receiver.bodies()] == ["subscription-started", "generation-charged"]


def test_a_failing_message_holds_up_its_own_subscription_alone(books: Books, delivering: Running) -> None:
    bad, good = books.start(), books.start()
    with receiving(failing_for(bad, status(500))) as receiver, delivering():
        endpoint = books.endpoint(receiver.url)
        held = [books.charge(bad) for _ in range(3)]
        passed = [books.charge(good) for _ in range(3)]
        wait_until(lambda: positions(receiver, good) == passed)
        wait_until(lambda: books.now(endpoint).position == passed[-1])
        assert set(positions(receiver, bad)) == {held[0]}
        assert statuses(books, endpoint) == {"retrying": 1, "pending": 2, "delivered": 3}

        receiver.answer = OK
        receiver.received.clear()
        books.clock.advance(seconds=2)
        wait_until(lambda: positions(receiver, bad) == held)
        wait_until(lambda: statuses(books, endpoint) == {"delivered": 6})
        again = books.charge(bad)
        wait_until(lambda: positions(receiver, bad) == [*held, again])
    first = deliveries(books, endpoint)[-1]
    assert (first.position, first.attempts, first.last_status) == (held[0], 2, 200)


def reset(_received: Received, client: socket.socket) -> None:
    client.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, b"\x01\x00\x00\x00\x00\x00\x00\x00")
    client.close()


def hang(_received: Received, client: socket.socket) -> None:
    client.settimeout(20)
    client.recv(1)


def drip(_received: Received, client: socket.socket) -> None:
    for each in b"HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n":
        client.sendall(bytes([each]))
        time.sleep(0.1)


def no_http(_received: Received, client: socket.socket) -> None:
    client.sendall(b"what?\r\n\r\n")


def endless_head(_received: Received, client: socket.socket) -> None:
    client.sendall(b"HTTP/1.1 200 OK\r\n")
    while True:
        client.sendall(b"X: " + b"x" * 8_000 + b"\r\n")


@pytest.mark.parametrize(
    ("failure", "last_status"),
    [
        (status(500), 500),
        (status(404), 404),
        (status(302, "Location: http://127.0.0.1:1/"), 302),
        (status(307, "Location: /elsewhere"), 307),
        (reset, None),
        (hang, None),
        (drip, None),
        (no_http, None),
        (endless_head, None),
    ],
)
def test_an_answer_that_takes_nothing_is_tried_again(
    books: Books, delivering: Running, monkeypatch: pytest.MonkeyPatch, failure: Answer, last_status: int | None
) -> None:
    monkeypatch.setattr(sending, "TRY_SECONDS", 0.5)
    subscription = books.start()
    with receiving(failure) as receiver, delivering():
        endpoint = books.endpoint(receiver.url)
        books.charge(subscription)
        wait_until(lambda: statuses(books, endpoint) == {"retrying": 1})
        (delivery,) = deliveries(books, endpoint)
        assert (delivery.attempts, delivery.last_status) == (1, last_status)
        assert (delivery.last_error is None) == (last_status is not None)
        assert delivery.next_attempt_at is not None
        pause = delivery.next_attempt_at - books.clock.now
        assert timedelta(seconds=0.8) <= pause <= timedelta(seconds=1.2)
        first = receiver.received[0]

        receiver.answer = OK
        books.clock.advance(seconds=2)
        wait_until(lambda: statuses(books, endpoint) == {"delivered": 1})
        last = receiver.received[-1]
    assert (last.message_id, last.body, last.path) == (first.message_id, first.body, "/hooks")
    assert last.headers["webhook-timestamp"] == str(int(books.clock.now.timestamp()))


def lying_short(_received: Received, client: socket.socket) -> None:
    client.sendall(b"HTTP/1.1 200 OK\r\nContent-Length: 1000000\r\n\r\nabc")
    client.shutdown(socket.SHUT_RDWR)
    client.close()


def endless_body(_received: Received, client: socket.socket) -> None:
    client.sendall(b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n")
    while True:
        client.sendall(b"1000\r\n" + b"x" * 4096 + b"\r\n")


@pytest.mark.parametrize("answer", [status(204), status(201, body=b"{}"), lying_short, endless_body])
def test_a_status_of_2xx_takes_a_message_whatever_follows(books: Books, delivering: Running, answer: Answer) -> None:
    subscription = books.start()
    with receiving(answer) as receiver, delivering():
        endpoint = books.endpoint(receiver.url)
        books.charge(subscription)
        wait_until(lambda: statuses(books, endpoint) == {"delivered": 1})
        books.charge(subscription)
        wait_until(lambda: statuses(books, endpoint) == {"delivered": 2})
    assert len(receiver.received) == 2


def test_a_message_is_parked_after_three_days_and_the_next_is_tried(
    books: Books, delivering: Running, monkeypatch: pytest.MonkeyPatch
) -> None:
    bad, good = books.start(), books.start()
    with receiving() as receiver, delivering():
        endpoint = books.endpoint(receiver.url)
        first = 0

        def answer(received: Received, client: socket.socket) -> None:
            (status(500) if position_of(received) == first else OK)(received, client)

        receiver.answer = answer
        first = bad_position = max(books.charge(good), 0) + 1
        assert books.charge(bad) == bad_position
        second = books.charge(bad)
        for attempts in range(1, len(PAUSES) + 1):
            wait_until(partial(has_attempts, books, endpoint, first, attempts))
            books.charge(good)  # so that the endpoint does not fail as a whole
            wait_until(lambda: books.now(endpoint).failing_since is None)
            books.clock.advance(seconds=PAUSES[attempts - 1].total_seconds() * 1.25)
        wait_until(lambda: statuses(books, endpoint)["parked"] == 1)
        wait_until(lambda: positions(receiver, bad)[-1] == second)
        tries = [each for each in receiver.received if position_of(each) == first]
        assert len(tries) == 1 + len(PAUSES)
        assert statuses(books, endpoint)["pending"] == 0

        receiver.answer = OK
        books.store.rewind(books.connection, endpoint.webhook_id, first - 1, books.clock.now)
        wait_until(lambda: set(statuses(books, endpoint)) == {"delivered"})


def has_attempts(books: Books, endpoint: Endpoint, position: int, attempts: int) -> bool:
    return [each.attempts for each in deliveries(books, endpoint) if each.position == position] == [attempts]


def test_an_endpoint_that_fails_for_a_day_is_switched_off(books: Books, delivering: Running) -> None:
    subscription = books.start()
    with receiving(status(503)) as receiver, delivering():
        endpoint = books.endpoint(receiver.url)
        charged = [books.charge(subscription) for _ in range(3)]
        wait_until(lambda: statuses(books, endpoint) == {"retrying": 1, "pending": 2})
        assert books.now(endpoint).failing_since == books.clock.now
        books.clock.advance(hours=23)
        wait_until(lambda: deliveries(books, endpoint)[-1].attempts == 2)
        assert books.now(endpoint).disabled_at is None
        books.clock.advance(hours=2)
        wait_until(lambda: books.now(endpoint).disabled_at is not None)
        receiver.received.clear()
        receiver.answer = OK
        charged.append(books.charge(subscription))
        books.clock.advance(hours=2)
        time.sleep(1)
        assert not receiver.received

        books.store.rewind(books.connection, endpoint.webhook_id, 0, books.clock.now)  # which switches it on
        wait_until(lambda: positions(receiver) == charged)


def test_a_whole_outage_writes_few_rows(books: Books, delivering: Running, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(courier, "HELD_UP_MAX", 3)
    subscriptions = [books.start() for _ in range(5)]
    with receiving(status(500)) as receiver, delivering():
        endpoint = books.endpoint(receiver.url)
        for subscription in subscriptions:
            books.charge(subscription)
        wait_until(lambda: len(books.store.hold_ups(books.connection, endpoint.webhook_id)) >= 3)
        charged = {id: [books.charge(id) for _ in range(30)] for id in subscriptions}
        time.sleep(0.5)
        assert len(books.store.hold_ups(books.connection, endpoint.webhook_id)) <= 5
        receiver.answer = OK
        receiver.received.clear()
        books.clock.advance(seconds=2)
        wait_until(lambda: statuses(books, endpoint) == {"delivered": 155})
    for id in subscriptions:
        assert positions(receiver, id)[1:] == charged[id]
    assert books.store.hold_ups(books.connection, endpoint.webhook_id) == []


def has_more_than(receiver: Receiver, count: int) -> bool:
    return len(receiver.received) > count


def test_a_stop_repeats_nothing(books: Books, delivering: Running) -> None:
    subscriptions = [books.start() for _ in range(5)]
    with receiving() as receiver:
        books.endpoint(receiver.url)
        charged = [books.charge(subscriptions[number % 5]) for number in range(200)]
        while len(receiver.received) < len(charged):
            with delivering():
                wait_until(partial(has_more_than, receiver, len(receiver.received)))
    assert sorted(positions(receiver)) == charged


def test_one_role_delivers_at_a_time(books: Books, delivering: Running) -> None:
    subscription = books.start()
    with receiving() as receiver, delivering(), delivering():
        endpoint = books.endpoint(receiver.url)
        charged = [books.charge(subscription) for _ in range(50)]
        wait_until(lambda: books.now(endpoint).position == charged[-1])
    assert positions(receiver) == charged


def test_a_checkpoint_that_is_signed_is_told_once(books: Books, delivering: Running) -> None:
    with receiving() as receiver, delivering():
        endpoint = books.endpoint(receiver.url, ["checkpoint-signed"])
        books.endpoint(receiver.url, ["generation-charged"])
        for size in (7, 9):
            books.connection.execute(
                f"INSERT INTO {SCHEMA}.log_checkpoints (number, size, signed_at, log, origin, root, handover, note) "
                "VALUES (%s, %s, %s, 'events', 'tallystick/1', %s, false, %s)",
                [size, size, books.clock.now, bytes(32), f"tallystick/1\n{size}\n"],
            )
            wait_until(partial(has_more_than, receiver, 0 if size == 7 else 1))
        time.sleep(1)
    assert [each["type"] for each in receiver.bodies()] == ["checkpoint-signed"] * 2
    assert [each["data"] for each in receiver.bodies()] == [
        {"origin": "tallystick/1", "size": size, "note": f"tallystick/1\n{size}\n"} for size in (7, 9)
    ]
    assert statuses(books, endpoint) == {"delivered": 2}


def test_what_a_verification_finds_is_told(
    books: Books, delivering: Running, database_url: str, tmp_path: Path
) -> None:
    books.charge(books.start())
    with receiving() as receiver, delivering():
        books.endpoint(receiver.url, ["verification-failed"])
        books.connection.execute(f"UPDATE {SCHEMA}.balance SET used_credits = used_credits + 1")
        assert tallystick("verify", folder=tmp_path, database_url=database_url).returncode == 1
        books.clock.now = utc_now()  # by which the finding is told
        wait_until(lambda: receiver.received)
    data = receiver.bodies()[0]["data"]
    assert data["findings"] >= 1
    assert data["first"]
