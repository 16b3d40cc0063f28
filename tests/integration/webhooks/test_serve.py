"""`tallystick serve` delivers by itself, with the rights of the service's role; a stop waits for no follower."""

import time
from pathlib import Path
from uuid import uuid4

import httpx

from tests.integration.webhooks.receiver import receiving
from tests.processes import running
from tests.waiting import PATIENCE_SECONDS, wait_until

KEY = "a-first-key-of-the-tests-of-webhooks-0123456789"


def test_serve_delivers_and_stops_though_somebody_follows(tmp_path: Path) -> None:
    with (
        receiving() as receiver,
        running("serve", folder=tmp_path, bootstrap_key=KEY, webhooks_allow_private="true") as service,
    ):
        service.page("/readyz")
        headers = {"Authorization": f"Bearer {KEY}"}
        with httpx.Client(base_url=service.url, headers=headers, timeout=PATIENCE_SECONDS, verify=False) as http:
            types = ["subscription-started", "generation-charged", "balance-low"]
            made = http.post("/v1/webhooks", json={"url": receiver.url, "types": types})
            assert made.status_code == 201, made.text
            id = str(uuid4())
            body = {"subscription_id": id, "account_id": "a", "plan_id": "ai-starter-16500-monthly"}
            assert http.post("/v1/subscriptions", json=body).status_code == 201
            charge = {"generation_id": "g-1", "model": "lyria-3", "settings": {"count": 100}}
            assert http.post(f"/v1/subscriptions/{id}/charges", json=charge).status_code == 201
            wait_until(lambda: len(receiver.received) == 3)
            assert [each["type"] for each in receiver.bodies()] == types
            with http.stream("GET", "/v1/events", headers={"Accept": "text/event-stream"}) as followed:
                next(followed.iter_lines())
                started = time.monotonic()
                service.stop()
                assert time.monotonic() - started < 20
