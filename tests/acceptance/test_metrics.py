"""Metrics: what was done is counted once, over all processes, and the dashboard and the alerts name what there is."""

import json
import re
import tempfile
from pathlib import Path

import httpx
import pytest
import yaml

from services.http import freshness
from tests.acceptance.server import Customer, Server
from tests.processes import CHECKOUT, running
from tests.waiting import wait_until

OPERATIONS = CHECKOUT / "docs/operations"
GUIDE = CHECKOUT / "docs/how-to/operate.md"
NAME = re.compile(r"\b(?:tallystick|process)_[a-z_]*[a-z]")


@pytest.fixture(autouse=True)
def _is_fresh(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(freshness, "FRESH_SECONDS", -1.0)


def value(text: str, sample: str) -> float:
    """The value of a sample, written with its labels; 0 where there is none."""
    found = re.search(rf"^{re.escape(sample)} (\S+)$", text, re.MULTILINE)
    return float(found[1]) if found else 0.0


def test_charges_and_refusals_are_counted_once(http: httpx.Client) -> None:
    customer = Customer.with_plan(http, "ai-starter-16500-monthly")
    for generation_id in ("a", "b", "a"):
        customer.try_charge("lyria-3", generation_id)
    customer.post("holds", generation_id="h", model="lyria-3-pro")
    customer.post("holds/h/capture")
    for _ in range(2):
        customer.try_charge("lyria-3", "c", count=1_000)
    customer.try_charge("lyria-9")

    text = http.get("/metrics").text

    assert value(text, "tallystick_charges_total") == 3
    assert value(text, "tallystick_credits_charged_total") == 600
    assert value(text, 'tallystick_refusals_total{code="insufficient_credits"}') == 2
    assert value(text, 'tallystick_refusals_total{code="unknown_model"}') == 1
    assert value(text, "tallystick_unknown_outcomes_total") == 0
    commands = value(text, "tallystick_batch_commands_sum")
    assert commands == value(text, "tallystick_lane_wait_seconds_count") == 9
    assert value(text, "tallystick_batch_commands_count") >= value(text, "tallystick_commit_seconds_count") > 0
    assert value(text, "tallystick_clock_difference_seconds") < 2


def test_the_dashboard_and_the_alerts_name_metrics_that_there_are(server: Server, http: httpx.Client) -> None:
    customer = Customer.with_plan(http, "ai-starter-16500-monthly")
    customer.charge("lyria-3")
    customer.try_charge("lyria-3", count=1_000)
    server.seal()
    text = http.get("/metrics").text
    there = {line.split("{")[0].split(" ")[0] for line in text.splitlines() if not line.startswith("#")}
    there |= {line.split(" ")[2] for line in text.splitlines() if line.startswith("# TYPE")}

    documents = {path.name: path.read_text() for path in [*OPERATIONS.iterdir(), GUIDE]}
    named = {name: {*NAME.findall(text)} for name, text in documents.items()}

    assert {*documents} == {"dashboard.json", "alerts.yml", "operate.md"}
    assert all(len(names) > 10 for names in named.values())
    assert not {name: unknown for name, names in named.items() if (unknown := names - there)}


def test_each_alert_has_an_answer_in_the_guide() -> None:
    rules = yaml.safe_load((OPERATIONS / "alerts.yml").read_text())["groups"]
    alerts = [rule["alert"] for group in rules for rule in group["rules"]]
    answers = re.findall(r"^\| \*\*(\w+)\*\* \| .{10,} \| .{20,} \|$", GUIDE.read_text(), re.MULTILINE)

    assert [each for each in answers if each.startswith("Tallystick")] == alerts
    panels = json.loads((OPERATIONS / "dashboard.json").read_text())["panels"]
    assert all(panel["targets"] and panel["title"] for panel in panels)


def test_any_process_answers_for_all(database_url: str) -> None:
    with tempfile.TemporaryDirectory(prefix="tallystick-test-") as folder:
        key = "a key of at least thirty-two characters".replace(" ", "-")
        with running("api", folder=Path(folder), database_url=database_url, workers=3, bootstrap_key=key) as service:
            headers = {"Authorization": f"Bearer {key}"}
            wait_until(lambda: service.page("/readyz"))
            for number in range(30):
                httpx.get(f"{service.url}/v1/plans/{number}", headers=headers)
            sample = 'tallystick_http_request_seconds_count{method="GET",route="/v1/plans/{plan_id}",status="404"}'
            for _ in range(10):
                wait_until(lambda: value(service.page("/metrics"), sample) == 30)
            assert value(service.page("/metrics"), 'tallystick_build_info{version="0.1.0"}') == 1
            service.stop()
