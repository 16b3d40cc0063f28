"""`tallystick serve` as a whole, seen from the audit: it seals and projects by itself, under a role without power."""

import json
import urllib.request
from pathlib import Path
from typing import Any

from services.postgres.database import connect
from services.postgres.embedded import running_url
from tests.processes import running, tallystick
from tests.waiting import wait_until


def post(url: str, secret: str, body: Any) -> Any:
    request = urllib.request.Request(
        url,
        json.dumps(body).encode(),
        {"Authorization": f"Bearer {secret}", "Content-Type": "application/json"},
    )
    with urllib.request.urlopen(request) as answer:
        return json.load(answer)


def test_it_seals_projects_and_verifies_under_a_role_without_power(tmp_path: Path) -> None:
    with running("serve", folder=tmp_path, checkpoint_seconds=0.2) as service:
        service.page("/readyz")
        secret = (tmp_path / "bootstrap.key").read_text().strip()
        subscriptions = f"{service.url}/v1/subscriptions"
        plan = {"account_id": "account-1", "plan_id": "max-pro-240000-monthly"}
        id = post(subscriptions, secret, plan)["subscription_id"]
        charges = [{"generation_id": f"track-{number}", "model": "lyria-3"} for number in range(5)]
        for charge in charges:
            assert post(f"{subscriptions}/{id}/charges", secret, charge)["credits"] == 150
        wait_until_sealed(tmp_path)

        verified = tallystick("verify", folder=tmp_path)
        assert verified.returncode == 0, verified.stdout
        assert "7 events" in verified.stdout
        assert (tmp_path / "signing.key").exists()
        rebuilt = tallystick("rebuild", "--all", folder=tmp_path)
        assert "No row of the tables in use differed" in rebuilt.stdout, rebuilt.stdout + rebuilt.stderr
        assert post(f"{subscriptions}/{id}/charges", secret, charges[0])["credits"] == 150
        assert tallystick("history", id, folder=tmp_path).stdout.count("GenerationCharged") == 5
        service.stop()


def wait_until_sealed(data_dir: Path) -> None:
    """Wait until the newest checkpoint covers the last event."""
    url = running_url(data_dir / "postgres")
    assert url is not None
    query = """SELECT last_id = (SELECT max(size) FROM tallystick.log_checkpoints WHERE log = 'events')
        FROM tallystick.head"""
    with connect(url, autocommit=True) as connection:
        wait_until(lambda: connection.execute(query).fetchone() == (True,))
