"""The README's tour, run as written: every command, and what it shows."""

import os
import re
import signal
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.acceptance.console_blocks import Typed, console_commands, with_outputs, without_varying

ROOT = Path(__file__).parents[2]
README = ROOT / "README.md"
NOT_TYPED_HERE = {"make run", "make test"}


@pytest.fixture
def folder() -> Iterator[Path]:
    """A folder as a user has it after `make run`: the service runs, and the command is in `.venv`."""
    with tempfile.TemporaryDirectory(prefix="tallystick-test-") as name:
        folder = Path(name)
        (folder / ".venv/bin").mkdir(parents=True)
        (folder / ".venv/bin/tallystick").symlink_to(Path(sys.executable).parent / "tallystick")
        yield folder


@pytest.fixture
def port(folder: Path) -> Iterator[str]:
    """The port of a service started in the folder, with its settings as they come."""
    environment = {**os.environ, "TALLYSTICK_PORT": "0"}
    arguments = [sys.executable, "-m", "services.cli", "serve"]
    service = subprocess.Popen(
        arguments, cwd=folder, env={**environment, "PYTHONPATH": str(ROOT)}, stdout=subprocess.PIPE, text=True
    )
    assert service.stdout is not None
    ready = re.fullmatch(r"Tallystick is ready on http://127\.0\.0\.1:(\d+) .*\n", service.stdout.readline())
    assert ready is not None
    yield ready[1]
    service.send_signal(signal.SIGTERM)
    service.communicate(timeout=60)
    assert service.returncode == 0


def test_every_command_of_the_readme_shows_what_it_shows_there(folder: Path, port: str) -> None:
    commands = [typed for typed in console_commands(README) if typed.command not in NOT_TYPED_HERE]
    assert len(commands) >= 5
    shown = _type(commands, folder, port)
    if os.environ.get("TALLYSTICK_REWRITE_README"):  # the tour was changed on purpose: take what was just shown
        README.write_text(with_outputs(README.read_text(), commands, [hide_port(output, port) for output in shown]))
        commands = [typed for typed in console_commands(README) if typed.command not in NOT_TYPED_HERE]
    for typed, output in zip(commands, shown, strict=True):
        assert without_varying(output) == without_varying(typed.shown), typed.command


def hide_port(output: str, port: str) -> str:
    """The output as a service on the usual port would give it."""
    return output.replace(f":{port}", ":8000").strip()


def _type(commands: list[Typed], folder: Path, port: str) -> list[str]:
    """Type the commands into one shell; the output of each."""
    separator = "-- next command --"
    script = f"\necho; echo '{separator}'\n".join(typed.command for typed in commands).replace(":8000/", f":{port}/")
    shell = subprocess.run(["bash", "-e"], input=script, cwd=folder, capture_output=True, text=True, check=True)
    return shell.stdout.split(separator)
