"""The README's tour, run as written: every command, and what it shows."""

import os
from pathlib import Path

from tests.acceptance.console_blocks import (
    console_commands,
    hide_port,
    type_commands,
    with_outputs,
    without_varying,
)

ROOT = Path(__file__).parents[2]
README = ROOT / "README.md"
NOT_TYPED_HERE = {"make run", "make test"}


def test_every_command_of_the_readme_shows_what_it_shows_there(folder: Path, port: str) -> None:
    commands = [typed for typed in console_commands(README) if typed.command not in NOT_TYPED_HERE]
    assert len(commands) >= 5
    shown = type_commands(commands, folder, port)
    if os.environ.get("TALLYSTICK_REWRITE_README"):  # the tour was changed on purpose: take what was just shown
        README.write_text(with_outputs(README.read_text(), commands, [hide_port(output, port) for output in shown]))
        commands = [typed for typed in console_commands(README) if typed.command not in NOT_TYPED_HERE]
    for typed, output in zip(commands, shown, strict=True):
        assert without_varying(output) == without_varying(typed.shown), typed.command
