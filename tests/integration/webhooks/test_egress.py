"""What an endpoint's address may lead to: nothing but what was judged, whatever the name says later."""

import socket
from ipaddress import IPv4Address, IPv6Address
from typing import Any

import pytest

from services.webhooks import sending
from services.webhooks.store import Endpoint
from tests.integration.webhooks.conftest import Books, Running
from tests.integration.webhooks.receiver import receiving, status
from tests.waiting import wait_until


@pytest.mark.parametrize(
    "host",
    """localhost 127.0.0.1 127.1 2130706433 0x7f000001 0177.0.0.1 0.0.0.0 0 [::1] [::ffff:127.0.0.1] [::127.0.0.1]
    10.0.0.1 192.168.0.1 169.254.169.254 [fe80::1] [64:ff9b::7f00:1] [2002:7f00:1::]""".split(),
)
def test_a_private_address_is_not_connected_to(books: Books, delivering: Running, host: str) -> None:
    subscription = books.start()
    with receiving() as receiver, delivering(allow_private=False):
        endpoint = books.endpoint(f"http://{host}:{receiver.port}/")  # as if it had come past the check at its making
        books.charge(subscription)
        wait_until(lambda: books.store.hold_ups(books.connection, endpoint.webhook_id))
        (hold_up,) = books.store.hold_ups(books.connection, endpoint.webhook_id)
    assert receiver.connections == 0
    assert hold_up.last_status is None
    assert hold_up.last_error is not None
    assert "not globally reachable" in hold_up.last_error or "cannot be resolved" in hold_up.last_error


def test_a_name_that_changes_its_answer_leads_only_to_what_was_judged(
    books: Books, delivering: Running, monkeypatch: pytest.MonkeyPatch
) -> None:
    """127.0.0.2 stands for a public address here, and 127.0.0.1 for a private one."""
    answers: list[str] = []

    def resolve(_host: str, port: int, *_arguments: Any, **_named: Any) -> Any:
        answers.append("127.0.0.2" if len(answers) % 2 == 0 else "127.0.0.1")
        return [(socket.AF_INET, socket.SOCK_STREAM, 6, "", (answers[-1], port))]

    def judge(address: IPv4Address | IPv6Address) -> bool:
        return str(address) == "127.0.0.2"

    with receiving() as private, delivering(allow_private=False):
        monkeypatch.setattr(sending, "is_globally_reachable", judge)
        monkeypatch.setattr(socket, "getaddrinfo", resolve)
        subscription = books.start()
        endpoint = books.endpoint(f"http://rebinding.example:{private.port}/")
        books.charge(subscription)
        for tries in range(1, 7):
            wait_until(lambda tries=tries: _tries(books, endpoint) >= tries)  # type: ignore[misc]
            books.clock.advance(hours=1)
        monkeypatch.undo()
        (hold_up,) = books.store.hold_ups(books.connection, endpoint.webhook_id)
    assert set(answers) == {"127.0.0.1", "127.0.0.2"}
    assert private.connections == 0
    assert hold_up.attempts > 1


def _tries(books: Books, endpoint: Endpoint) -> int:
    return max((each.attempts for each in books.store.hold_ups(books.connection, endpoint.webhook_id)), default=0)


def test_a_redirect_to_a_private_address_is_not_followed(books: Books, delivering: Running) -> None:
    subscription = books.start()
    with receiving() as private:
        location = f"Location: http://127.0.0.1:{private.port}/admin"
        for code in (301, 302, 303, 307, 308):
            with receiving(status(code, location)) as public, delivering():
                endpoint = books.endpoint(public.url)
                books.charge(subscription)
                wait_until(lambda endpoint=endpoint: books.store.hold_ups(books.connection, endpoint.webhook_id))  # type: ignore[misc]
                (hold_up,) = books.store.hold_ups(books.connection, endpoint.webhook_id)
                assert hold_up.last_status == code
                books.store.delete(books.connection, endpoint.webhook_id)
    assert private.connections == 0
