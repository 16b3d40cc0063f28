"""The compose file, without Docker: parsed, and each service's command run with the service's environment and secrets.

PostgreSQL is a real one, reached over TCP with a password, as from the containers.
"""

import os
import subprocess
import sys
import tempfile
import urllib.error
import urllib.request
from collections.abc import Iterator
from functools import partial
from pathlib import Path
from typing import Any

import pytest
import yaml

from services.postgres.embedded import EmbeddedPostgres
from tests.processes import Tallystick, free_port, started
from tests.waiting import PATIENCE_SECONDS, wait_until

ROOT = Path(__file__).parents[2]
COMPOSE: dict[str, Any] = yaml.safe_load((ROOT / "docker-compose.yml").read_text())
SERVICES: dict[str, dict[str, Any]] = COMPOSE["services"]
ROLES = ("api", "renewals", "projector", "webhooks")
OURS = ("migrate", *ROLES)


def test_the_services_are_the_documented_ones() -> None:
    assert set(SERVICES) == {"postgres", *OURS}


@pytest.mark.parametrize("name", SERVICES)
def test_a_service_is_confined(name: str) -> None:
    service = SERVICES[name]
    assert service["user"].split(":")[0] not in ("0", "root")
    assert service["read_only"] is True
    assert service["cap_drop"] == ["ALL"]
    assert "no-new-privileges:true" in service["security_opt"]


@pytest.mark.parametrize("name", ["postgres", *ROLES])
def test_a_service_that_stays_up_has_a_health_check(name: str) -> None:
    assert SERVICES[name]["healthcheck"]["test"][0] == "CMD"


@pytest.mark.parametrize("name", SERVICES)
def test_secrets_come_by_file(name: str) -> None:
    environment = SERVICES[name].get("environment", {})
    assert SERVICES[name]["secrets"]
    assert not [key for key in environment if "PASSWORD" in key.upper() and not key.endswith("_FILE")]
    assert set(SERVICES[name]["secrets"]) <= set(COMPOSE["secrets"])


@pytest.mark.parametrize("name", ROLES)
def test_a_role_waits_for_the_migration(name: str) -> None:
    assert SERVICES[name]["depends_on"]["migrate"] == {"condition": "service_completed_successfully"}


@pytest.fixture
def secrets_dir(tmp_path: Path) -> Iterator[Path]:
    """The secret files as Docker mounts them, for a server that listens on TCP with a password."""
    folder = tmp_path / "secrets"
    folder.mkdir()
    with (
        tempfile.TemporaryDirectory(prefix="tallystick-test-") as data_dir,
        EmbeddedPostgres(Path(data_dir) / "postgres", tcp_port=free_port(), scratch=True) as server,
    ):
        (folder / "tallystick_database_url").write_text(server.tcp_url)
        (folder / "tallystick_bootstrap_key").write_text("compose-test-key-of-more-than-32-characters\n")
        yield folder


def test_every_command_runs_against_postgres_over_tcp(secrets_dir: Path, tmp_path: Path) -> None:
    migrated = subprocess.run(_command("migrate"), env=_environment("migrate", secrets_dir, tmp_path, 0), check=False)
    assert migrated.returncode == 0
    for role in ROLES:
        port = free_port()
        with started(_command(role), _environment(role, secrets_dir, tmp_path, port), port) as process:
            wait_until(partial(_is_healthy, role, process))
            if role == "api":
                assert _status(port, "/v1/plans", key="compose-test-key-of-more-than-32-characters") == 200
                assert _status(port, "/v1/plans", key="another-key") == 401
            process.stop()


def _command(name: str) -> list[str]:
    return [sys.executable, "-m", "services.cli", *SERVICES[name]["command"]]


def _environment(name: str, secrets_dir: Path, tmp_path: Path, port: int) -> dict[str, str]:
    """The service's environment, with the test's own port, address and folders."""
    own = {key: _default_of(str(value)) for key, value in SERVICES[name].get("environment", {}).items()}
    private = {
        "TALLYSTICK_HOST": "127.0.0.1",
        "TALLYSTICK_PORT": str(port),
        "TALLYSTICK_DATA_DIR": str(tmp_path / "data"),
        "TALLYSTICK_SECRETS_DIR": str(secrets_dir),
    }
    ours = {key: value for key, value in os.environ.items() if not key.startswith("TALLYSTICK_")}
    return {**ours, **own, **private, "PYTHONPATH": str(ROOT)}


def _default_of(value: str) -> str:
    """The value that compose takes for `${NAME:-default}` where NAME is not set."""
    return value.split(":-")[1].rstrip("}") if value.startswith("${") else value


def _is_healthy(role: str, tallystick: Tallystick) -> bool:
    """Run the service's own health check, on the test's port."""
    assert tallystick.process.poll() is None, f"{role} ended with status {tallystick.process.returncode}"
    _, _, *arguments = SERVICES[role]["healthcheck"]["test"]
    check = [sys.executable, *(argument.replace(":8000", f":{tallystick.port}") for argument in arguments)]
    return subprocess.run(check, check=False, stderr=subprocess.DEVNULL).returncode == 0


def _status(port: int, path: str, key: str) -> int:
    request = urllib.request.Request(f"http://127.0.0.1:{port}{path}", headers={"Authorization": f"Bearer {key}"})
    try:
        with urllib.request.urlopen(request, timeout=PATIENCE_SECONDS) as response:
            return int(response.status)
    except urllib.error.HTTPError as error:
        return error.code
