"""The how-to guides, run as written: every command and its output. `TALLYSTICK_REWRITE_GUIDE=1` writes the outputs into
the guides, for one that was changed on purpose."""

import os
import re
from pathlib import Path

import pytest

from tests.acceptance.console_blocks import console_examples, mask, run_examples, with_outputs

GUIDES = Path(__file__).parents[2] / "docs/how-to"
_VARYING = (
    (re.compile(r"byte \d+"), "byte N"),
    (re.compile(r"checkpoints +[\d, ]+;"), "checkpoints N;"),
    (re.compile(r"in [\d.]+ s\b"), "in N s"),
    (re.compile(r"[\d,]+ events(/s)?"), r"N events\1"),
    (re.compile(r"[\d,]+ checkpoints? covers?"), "N checkpoints cover"),
    (re.compile(r"[\d,]+ newer"), "N newer"),
    (re.compile(r'"exported_at":"20\d\d-\d\d'), "exported"),
)
"""What differs from one run to the next: speed, the length of a file, the number of checkpoints by then."""

TRIED = (
    *("change-the-catalogue", "close-the-month", "correct-a-price"),
    *("dispute", "rebuild-and-verify", "try-a-year"),
)


@pytest.fixture
def settings() -> dict[str, str]:
    """Enable test clocks: one of the guides starts the service with them, and the others show nothing of it."""
    return {"test_clocks": "true"}


@pytest.mark.parametrize("name", TRIED)
def test_every_command_of_a_guide_shows_what_it_shows_there(name: str, folder: Path, port: str) -> None:
    guide = GUIDES / f"{name}.md"
    examples = console_examples(guide)
    assert len(examples) >= 10
    outputs = run_examples(examples, folder, port)
    if os.environ.get("TALLYSTICK_REWRITE_GUIDE"):
        guide.write_text(with_outputs(guide.read_text(), examples, outputs, port))
        examples = console_examples(guide)
    for example, output in zip(examples, outputs, strict=True):
        assert _settled(output) == _settled(example.output), example.command


def test_a_year_is_the_same_year_whenever_it_is_tried() -> None:
    """The instants of the guide are those of its clock, so they are checked as they stand there, and not left out."""
    shown = "\n".join(example.output for example in console_examples(GUIDES / "try-a-year.md"))
    assert shown.count("2026-02-28T10:00:00") >= 2
    assert "2027-03-15T08:30:00" in shown


def _settled(output: str) -> str:
    for pattern, name in _VARYING:
        output = pattern.sub(name, output)
    return mask(output)
