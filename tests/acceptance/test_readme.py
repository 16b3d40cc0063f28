"""The README's tour, run as written: every command, and what it shows."""

import os
from pathlib import Path

from tests.acceptance.console_blocks import (
    console_examples,
    mask,
    run_examples,
    with_outputs,
)

ROOT = Path(__file__).parents[2]
README = ROOT / "README.md"
NOT_RUN_HERE = {"make run", "make test"}


def test_every_command_of_the_readme_shows_what_it_shows_there(folder: Path, port: str) -> None:
    examples = [example for example in console_examples(README) if example.command not in NOT_RUN_HERE]
    assert len(examples) >= 5
    outputs = run_examples(examples, folder, port)
    if os.environ.get("TALLYSTICK_REWRITE_README"):  # the tour was changed on purpose: take what was just shown
        README.write_text(with_outputs(README.read_text(), examples, outputs, port))
        examples = [example for example in console_examples(README) if example.command not in NOT_RUN_HERE]
    for example, output in zip(examples, outputs, strict=True):
        assert mask(output) == mask(example.output), example.command
