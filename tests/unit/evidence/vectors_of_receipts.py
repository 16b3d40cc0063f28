"""Makes receipts that hold, and receipts that do not."""

from base64 import b64decode, b64encode
from collections.abc import Callable, Iterator, Sequence
from typing import Any

import msgspec
import rfc8785
from msgspec.structs import replace

from services.evidence.proving import lineage_from, receipt_from
from services.evidence.receipt import write_receipt
from services.ledger.records import ChainedEvent
from services.log.checkpoint import Checkpoint
from services.log.note import Note, Signature
from services.log.proof_file import ProofFile
from tests.unit.evidence.cases import disputed, others
from tests.unit.evidence.forgery import rewritten
from tests.unit.evidence.memory_log import ORIGIN, MemoryLog
from tests.unit.evidence.vector import Vector
from tests.unit.log.signers import signer, witness

WITNESS = witness()
STRANGER = signer(ORIGIN, "a stranger's")
EVENTS = disputed().subscription
CHARGE = EVENTS[3]
ED25519_ORDER = 2**252 + 27742317777372353535851937790883648493


def log_of(events: Sequence[ChainedEvent] = EVENTS, after: int = 20) -> MemoryLog:
    """Make a log that has the events at their positions, 101 and on."""
    log = MemoryLog(witnesses=[WITNESS])
    log.extend([*others(100), *(event.hash for event in events), *others(after, "later")])
    return log


def rotated_log() -> MemoryLog:
    """Make a log that handed over before the events, and after them."""
    log = MemoryLog(witnesses=[WITNESS])
    log.extend(others(100))
    log.rotate("second")
    log.extend(event.hash for event in EVENTS)
    log.rotate("third")
    log.extend(others(7, "later"))
    return log


def receipt(
    log: MemoryLog,
    since: int | None = None,
    event: ChainedEvent = CHARGE,
    note: Note | None = None,
    handovers: Sequence[Note] | None = None,
) -> bytes:
    """Write a receipt of an event."""
    lineage = lineage_from(log.tiles.read, note or log.seal(), log.handovers, since)
    if handovers is not None:
        lineage = replace(lineage, handovers=handovers)
    return write_receipt(receipt_from(log.tiles.read, event, lineage))


def good() -> Iterator[Vector]:
    """Make those that hold."""
    log, rotated = log_of(), rotated_log()
    key, first = str(log.keys[0]), str(rotated.keys[0])
    yield Vector("receipt.tlog-proof", receipt(log), [key])
    yield Vector("receipt-witnessed.tlog-proof", receipt(log), [key, str(WITNESS.key)])
    yield Vector("receipt-since.tlog-proof", receipt(log, since=60), [key], [_text(log.seal(60))])
    beside = [_text(log.seal(60)), _text(log.answer(60, log.size))]
    yield Vector("receipt-with-answer.tlog-proof", receipt(log), [key], beside)
    yield Vector("receipt-with-both-in-one.tlog-proof", receipt(log), [key], [b"".join(beside)])
    yield Vector("receipt-same-size.tlog-proof", receipt(log), [key], [_text(log.seal())])
    older, size = receipt(log), log.size
    log.extend(others(300, "much later"))
    yield Vector("receipt-older-than-checkpoint.tlog-proof", older, [key], [_text(log.answer(size, log.size))])
    yield Vector("receipt-after-two-rotations.tlog-proof", receipt(rotated), [first])
    day_one = _text(rotated.checkpoint(30).signed_by(rotated.signers[0]))
    yield Vector("receipt-from-day-one.tlog-proof", receipt(rotated, since=30), [first], [day_one])
    yield Vector("receipt-of-a-later-key.tlog-proof", receipt(rotated), [str(rotated.keys[1])])
    yield Vector("receipt-with-unknown-cosignature.tlog-proof", receipt(log_of(after=1)), [key])


def bad() -> Iterator[Vector]:
    """Make those that do not hold."""
    yield from _bad_pins()
    yield from _bad_bytes()
    yield from _bad_entries()
    yield from _bad_notes()
    yield from _bad_handovers()


def _bad_pins() -> Iterator[Vector]:
    log, fork = log_of(), log_of(after=0)
    fork.extend(others(20, "forked"))
    key = str(log.keys[0])
    name = "bad-receipt-{}.tlog-proof".format
    yield Vector(name("other-key"), receipt(log), [str(STRANGER.key)], why="The key that is pinned is another one.")
    yield Vector(name("only-a-witness"), receipt(log), [str(WITNESS.key)], why="No key of the log is pinned.")
    other = str(witness("witness.example/w2").key)
    yield Vector(name("no-cosignature"), receipt(log), [key, other], why="A witness that is pinned has not cosigned.")
    yield Vector(
        name("not-reached"),
        receipt(log),
        [key],
        [_text(log.seal(60))],
        "No proof leads from the checkpoint that is pinned to that of the file.",
    )
    yield Vector(
        name("forked"),
        receipt(log),
        [key],
        [_text(fork.seal())],
        "The checkpoint that is pinned has the same size and another root.",
    )
    answer = _text(fork.answer(106, 126))
    yield Vector(
        name("common-beginning"),
        receipt(log_of(after=1), since=106),
        [key],
        [_text(log.seal(106)), answer],
        "The file and a checkpoint that is pinned only begin alike.",
    )
    unsigned = _text(log.checkpoint(60).signed_by(STRANGER))
    yield Vector(
        name("unsigned-checkpoint"),
        receipt(log, since=60),
        [key],
        [unsigned],
        "No key that is known has signed the checkpoint that is pinned.",
    )
    elsewhere = MemoryLog("tallystick/other")
    elsewhere.extend(others(126))
    yield Vector(
        name("checkpoint-of-another-log"),
        receipt(log),
        [key, str(elsewhere.keys[0])],
        [_text(elsewhere.seal())],
        "The checkpoint that is pinned is of another log.",
    )


def _bad_bytes() -> Iterator[Vector]:
    log = log_of()
    content, key = receipt(log, since=60), str(log.keys[0])
    pins: dict[str, Any] = {"keys": [key], "checkpoints": [_text(log.seal(60))]}
    first_hash = content.split(b"\n")[3]
    other_hash = b64encode(bytes(32))
    for name, altered, why in (
        ("index", content.replace(b"index 103", b"index 102"), "The index is another one."),
        ("index-zeros", content.replace(b"index 103", b"index 0103"), "The index has a leading zero."),
        ("hash", content.replace(first_hash, other_hash), "A hash of the proof of inclusion is another one."),
        ("hash-missing", content.replace(first_hash + b"\n", b""), "A hash of the proof of inclusion is missing."),
        ("hash-added", content.replace(first_hash, first_hash + b"\n" + other_hash), "There is a hash too many."),
        (
            "base64",
            content.replace(first_hash, first_hash[:-2] + _next_to(first_hash[-2:-1]) + b"="),
            "Base64 has bits that are no part of it.",
        ),
        (
            "no-extra",
            b"\n".join(line for line in content.split(b"\n") if not line.startswith(b"extra")),
            "There is no line `extra`.",
        ),
        ("crlf", content.replace(b"\n", b"\r\n"), "Its lines end in CR LF."),
        ("end", content + b"\n", "There is a line feed too many."),
        ("cut", content[:-20], "The end is missing."),
        ("version", content.replace(b"@v1", b"@v2"), "Its first line is another one."),
        ("empty", b"", "It is empty."),
    ):
        assert altered != content, name
        yield Vector(f"bad-receipt-{name}.tlog-proof", altered, why=why, **pins)
    for name, change, why in (
        ("spaces", None, "The JSON of `extra` has a space, and is not canonical."),
        ("member", lambda extra: {**extra, "more": 1}, "The JSON of `extra` has one member more."),
        ("consistency", lambda extra: _with_proof(extra, []), "The proof of consistency has no hashes."),
        (
            "consistency-other",
            lambda extra: _with_proof(extra, [b64encode(bytes(32)).decode()]),
            "The proof of consistency is another one.",
        ),
    ):
        yield Vector(f"bad-receipt-extra-{name}.tlog-proof", _with_extra(content, change), why=why, **pins)


def _bad_entries() -> Iterator[Vector]:
    key = str(log_of().keys[0])
    twice = rewritten(EVENTS, 4, lambda state: state.replace(b'"credits":300', b'"credits":1,"credits":300'))
    yield Vector(
        "bad-receipt-equal-keys.tlog-proof",
        receipt(log_of(twice), event=twice[3]),
        [key],
        why="The stored JSON has two equal keys.",
    )
    huge = rewritten(EVENTS, 4, lambda state: state.replace(b'"quantity":2', b'"quantity":1e300'))
    yield Vector(
        "bad-receipt-huge-number.tlog-proof",
        receipt(log_of(huge), event=huge[3]),
        [key],
        why="A number of the stored JSON is beyond those of a ledger.",
    )
    text = rewritten(EVENTS, 4, lambda state: state.replace(b'"credits":300', b'"credits":"300"'))
    yield Vector(
        "bad-receipt-text-for-number.tlog-proof",
        receipt(log_of(text), event=text[3]),
        [key],
        why="The credits are a text.",
    )
    yield Vector(
        "bad-receipt-no-charge.tlog-proof", receipt(log_of(), event=EVENTS[0]), [key], why="The event is no charge."
    )
    content = receipt(log_of())
    cheaper = _with_extra(content, lambda extra: {**extra, "entry": _replaced(extra["entry"], b":300,", b":100,")})
    yield Vector(
        "bad-receipt-cheaper.tlog-proof", cheaper, [key], why="The entry has other credits than the one in the log."
    )
    later = _with_extra(content, lambda extra: {**extra, "entry": _later(extra["entry"])})
    yield Vector(
        "bad-receipt-later.tlog-proof",
        later,
        [key],
        why="The entry was recorded a microsecond later than the one in the log.",
    )
    cut = _with_extra(content, lambda extra: {**extra, "entry": b64encode(b64decode(extra["entry"])[:60]).decode()})
    yield Vector("bad-receipt-cut-entry.tlog-proof", cut, [key], why="The entry is cut short.")


def _bad_notes() -> Iterator[Vector]:
    log = log_of()
    key, note = str(log.keys[0]), log.seal()
    own, cosignature = note.signatures
    name = "bad-receipt-{}.tlog-proof".format
    s = int.from_bytes(own.signature[32:], "little") + ED25519_ORDER
    malleable = replace(own, signature=own.signature[:32] + s.to_bytes(32, "little"))
    for what, signatures, keys, why in (
        ("signature", [replace(own, signature=bytes(64))], [key], "The signature is another one."),
        ("unsigned", [cosignature], [key], "The log's key has not signed the checkpoint."),
        ("malleable", [malleable], [key], "S of the signature is not below the order of the group (RFC 8032, 5.1.7)."),
        (
            "cosignature",
            [own, replace(cosignature, signature=bytes(7) + b"\1" + cosignature.signature[8:])],
            [key, str(WITNESS.key)],
            "The cosignature is of another time.",
        ),
        (
            "cosignature-as-signature",
            [Signature(own.name, own.key_id, cosignature.signature)],
            [key],
            "A cosignature stands in the place of the signature.",
        ),
    ):
        yield Vector(name(what), receipt(log, note=replace(note, signatures=tuple(signatures))), keys, why=why)
    other_root = Checkpoint(ORIGIN, log.size, bytes(32)).signed_by(*log.signers)
    yield Vector(
        name("other-root"), receipt(log, note=other_root), [key], why="The charge is not in the tree that was signed."
    )
    smaller = receipt(log).replace(_text(log.seal()), _text(log.seal(103)))
    yield Vector(name("smaller-tree"), smaller, [key], why="The checkpoint is older than the charge.")


def _bad_handovers() -> Iterator[Vector]:
    log = rotated_log()
    first, second, third = log.signers
    one, two = log.handovers
    key = str(first.key)
    name = "bad-receipt-handover-{}.tlog-proof".format
    handing_over = log.checkpoint(100).handing_over_to(second.key)
    for what, handovers, why in (
        ("missing", [two], "The first hand-over is missing."),
        ("order", [two, one], "The hand-overs are in another order."),
        ("by-old-key-alone", [handing_over.signed_by(first), two], "The new key has not signed its hand-over."),
        ("by-new-key-alone", [handing_over.signed_by(second), two], "The old key has not signed the hand-over."),
        ("by-three", [handing_over.signed_by(first, second, STRANGER), two], "A third key has signed the hand-over."),
        ("without-line", [log.checkpoint(100).signed_by(first, second), two], "The hand-over has no line `next VKEY`."),
        (
            "of-another-log",
            [Checkpoint("tallystick/other", 100, bytes(32)).handing_over_to(second.key).signed_by(first, second), two],
            "The hand-over is of another log.",
        ),
        (
            "too-large",
            [Checkpoint(ORIGIN, 900, bytes(32)).handing_over_to(second.key).signed_by(first, second), two],
            "The hand-over is of a larger tree than the checkpoint.",
        ),
        (
            "to-a-stranger",
            [log.checkpoint(100).handing_over_to(STRANGER.key).signed_by(first, STRANGER), two],
            "The key of the second hand-over is not the one that the first names.",
        ),
        ("twice", [one, one, two], "A key is handed over to twice."),
    ):
        stripped = [
            replace(each, signatures=tuple(line for line in each.signatures if line.name != WITNESS.key.name))
            for each in handovers
        ]
        yield Vector(name(what), receipt(log, handovers=stripped), [key], why=why)
    by_old = log.checkpoint().signed_by(second)
    yield Vector(
        name("old-key-signs-on"),
        receipt(log, note=by_old),
        [key],
        why="The checkpoint is signed by a key that has handed over.",
    )
    yield Vector(
        name("newer-pin"), receipt(log_of()), [str(third.key)], why="The key that is pinned is newer than the file."
    )


def _text(note: object) -> bytes:
    return str(note).encode()


def _next_to(digit: bytes) -> bytes:
    alphabet = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/"
    at = alphabet.index(digit) ^ 1
    return alphabet[at : at + 1]


def _with_extra(content: bytes, change: Callable[[dict[str, Any]], dict[str, Any]] | None) -> bytes:
    file = ProofFile.parse(content)
    assert file.extra is not None
    extra = b" " + file.extra if change is None else rfc8785.dumps(change(msgspec.json.decode(file.extra)))
    return str(replace(file, extra=extra)).encode()


def _with_proof(extra: dict[str, Any], hashes: Sequence[str]) -> dict[str, Any]:
    return {**extra, "consistency": [{"from": 60, "hashes": hashes}]}


def _replaced(entry: str, before: bytes, after: bytes) -> str:
    return b64encode(b64decode(entry).replace(before, after)).decode()


def _later(entry: str) -> str:
    content = bytearray(b64decode(entry))
    content[31] ^= 1
    return b64encode(bytes(content)).decode()
