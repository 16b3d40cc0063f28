"""A receipt proves a charge to whoever wrote down a key, or a checkpoint, of its log; however old that is."""

from base64 import b64decode, b64encode
from collections.abc import Callable, Sequence
from hashlib import sha256
from typing import Any

import msgspec
import pytest
import rfc8785

from services.evidence.faults import NotGenuine, OutOfReach
from services.evidence.lineage import Pins
from services.evidence.pins import BadPin, read_pins
from services.evidence.proving import BeyondCheckpoint, lineage_from, receipt_from
from services.evidence.receipt import VerifiedReceipt, verify_receipt, write_receipt
from services.log.checkpoint import Checkpoint
from services.log.note import Note, sign_note
from services.log.proof_file import ProofFile
from tests.unit.evidence.cases import others
from tests.unit.evidence.memory_log import ORIGIN, MemoryLog
from tests.unit.evidence.vectors_of_receipts import CHARGE, EVENTS, WITNESS, log_of, receipt
from tests.unit.log.signers import signer, witness


def verified(content: bytes, *keys: Any, checkpoints: Sequence[object] = ()) -> VerifiedReceipt:
    return verify_receipt(content, read_pins(map(str, keys), [str(each).encode() for each in checkpoints]))


def holds(content: bytes, *keys: Any, checkpoints: Sequence[object] = ()) -> bool:
    verified(content, *keys, checkpoints=checkpoints)
    return True


def refused(content: bytes, *keys: Any, checkpoints: Sequence[object] = ()) -> str:
    with pytest.raises(NotGenuine) as error:
        verified(content, *keys, checkpoints=checkpoints)
    return str(error.value)


def test_a_receipt_proves_the_charge() -> None:
    log = log_of()

    proven = verified(receipt(log), *log.keys)

    assert (proven.charge.generation_id, proven.charge.credits, proven.position) == ("track", 300, 104)
    assert proven.record.stored.hash == CHARGE.hash
    assert (proven.lineage.checkpoint.size, proven.lineage.keys) == (log.size, log.keys)


def test_it_is_a_proof_file_that_any_client_reads() -> None:
    log = log_of()

    file = ProofFile.parse(receipt(log, since=50))

    assert file.proves(CHARGE.hash)
    extra = msgspec.json.decode(file.extra or b"")
    assert list(extra) == ["consistency", "entry", "handovers"]
    assert sha256(b"\0" + b64decode(extra["entry"])).digest() == CHARGE.hash
    assert extra["consistency"][0]["from"] == 50


def test_a_key_written_down_on_day_one_reaches_over_two_rotations() -> None:
    log = MemoryLog()
    day_one = log.seal()
    log.extend(others(100))
    log.rotate("second")
    log.extend([event.hash for event in EVENTS])
    log.rotate("third")
    log.extend(others(10, "later"))
    content = receipt(log, since=0)

    for key in log.keys:
        assert verified(content, key).lineage.keys[-1] == log.keys[-1]
    assert verified(content, log.keys[0], checkpoints=[day_one]).lineage.keys == log.keys
    assert "no key that is known leads" in refused(content, signer(ORIGIN, "a stranger's").key)
    assert "no key that is known leads" in refused(content, signer("tallystick/other", "first").key)


def test_a_newer_key_does_not_reach_back() -> None:
    log = log_of()
    content = receipt(log)
    log.rotate("second")

    assert "no key that is known leads" in refused(content, log.keys[1])


def test_a_checkpoint_of_the_same_size_compares_roots() -> None:
    log, other = log_of(), log_of()
    other.extend(others(1))
    forged = Checkpoint(ORIGIN, log.size, other.checkpoint().root).signed_by(*log.signers)

    assert holds(receipt(log), *log.keys, checkpoints=[log.seal()])
    assert "two trees of size 126: the log was rewritten" in refused(receipt(log), *log.keys, checkpoints=[forged])


def test_a_checkpoint_of_another_size_needs_a_proof() -> None:
    log = log_of()
    older, content = log.seal(60), receipt(log)

    assert refused(content, *log.keys, checkpoints=[older]).endswith(
        "cannot be reached: get /v1/checkpoints/proof?from=60&to=126"
    )
    assert holds(receipt(log, since=60), *log.keys, checkpoints=[older])
    assert holds(content, *log.keys, checkpoints=[older, log.answer(60, 126)])
    assert holds(content, *log.keys, checkpoints=[f"{older}{log.answer(60, 126)}"]), "in one file, too"
    assert holds(content, *log.keys, checkpoints=[f"{log.answer(60, 126)}{older}"])


def test_a_newer_checkpoint_is_reached_as_well() -> None:
    log = log_of()
    content, size = receipt(log), log.size
    log.extend(others(300, "much later"))
    newer = log.seal()

    assert refused(content, *log.keys, checkpoints=[newer]).endswith("/v1/checkpoints/proof?from=126&to=426")
    assert holds(content, *log.keys, checkpoints=[log.answer(size, log.size)])
    assert holds(content, *log.keys, checkpoints=[log.seal(60), log.answer(60, 426), log.answer(size, 426)])
    assert isinstance(_raised(content, log, [log.seal(60), log.answer(size, 426)]), OutOfReach)


def _raised(content: bytes, log: MemoryLog, checkpoints: Sequence[object]) -> Exception:
    with pytest.raises(NotGenuine) as error:
        verified(content, *log.keys, checkpoints=checkpoints)
    return error.value


def test_two_trees_with_a_common_beginning_are_not_one_log() -> None:
    log, fork = log_of(), log_of(after=0)
    fork.extend(others(40, "forked"))
    content = receipt(log, since=106)

    message = refused(content, *log.keys, checkpoints=[fork.answer(106, 146), log.seal(106)])

    assert message.endswith("cannot be reached: get /v1/checkpoints/proof?from=126&to=146")


def test_a_witness_that_is_pinned_must_have_cosigned() -> None:
    log = log_of()

    assert verified(receipt(log), *log.keys, WITNESS.key).lineage.witnesses == [WITNESS.key]
    assert "witness.example/w2 has not cosigned" in refused(receipt(log), *log.keys, witness("witness.example/w2").key)
    assert "no key that is known leads" in refused(receipt(log), WITNESS.key), "a witness is not the log"


def test_what_is_not_sealed_has_no_receipt() -> None:
    log = log_of(after=0)
    lineage = lineage_from(log.tiles.read, log.seal(102), ())

    with pytest.raises(BeyondCheckpoint):
        receipt_from(log.tiles.read, CHARGE, lineage)
    with pytest.raises(BeyondCheckpoint):
        lineage_from(log.tiles.read, log.seal(), (), since=log.size + 1)


def _handed_over() -> MemoryLog:
    log = log_of(after=0)
    log.rotate("second")
    log.extend(others(5))
    return log


def _with_handovers(log: MemoryLog, handovers: Sequence[Note]) -> bytes:
    return write_receipt(receipt_from(log.tiles.read, CHARGE, lineage_from(log.tiles.read, log.seal(), handovers)))


def test_a_forged_hand_over_leads_nowhere() -> None:
    log = _handed_over()
    old, new = log.signers
    handing_over = log.checkpoint(106).handing_over_to(new.key)
    stranger = signer(ORIGIN, "a stranger's")

    by_old_alone = _with_handovers(log, [handing_over.signed_by(old)])
    by_new_alone = _with_handovers(log, [handing_over.signed_by(new)])
    without_line = _with_handovers(log, [log.checkpoint(106).signed_by(old, new)])
    by_stranger = _with_handovers(log, [handing_over.signed_by(stranger, new)])
    too_large = _with_handovers(log, [Checkpoint(ORIGIN, 999, bytes(32)).handing_over_to(new.key).signed_by(old, new)])

    assert "hand-over 1: it is signed by others" in refused(by_old_alone, old.key)
    assert "hand-over 1: it is signed by others" in refused(by_new_alone, old.key)
    assert "hand-over 1: it does not hand over" in refused(without_line, old.key)
    assert "no key that is known" in refused(by_stranger, old.key)
    assert "hand-over 1: it is out of order" in refused(too_large, old.key)


def test_an_old_key_signs_no_more_once_it_has_handed_over() -> None:
    log = _handed_over()
    by_old = log.checkpoint().signed_by(log.signers[0])

    content = write_receipt(receipt_from(log.tiles.read, CHARGE, lineage_from(log.tiles.read, by_old, log.handovers)))

    assert "the checkpoint: no key that is trusted has signed" in refused(content, log.keys[0])


Alter = Callable[[dict[str, Any]], dict[str, Any]]


@pytest.mark.parametrize(
    ("alter", "message"),
    [
        (lambda extra: {**extra, "more": 1}, "the line `extra`"),
        (lambda extra: {**extra, "entry": b64encode(b"short").decode()}, "the entry: is too short"),
        (lambda extra: {**extra, "entry": extra["entry"][:-4]}, "the entry"),
        (lambda extra: {**extra, "consistency": [{"from": 50, "hashes": []}]}, "the proof of consistency"),
        (lambda extra: {**extra, "consistency": [{"from": 50, "hashes": ["x"]}]}, "the proof of consistency"),
        (lambda extra: {**extra, "handovers": ["x"]}, "the hand-overs"),
    ],
)
def test_a_line_of_extra_data_that_was_altered_is_refused(alter: Alter, message: str) -> None:
    log = log_of()
    file = ProofFile.parse(receipt(log, since=50))
    extra = alter(msgspec.json.decode(file.extra or b""))
    altered = msgspec.structs.replace(file, extra=rfc8785.dumps(extra))

    assert message in refused(str(altered).encode(), *log.keys, checkpoints=[log.seal(50)])


def test_every_byte_of_a_receipt_counts() -> None:
    log = _handed_over()
    pins = Pins([log.keys[0], WITNESS.key], [log.seal(50)])
    content = receipt(log, since=50)
    verify_receipt(content, pins)

    for place in range(len(content)):
        altered = bytearray(content)
        altered[place] ^= 1 << place % 8
        with pytest.raises(NotGenuine):
            verify_receipt(bytes(altered), pins)


def test_a_receipt_of_another_event_is_none() -> None:
    log = log_of()

    assert "it is SubscriptionStarted, and no charge" in refused(receipt(log, event=EVENTS[0]), *log.keys)


@pytest.mark.parametrize("entry", [b'{"data":{"credits":1,"credits":2}}', b"[" * 100_000, b'{"data":NaN}', b"\xff"])
def test_an_entry_of_another_form_is_refused(entry: bytes) -> None:
    event = msgspec.structs.replace(CHARGE, state=entry)
    log = log_of([*EVENTS[:3], event])

    assert "version 4: is no strict JSON" in refused(receipt(log, event=event), *log.keys)


@pytest.mark.parametrize("text", ["", "no note", "old 5\n\n", str(sign_note("text\n", [signer(ORIGIN)]))])
def test_what_is_no_checkpoint_is_no_pin(text: str) -> None:
    with pytest.raises(BadPin):
        read_pins([], [text.encode()])
    with pytest.raises(BadPin):
        read_pins([text or "x"], [])
