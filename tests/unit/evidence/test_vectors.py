"""The vectors beside the page on the format are what their parts make, and both verifiers judge them as the list says.

`TALLYSTICK_REWRITE_EXAMPLE=1` writes them anew, after a change that was meant.
"""

import json
import os

import pytest

from tests.unit.evidence.test_standalone_verifier import accepts
from tests.unit.evidence.vectors import FOLDER, all_vectors, files_of, write


@pytest.fixture(scope="module", autouse=True)
def _rewritten() -> None:
    if os.environ.get("TALLYSTICK_REWRITE_EXAMPLE"):
        write()


def test_the_folder_has_what_the_parts_make() -> None:
    made = files_of(all_vectors())

    assert {path.name: path.read_bytes() for path in FOLDER.iterdir()} == made


def test_both_judge_every_vector_as_it_says() -> None:
    for entry in json.loads((FOLDER / "vectors.json").read_text(encoding="utf-8")):
        content = (FOLDER / entry["file"]).read_bytes()
        pinned = [(FOLDER / name).read_bytes() for name in entry["checkpoints"]]
        assert accepts(content, entry["keys"], pinned) == (entry["holds"], entry["holds"]), entry["file"]


def test_there_are_enough_and_each_bad_one_says_what_is_wrong_with_it() -> None:
    vectors = all_vectors()
    good, bad = ([each for each in vectors if bool(each.why) == is_bad] for is_bad in (False, True))

    assert len(good) >= 10
    assert len(bad) >= 30
    assert len({each.file for each in vectors}) == len(vectors)
    assert len({each.content for each in good}) >= 10
    assert all(each.why.endswith(".") and "\n" not in each.why for each in bad)
