"""The guide for a disputed charge, run as written: every command, and what it shows."""

import os
import re
from pathlib import Path

from tests.acceptance.console_blocks import (
    console_commands,
    hide_port,
    type_commands,
    with_outputs,
    without_varying,
)

GUIDE = Path(__file__).parents[2] / "docs/how-to/dispute.md"
_CHECKPOINTS = re.compile(r"checkpoints +[\d, ]+;")
_BYTE = re.compile(r"byte \d+")


def test_every_command_of_the_guide_shows_what_it_shows_there(folder: Path, port: str) -> None:
    commands = console_commands(GUIDE)
    assert len(commands) >= 15
    shown = type_commands(commands, folder, port)
    if os.environ.get("TALLYSTICK_REWRITE_GUIDE"):  # the guide was changed on purpose: take what was just shown
        GUIDE.write_text(with_outputs(GUIDE.read_text(), commands, [hide_port(output, port) for output in shown]))
        commands = console_commands(GUIDE)
    for typed, output in zip(commands, shown, strict=True):
        assert _settled(output) == _settled(typed.shown), typed.command


def _settled(output: str) -> str:
    """Without what differs from one run to the next: how many checkpoints there were, how long the file is."""
    return _BYTE.sub("byte N", _CHECKPOINTS.sub("checkpoints N;", without_varying(output)))
