"""The page on the format of evidence: its example is what the code makes, and it suffices to write a verifier.

`TALLYSTICK_REWRITE_EXAMPLE=1` takes what the code makes into the page, after a change that was meant.
"""

import os
import re
from pathlib import Path
from random import Random

import pytest

from services.evidence.archive import pack, unpack
from services.evidence.builder import build
from services.evidence.verify import verify
from tests.unit.evidence.cases import KEY, MADE_AT, disputed
from tests.unit.evidence.example import example_archive, example_blocks
from tests.unit.evidence.plain_verifier import check

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


@pytest.mark.parametrize("outcome", ["upheld", "rejected", None])
def test_a_verifier_that_was_written_from_the_page_accepts_evidence(outcome: object) -> None:
    assert check(EXAMPLE.read_bytes()) == [KEY.key_id]
    case = disputed(outcome=outcome)  # type: ignore[arg-type] # one of its literals
    assert check(build(case, KEY, MADE_AT)) == [KEY.key_id]
    assert check(build(disputed(reason="unsatisfied", outcome=None), KEY, MADE_AT)) == [KEY.key_id]


def test_it_finds_what_was_altered() -> None:
    random, members = Random(3), unpack(EXAMPLE.read_bytes())
    for number in range(300):
        name = list(members)[number % len(members)]
        content = bytearray(members[name])
        content[random.randrange(len(content))] ^= 1 << random.randrange(8)
        with pytest.raises(Exception):  # noqa: B017 # it is plain: whatever is raised refuses
            check(pack({**members, name: bytes(content)}))
