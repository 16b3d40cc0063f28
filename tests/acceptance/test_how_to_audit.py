"""The guide for checking, mending and moving a ledger, run as written: every command, and what it shows."""

import os
import re
from pathlib import Path

from tests.acceptance.console_blocks import console_commands, hide_port, type_commands, with_outputs, without_varying

GUIDE = Path(__file__).parents[2] / "docs/how-to/rebuild-and-verify.md"
_VARYING = (
    (re.compile(r"in [\d.]+ s\b"), "in N s"),
    (re.compile(r"[\d,]+ events(/s)?"), r"N events\1"),
    (re.compile(r"[\d,]+ checkpoints? covers?"), "N checkpoints cover"),
    (re.compile(r"[\d,]+ newer"), "N newer"),
    (re.compile(r'"exported_at":"20\d\d-\d\d'), "exported"),
)


def test_every_command_of_the_guide_shows_what_it_shows_there(folder: Path, port: str) -> None:
    commands = console_commands(GUIDE)
    assert len(commands) >= 10
    shown = type_commands(commands, folder, port)
    if os.environ.get("TALLYSTICK_REWRITE_GUIDE"):  # the guide was changed on purpose: take what was just shown
        GUIDE.write_text(with_outputs(GUIDE.read_text(), commands, [hide_port(output, port) for output in shown]))
        commands = console_commands(GUIDE)
    for typed, output in zip(commands, shown, strict=True):
        assert _settled(output) == _settled(typed.shown), typed.command


def _settled(output: str) -> str:
    """Without what differs from one run to the next: speed, and how many checkpoints there were."""
    for pattern, name in _VARYING:
        output = pattern.sub(name, output)
    return without_varying(output)
