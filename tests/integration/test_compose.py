"""The compose file, without Docker: parsed, and each service's command run with the service's environment and secrets.

PostgreSQL is a real one, reached over TCP with a password, as from the containers.
"""

import os
import signal
import socket
import subprocess
import sys
import tempfile
import time
import urllib.error
import urllib.request
from collections.abc import Iterator
from contextlib import closing, contextmanager
from pathlib import Path
from typing import Any

import pytest
import yaml

from services.postgres.embedded import EmbeddedPostgres

ROOT = Path(__file__).parents[2]
COMPOSE: dict[str, Any] = yaml.safe_load((ROOT / "docker-compose.yml").read_text())
SERVICES: dict[str, dict[str, Any]] = COMPOSE["services"]
ROLES = ("api", "renewals", "projector")
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
        EmbeddedPostgres(Path(data_dir) / "postgres", tcp_port=_free_port(), scratch=True) as server,
    ):
        (folder / "tallystick_database_url").write_text(server.tcp_url)
        (folder / "tallystick_bootstrap_key").write_text("compose-test-key\n")
        yield folder


def test_every_command_runs_against_postgres_over_tcp(secrets_dir: Path, tmp_path: Path) -> None:
    migrated = subprocess.run(_command("migrate"), env=_environment("migrate", secrets_dir, tmp_path, 0), check=False)
    assert migrated.returncode == 0
    for role in ROLES:
        port = _free_port()
        with _running(role, _environment(role, secrets_dir, tmp_path, port)) as process:
            _wait_for_health(role, process, port)
            if role == "api":
                assert _status(port, "/v1/plans", key="compose-test-key") == 200
                assert _status(port, "/v1/plans", key="another-key") == 401
            process.send_signal(signal.SIGTERM)
            assert process.wait(30) == 0


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


@contextmanager
def _running(name: str, environment: dict[str, str]) -> Iterator[subprocess.Popen[bytes]]:
    process = subprocess.Popen(_command(name), env=environment)
    try:
        yield process
    finally:
        if process.poll() is None:
            process.kill()
        process.wait()


def _wait_for_health(role: str, process: subprocess.Popen[bytes], port: int) -> None:
    """Run the service's own health check, on the test's port, until it succeeds."""
    _, _, *arguments = SERVICES[role]["healthcheck"]["test"]
    check = [sys.executable, *(argument.replace(":8000", f":{port}") for argument in arguments)]
    for _ in range(100):
        assert process.poll() is None, f"{role} ended with status {process.returncode}"
        if subprocess.run(check, check=False, stderr=subprocess.DEVNULL).returncode == 0:
            return
        time.sleep(0.1)
    pytest.fail(f"{role} is not healthy")


def _status(port: int, path: str, key: str) -> int:
    request = urllib.request.Request(f"http://127.0.0.1:{port}{path}", headers={"Authorization": f"Bearer {key}"})
    try:
        with urllib.request.urlopen(request, timeout=5) as response:
            return int(response.status)
    except urllib.error.HTTPError as error:
        return error.code


def _free_port() -> int:
    with closing(socket.socket()) as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])
