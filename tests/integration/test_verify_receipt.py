"""`tallystick verify-receipt` needs the file and what was written down, and nothing else."""

from pathlib import Path
from subprocess import CompletedProcess

from tests.processes import tallystick
from tests.unit.evidence.vectors_of_receipts import log_of, receipt


def verify_receipt(*arguments: str, folder: Path) -> CompletedProcess[str]:
    return tallystick("verify-receipt", *arguments, folder=folder, data_dir=None)


def test_a_receipt_is_checked_offline(tmp_path: Path) -> None:
    log = log_of()
    key = str(log.keys[0])
    (tmp_path / "day-one.txt").write_text(str(log.seal(60)))
    (tmp_path / "proof.txt").write_text(str(log.answer(60, log.size)))
    (tmp_path / "track.tlog-proof").write_bytes(receipt(log))
    (tmp_path / "altered.tlog-proof").write_bytes(receipt(log).replace(b"index 103", b"index 104"))

    held = verify_receipt("track.tlog-proof", "--key", key, folder=tmp_path)
    pinned = ["track.tlog-proof", "--key", key, "--checkpoint", "day-one.txt"]
    out_of_reach = verify_receipt(*pinned, folder=tmp_path)
    reached = verify_receipt(*pinned, "--checkpoint", "proof.txt", folder=tmp_path)
    altered = verify_receipt("altered.tlog-proof", "--key", key, folder=tmp_path)

    assert (held.returncode, held.stderr) == (0, "")
    assert "  charge      track: 300 credits for lyria-3\n" in held.stdout
    assert f"  key 1       {key}\n" in held.stdout
    assert (out_of_reach.returncode, reached.returncode, altered.returncode) == (1, 0, 1)
    assert "cannot be reached: get /v1/checkpoints/proof?from=60&to=126" in out_of_reach.stderr
    assert "altered.tlog-proof does not hold: the proof of inclusion" in altered.stderr


def test_what_is_not_there_or_is_no_pin_is_wrong_use(tmp_path: Path) -> None:
    log = log_of()
    key = str(log.keys[0])
    (tmp_path / "track.tlog-proof").write_bytes(receipt(log))
    (tmp_path / "notes.txt").write_text("no checkpoint")

    for arguments in (
        ["missing.tlog-proof", "--key", key],
        ["track.tlog-proof"],
        ["track.tlog-proof", "--key", "no vkey"],
        ["track.tlog-proof", "--key", key, "--checkpoint", "missing.txt"],
        ["track.tlog-proof", "--key", key, "--checkpoint", "notes.txt"],
    ):
        ended = verify_receipt(*arguments, folder=tmp_path)
        assert (ended.returncode, ended.stdout) == (2, ""), ended.stderr
        assert "Traceback" not in ended.stderr
