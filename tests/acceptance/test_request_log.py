"""Lines of requests in the log: all where that is asked for, and slow ones always; as JSON, nothing else is written."""

import dataclasses
import json
import os
import signal
import subprocess
import sys
import tempfile
import urllib.request
from typing import Any

import httpx
import pytest
from structlog.testing import capture_logs

from services.http import request_log
from services.http.app import create_app
from tests.acceptance.server import Customer, Server, listening
from tests.processes import CHECKOUT


def requests_in(logs: Any) -> list[dict[str, Any]]:
    return [each for each in logs if each["event"] == "request"]


@pytest.mark.parametrize("level", ["debug", "info"])
def test_each_request_has_a_line_with_its_id_and_code(server: Server, level: Any) -> None:
    backend = dataclasses.replace(server.backend, request_log_level=level)
    with listening(create_app(backend)) as (url, _), server.client() as client, capture_logs() as logs:
        client.base_url = httpx.URL(url)
        customer = Customer.with_plan(client, "ai-starter-16500-monthly")
        answers = [
            customer.try_charge("lyria-3"),
            customer.try_charge("lyria-3", count=1_000),
            client.get("/v1/plans/nobody"),
            client.get("/nowhere"),
        ]

    lines = requests_in(logs)[1:]
    assert [each["request_id"] for each in lines] == [answer.headers["Request-Id"] for answer in answers]
    assert [each["code"] for each in lines] == [None, "insufficient_credits", "unknown_plan", "not_found"]
    assert [each["status"] for each in lines] == [201, 402, 404, 404]
    assert {each["log_level"] for each in lines} == {level}
    assert {each["address"] for each in lines} == {"127.0.0.1"}
    assert not any(server.secret in str(each) for each in logs)


def test_without_being_asked_there_is_none_but_for_slow_ones(
    http: httpx.Client, monkeypatch: pytest.MonkeyPatch
) -> None:
    with capture_logs() as logs:
        customer = Customer.with_plan(http, "ai-starter-16500-monthly")
        assert not logs
        monkeypatch.setattr(request_log, "SLOW_SECONDS", 0.0)
        slow = [customer.try_charge("lyria-3"), http.get("/v1/plans")]
        http.get("/v1/plans", headers={"Authorization": "Bearer nobody"})

    lines = [each for each in logs if each["event"] == "a request was slow"]
    assert [each["request_id"] for each in lines] == [answer.headers["Request-Id"] for answer in slow]
    assert {each["log_level"] for each in lines} == {"warning"}


def test_as_json_every_line_is_an_object() -> None:
    with tempfile.TemporaryDirectory(prefix="tallystick-test-") as folder:
        settings = {"DATA_DIR": folder, "PORT": "0", "LOG_FORMAT": "json", "LOG_LEVEL": "debug"}
        serving = subprocess.Popen(
            [sys.executable, "-m", "services.cli", "serve"],
            cwd=CHECKOUT,
            env={**os.environ, **{f"TALLYSTICK_{name}": value for name, value in settings.items()}},
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
        )
        assert serving.stdout is not None
        ready = json.loads(serving.stdout.readline())
        asked = urllib.request.Request(f"{ready['url']}/v1/plans/x", headers={"Request-Id": "of-a-customer"})
        asked.add_header("Authorization", f"Bearer {ready['first_key']}")
        with pytest.raises(urllib.error.HTTPError) as refused:
            urllib.request.urlopen(asked, timeout=30)
        refused.value.close()
        serving.send_signal(signal.SIGTERM)
        out, err = serving.communicate(timeout=60)

    lines = [json.loads(line) for line in [*out.splitlines(), *err.splitlines()]]
    assert all(isinstance(line, dict) for line in lines)
    (line,) = [each for each in lines if each.get("request_id") == "of-a-customer"]
    assert (line["code"], line["status"], line["level"]) == ("unknown_plan", 404, "debug")
    assert serving.returncode == 0
