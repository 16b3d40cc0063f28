"""`tallystick serve` as a whole, seen from the audit: it seals and projects by itself, under a role without power."""

import json
import os
import signal
import subprocess
import sys
import time
import urllib.request
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from tests.integration.audit.test_projector_role import free_port, page


@contextmanager
def serving(folder: Path, port: int) -> Iterator[subprocess.Popen[bytes]]:
    environment = {name: value for name, value in os.environ.items() if not name.startswith("TALLYSTICK_")} | {
        "TALLYSTICK_DATA_DIR": str(folder),
        "TALLYSTICK_PORT": str(port),
        "TALLYSTICK_CHECKPOINT_SECONDS": "0.2",
    }
    with subprocess.Popen([sys.executable, "-m", "services.cli", "serve"], env=environment, cwd=folder) as process:
        try:
            yield process
        finally:
            process.send_signal(signal.SIGTERM)
            process.wait()


def command(folder: Path, *arguments: str) -> subprocess.CompletedProcess[str]:
    environment = {name: value for name, value in os.environ.items() if not name.startswith("TALLYSTICK_")}
    return subprocess.run(
        [sys.executable, "-m", "services.cli", *arguments],
        env=environment | {"TALLYSTICK_DATA_DIR": str(folder)},
        cwd=folder,
        capture_output=True,
        text=True,
        check=False,
    )


def post(port: int, secret: str, path: str, body: Any) -> Any:
    request = urllib.request.Request(
        f"http://127.0.0.1:{port}{path}",
        json.dumps(body).encode(),
        {"Authorization": f"Bearer {secret}", "Content-Type": "application/json"},
    )
    with urllib.request.urlopen(request) as answer:
        return json.load(answer)


def test_it_seals_projects_and_verifies_under_a_role_without_power(tmp_path: Path) -> None:
    folder, port = tmp_path, free_port()
    with serving(folder, port):
        page(port, "/readyz")
        secret = (folder / "bootstrap.key").read_text().strip()
        plan = {"account_id": "account-1", "plan_id": "max-pro-240000-monthly"}
        id = post(port, secret, "/v1/subscriptions", plan)["subscription_id"]
        charges = [{"generation_id": f"track-{number}", "model": "lyria-3"} for number in range(5)]
        for charge in charges:
            assert post(port, secret, f"/v1/subscriptions/{id}/charges", charge)["credits"] == 150
        while "; 0 newer ones" not in (verified := command(folder, "verify")).stdout:
            assert verified.returncode == 0, verified.stdout
            time.sleep(0.2)

        assert "7 events" in verified.stdout
        assert (folder / "signing.key").exists()
        rebuilt = command(folder, "rebuild", "--all")
        assert "No row of the tables in use differed" in rebuilt.stdout, rebuilt.stdout + rebuilt.stderr
        assert post(port, secret, f"/v1/subscriptions/{id}/charges", charges[0])["credits"] == 150
        assert command(folder, "history", id).stdout.count("GenerationCharged") == 5
