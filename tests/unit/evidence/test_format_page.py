"""The page on the format: its example is what the code makes.

`TALLYSTICK_REWRITE_EXAMPLE=1` takes what the code makes into the page, after a change that was meant.
"""

import os
import re
from pathlib import Path

import pytest

from services.evidence.verify import verify
from tests.unit.evidence.example import example_archive, example_blocks

PAGE = Path(__file__).parents[3] / "docs/reference/evidence-format.md"
EXAMPLE = PAGE.with_name("evidence-example.zip")
_BLOCK = re.compile(r"(<!-- example: (?P<name>[a-z-]+) -->\n```(?:json|text)\n)(?P<shown>.*?)(```)", re.DOTALL)


@pytest.fixture(scope="module", autouse=True)
def _rewritten() -> None:
    if not os.environ.get("TALLYSTICK_REWRITE_EXAMPLE"):
        return
    blocks = example_blocks()
    PAGE.write_text(
        _BLOCK.sub(lambda block: f"{block[1]}{blocks[block['name']]}\n{block[4]}", PAGE.read_text(encoding="utf-8"))
    )
    EXAMPLE.write_bytes(example_archive())


def test_the_page_shows_what_the_code_makes() -> None:
    shown = {block["name"]: block["shown"].strip() for block in _BLOCK.finditer(PAGE.read_text(encoding="utf-8"))}

    assert shown == example_blocks()


def test_the_file_beside_the_page_is_the_example_and_holds() -> None:
    assert EXAMPLE.read_bytes() == example_archive()
    assert verify(EXAMPLE.read_bytes()).facts.charge.generation_id == "track-9c1d"
