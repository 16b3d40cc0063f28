"""The receivers of the guide `receive-webhooks.md`, as a reader copies them, and the rules that they verify by."""

import base64
import hashlib
import hmac
import json
import os
import re
import shutil
import subprocess
import threading
import time
from collections.abc import Iterator
from http.server import ThreadingHTTPServer
from pathlib import Path
from typing import Any

import httpx
import pytest

from services.ledger.ledger import utc_now
from tests.acceptance.server import Customer, Server
from tests.acceptance.test_webhooks import delivering_in_the_time_of, make, of
from tests.processes import free_port
from tests.waiting import wait_until

GUIDE = Path(__file__).parents[2] / "docs/how-to/receive-webhooks.md"
NODE = shutil.which("node")
SECRET = "whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw"


def block(language: str) -> str:
    (source,) = re.findall(rf"```{language}\n(.*?)```", GUIDE.read_text(), re.DOTALL)
    return str(source)


@pytest.fixture
def python() -> dict[str, Any]:
    names: dict[str, Any] = {}
    exec(block("python"), names)
    return names


@pytest.fixture
def customer(http: httpx.Client) -> Customer:
    return Customer.with_plan(http, "ai-suite-40000-monthly")


@pytest.fixture(autouse=True)
def _delivering(database_url: str) -> Iterator[None]:
    """The role in real time, since a receiver takes only what was signed within minutes."""
    with delivering_in_the_time_of(utc_now, database_url):
        yield


def signed(message_id: str, timestamp: int, body: str, secret: str = SECRET) -> str:
    """A signature by the words of the specification, without any of the product's code or its library."""
    key = base64.b64decode(secret.split("_", 1)[1])
    digest = hmac.new(key, f"{message_id}.{timestamp}.{body}".encode(), hashlib.sha256).digest()
    return f"v1,{base64.b64encode(digest).decode()}"


def tricks() -> list[tuple[str, dict[str, str], str, bool]]:
    """Requests to verify: a name, headers, a body, and whether it is to be taken."""
    now, body = int(time.time()), '{"type":"webhook-test","timestamp":"2026-01-01T00:00:00Z","data":{}}'

    def headers(**changes: str) -> dict[str, str]:
        whole = {"webhook-id": "m-1", "webhook-timestamp": str(now), "webhook-signature": signed("m-1", now, body)}
        return {**whole, **{name.replace("_", "-"): value for name, value in changes.items()}}

    other = "whsec_" + base64.b64encode(b"another secret of 24 byte").decode()
    true = signed("m-1", now, body)
    return [
        ("as sent", headers(), body, True),
        ("two signatures", headers(webhook_signature=f"{signed('m-1', now, body, other)} {true}"), body, True),
        ("another version beside", headers(webhook_signature=f"v1a,AAAA {true}"), body, True),
        ("another body", headers(), body.replace("test", "tost"), False),
        ("another id", headers(webhook_id="m-2"), body, False),
        ("another time", headers(webhook_timestamp=str(now - 1)), body, False),
        (
            "too old",
            headers(webhook_timestamp=str(now - 301), webhook_signature=signed("m-1", now - 301, body)),
            body,
            False,
        ),
        (
            "of the future",
            headers(webhook_timestamp=str(now + 400), webhook_signature=signed("m-1", now + 400, body)),
            body,
            False,
        ),
        ("another secret", headers(webhook_signature=signed("m-1", now, body, other)), body, False),
        ("no signature", headers(webhook_signature=""), body, False),
        ("half a signature", headers(webhook_signature=true[:-4]), body, False),
        ("no number", headers(webhook_timestamp="soon"), body, False),
    ]


def play_tricks(url: str) -> dict[str, int]:
    with httpx.Client(timeout=30) as client:
        return {
            name: client.post(url, headers=headers, content=body).status_code for name, headers, body, _ in tricks()
        }


EXPECTED = {name: 204 if is_taken else 400 for name, _, _, is_taken in tricks()}


def test_the_receiver_in_python_keeps_each_message_once(
    http: httpx.Client, customer: Customer, python: dict[str, Any]
) -> None:
    receiver = python["Receiver"]
    with ThreadingHTTPServer(("127.0.0.1", 0), receiver) as server:
        serving = threading.Thread(target=server.serve_forever)
        serving.start()
        try:
            url = f"http://127.0.0.1:{server.server_address[1]}/hooks"
            webhook = make(http, url)
            receiver.secret = webhook["secret"]
            charged = [customer.charge()["position"] for _ in range(3)]
            wait_until(lambda: len(receiver.kept) == 3)
            http.post(f"/v1/webhooks/{webhook['webhook_id']}/replay", json={"after_position": 0})
            wait_until(lambda: of(http, webhook)["position"] == charged[-1])
            assert [each["data"]["position"] for each in receiver.kept.values()] == charged
            receiver.secret = SECRET
            assert play_tricks(url) == EXPECTED
        finally:
            server.shutdown()
            serving.join()


@pytest.mark.skipif(NODE is None, reason="Node is not installed: the receiver in TypeScript is not run")
def test_the_receiver_in_typescript_keeps_each_message_once(
    http: httpx.Client, server: Server, customer: Customer, tmp_path: Path
) -> None:
    assert NODE is not None
    program = tmp_path / "receiver.mjs"
    program.write_text(without_types(block("typescript")))
    port = free_port()
    webhook = make(http, f"http://127.0.0.1:{port}/hooks")
    with running_node(program, port, webhook["secret"]) as process:
        charged = [customer.charge()["position"] for _ in range(3)]
        assert process.stdout is not None
        kept = [json.loads(process.stdout.readline()) for _ in charged]
        process.terminate()
    assert [each["type"] for each in kept] == ["generation-charged"] * 3
    assert [int(each["id"].rpartition("-")[2]) for each in kept] == charged
    with running_node(program, port, SECRET):
        assert play_tricks(f"http://127.0.0.1:{port}/") == EXPECTED


def without_types(source: str) -> str:
    """The TypeScript of the guide as JavaScript: Node before version 22.6 does not leave out the types by itself."""
    plain = re.sub(r"(\w|\)): (string|any|Buffer|IncomingMessage|ServerResponse)\b", r"\1", source)
    return re.sub(r"import \{ createServer, IncomingMessage, ServerResponse \}", "import { createServer }", plain)


def running_node(program: Path, port: int, secret: str) -> "Node":
    return Node(program, port, secret)


class Node:
    """Node as a process that listens, until the block ends."""

    def __init__(self, program: Path, port: int, secret: str) -> None:
        environment = {**os.environ, "PORT": str(port), "WEBHOOK_SECRET": secret}
        self._process = subprocess.Popen([str(NODE), program], env=environment, stdout=subprocess.PIPE, text=True)
        self._port = port

    def __enter__(self) -> "subprocess.Popen[str]":
        wait_until(self._listens)
        return self._process

    def __exit__(self, *_exception: object) -> None:
        with self._process as process:
            process.kill()

    def _listens(self) -> bool:
        assert self._process.poll() is None, "it ended"
        try:
            httpx.get(f"http://127.0.0.1:{self._port}/", timeout=5)
        except httpx.TransportError:
            return False
        return True
