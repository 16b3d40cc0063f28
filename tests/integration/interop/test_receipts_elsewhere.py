"""A verifier of C2SP proof files that others wrote takes receipts, where it is installed.

`PROOFBUNDLE` names the program `proofbundle`, which knows proofs, notes and cosignatures, but no hand-overs and pins.
"""

import os
import subprocess
from collections.abc import Sequence
from pathlib import Path

import pytest

from services.evidence.receipt import read_receipt
from services.log.keys import VerifierKey
from tests.unit.evidence.memory_log import MemoryLog
from tests.unit.evidence.vectors_of_receipts import WITNESS, log_of, receipt, rotated_log

PROOFBUNDLE = os.environ.get("PROOFBUNDLE", "nowhere")
pytestmark = pytest.mark.skipif(not Path(PROOFBUNDLE).exists(), reason="no proofbundle: set PROOFBUNDLE to the program")


def accepts(folder: Path, content: bytes, log_key: VerifierKey, witnesses: Sequence[VerifierKey] = ()) -> bool:
    """Let the program verify a receipt, whose entry it is given beside it."""
    (folder / "receipt.tlog-proof").write_bytes(content)
    (folder / "entry").write_bytes(read_receipt(content).event.entry)
    pinned = [word for key in witnesses for word in ("--witness-vkey", str(key))]
    ended = subprocess.run(
        [PROOFBUNDLE, "verify-proof", "receipt.tlog-proof", "--payload-file", "entry", "--log-vkey", str(log_key),
         *pinned, "--threshold", str(len(witnesses))],
        cwd=folder, capture_output=True, text=True, check=False,
    )  # fmt: skip
    assert ended.returncode in (0, 1), ended.stderr
    return ended.returncode == 0


@pytest.mark.parametrize("log", [log_of(), rotated_log()], ids=["one-key", "three-keys"])
def test_it_takes_a_receipt_by_the_key_that_signed_it(log: MemoryLog, tmp_path: Path) -> None:
    for content in (receipt(log), receipt(log, since=50)):
        assert accepts(tmp_path, content, log.keys[-1])
        assert accepts(tmp_path, content, log.keys[-1], [WITNESS.key])


def test_it_refuses_what_is_altered(tmp_path: Path) -> None:
    log = log_of()
    content = receipt(log)

    assert not accepts(tmp_path, content.replace(b"index 103", b"index 102"), log.keys[-1])
    assert not accepts(tmp_path, content, rotated_log().keys[-1])
