"""Makes evidence that holds, and evidence that does not."""

import io
import zipfile
from collections.abc import Iterator, Mapping
from typing import Any

from msgspec.structs import replace

from services.evidence.archive import pack, unpack
from services.evidence.case import Case
from services.evidence.manifest import MANIFEST
from services.log.checkpoint import Checkpoint
from services.log.note import Note, sign_note
from tests.unit.evidence.cases import HISTORY, KEY, disputed, disputed_in, made, others
from tests.unit.evidence.forgery import forged, members_of
from tests.unit.evidence.holds import (
    adjusted,
    captured,
    captured_late,
    captured_to_the_end,
    captured_while_suspended,
    moved_in,
)
from tests.unit.evidence.memory_log import ORIGIN, MemoryLog
from tests.unit.evidence.resigned import resigned
from tests.unit.evidence.vector import Vector
from tests.unit.evidence.vectors_of_events import LIFE, bad_events
from tests.unit.evidence.vectors_of_holds import bad_holds
from tests.unit.log.signers import signer, witness
from tests.unit.subscription.scenario import play

WITNESS = witness()
STRANGER = signer(ORIGIN, "a stranger's")
REFUSED = HISTORY + "    2024-02-07 | charge 50,000 image as huge | refused insufficient_credits\n"

EDITS_OF_MEMBERS: tuple[tuple[str, str, bytes, bytes, str], ...] = (
    (
        "credits-in-charge",
        "charge.json",
        b'"credits":300',
        b'"credits":299',
        "charge.json has other credits than the event.",
    ),
    (
        "balance-in-charge",
        "charge.json",
        b'"balance_before":31000',
        b'"balance_before":30000',
        "charge.json has another balance than the events make.",
    ),
    (
        "position-in-charge",
        "charge.json",
        b'"position":104',
        b'"position":103',
        "charge.json has another position.",
    ),
    (
        "number-in-charge",
        "charge.json",
        b'"credits":300',
        b'"credits":300.0',
        "A number of charge.json is no whole one.",
    ),
    ("space-in-charge", "charge.json", b'{"asset_type"', b'{ "asset_type"', "charge.json is not canonical."),
    (
        "status-in-dispute",
        "dispute.json",
        b'"status":"upheld"',
        b'"status":"rejected"',
        "dispute.json has another status than the events.",
    ),
    ("hash-of-event", "subscription-events.ndjson", b'"hash":"', b'"hash":"0', "A hash has a digit too many."),
    (
        "offset-in-event",
        "subscription-events.ndjson",
        b'00.000000Z"',
        b'00.000000+00:00"',
        "An instant has another form.",
    ),
    (
        "float-in-event",
        "subscription-events.ndjson",
        b'"version":1}',
        b'"version":1.0}',
        "A version is no whole number.",
    ),
    ("no-end", "dispute-events.ndjson", b"}\n{", b"}{", "A line has no end."),
    (
        "proof-of-another",
        "proofs.json",
        b'"what":"subscription"',
        b'"what":"dispute"',
        "There are two proofs of the dispute.",
    ),
    ("index", "proofs.json", b'"index":', b'"index":1', "An index is another one."),
    (
        "refusal",
        "refusals.ndjson",
        b'"balance_credits":26700',
        b'"balance_credits":96700',
        "A refusal is not the one of the log.",
    ),
    ("refusal-number", "refusals.ndjson", b'"number":1', b'"number":2', "A refusal has another number."),
    (
        "refusal-checkpoint",
        "refusals.json",
        b"/refusals\\n1\\n",
        b"/refusals\\n2\\n",
        "The checkpoint of the refusals is not the one that was signed.",
    ),
    ("key-with-space", "keys.txt", b"\n", b" \n", "A key has a space behind it."),
    (
        "witness-left-out",
        "witnesses.txt",
        str(WITNESS.key).encode() + b"\n",
        b"",
        "A cosignature is of a witness that is not named.",
    ),
    ("receipt-of-another", "charge.tlog-proof", b"index 103", b"index 102", "The receipt has another index."),
)
"""Of each: its name, the member, what is replaced in it by what, what is wrong then."""


def good() -> Iterator[Vector]:
    """Make those that hold."""
    key = str(KEY.key)
    yield _good("open", disputed(outcome=None), key)
    yield _good("upheld", disputed(), key)
    yield _good("rejected", disputed(outcome="rejected"), key)
    yield _good("rejected-at-once", disputed(reason="unsatisfied", outcome=None), key)
    yield _good("with-refusals", disputed(REFUSED), key)
    yield _good("whole-life", disputed(LIFE, outcome=None), key)
    yield _good("given-back-in-part", disputed_in(play(HISTORY), returned_credits=100), key)
    yield _good("moved-in", disputed_in(moved_in()), key)
    yield _good("adjusted", disputed_in(adjusted(), outcome="rejected"), key)
    yield _good("captured", disputed_in(captured()), key)
    yield _good("captured-while-suspended", disputed_in(captured_while_suspended(), "shared"), key)
    yield _good("captured-late", disputed_in(captured_late(), "late"), key)
    yield _good("captured-after-the-end", disputed_in(captured_to_the_end(), "beyond", outcome=None), key)
    yield _good("unpinned", disputed())
    yield _good("witnessed", disputed(log=MemoryLog(witnesses=[WITNESS])), key, str(WITNESS.key))
    log = _rotated()
    case = disputed(log=log)
    since = replace(case, lineage=log.lineage(since=50))
    day_one = str(log.checkpoint(50).signed_by(log.signers[0])).encode()
    pins = [str(log.keys[0]), str(WITNESS.key)]
    yield Vector("evidence-after-two-rotations.zip", forged(since, log.signers[-1]), pins, [day_one])
    yield Vector("evidence-of-a-later-key.zip", forged(case, log.signers[-1]), [str(log.keys[1])])
    yield Vector("evidence-with-a-report.zip", made(disputed()), [key])


def bad() -> Iterator[Vector]:
    """Make those that do not hold."""
    yield from _bad_archives()
    yield from _bad_manifests()
    yield from _bad_members()
    yield from bad_events()
    yield from bad_holds()
    yield from _bad_logs()


def _good(name: str, case: Case, *keys: str) -> Vector:
    return Vector(f"evidence-{name}.zip", forged(case), keys)


def _bad(name: str, content: bytes, why: str) -> Vector:
    return Vector(f"bad-evidence-{name}.zip", content, [str(KEY.key)], why=why)


def _rotated() -> MemoryLog:
    log = MemoryLog(witnesses=[WITNESS])
    log.extend(others(50))
    log.rotate("second")
    log.extend(others(50, "more"))
    log.rotate("third")
    return log


def _bad_archives() -> Iterator[Vector]:
    content = forged(disputed())
    members = unpack(content)
    (one, first), (two, second), *rest = members.items()
    deflated, dated = io.BytesIO(), bytearray(content)
    with zipfile.ZipFile(deflated, "w", zipfile.ZIP_DEFLATED) as archive:
        for name, member in members.items():
            archive.writestr(zipfile.ZipInfo(name), member, zipfile.ZIP_DEFLATED)
    dated[10] ^= 1
    yield _bad("compressed", deflated.getvalue(), "The members are compressed.")
    yield _bad("dated", bytes(dated), "A member has another time.")
    yield _bad("comment", content[:-2] + b"\x02\x00hi", "The archive has a comment.")
    yield _bad("end", content + b"\n", "There is a byte too many.")
    yield _bad("begin", b"PK" + content, "Something stands before the archive.")
    yield _bad("cut", content[:-5], "The end is missing.")
    yield _bad("order", pack(dict([(two, second), (one, first), *rest])), "The members are in another order.")
    yield _bad("more", pack({**members, "more.txt": b""}), "There is a member too many.")
    yield _bad("fewer", pack(dict(rest)), "Members are missing.")


def _bad_manifests() -> Iterator[Vector]:
    case = disputed()
    members = members_of(case)
    good = unpack(resigned(members))
    double = Note.parse(good[MANIFEST])
    twice = double.with_signatures(Note.parse(unpack(resigned(members, STRANGER))[MANIFEST]).signatures)
    yield _bad("signed-by-a-stranger", resigned(members, STRANGER), "The manifest is signed by another key.")
    yield _bad(
        "signed-twice", pack({**good, MANIFEST: str(twice).encode()}), "Another key has signed the manifest too."
    )
    yield _bad(
        "altered-report",
        pack({**good, "report.html": good["report.html"] + b"!"}),
        "The report is not the one of the manifest.",
    )
    for name, changes, why in (
        ("made-before", {"made_at": "2024-01-01T00:00:00.000000Z"}, "It was made before its events were recorded."),
        (
            "made-at-a-zone",
            {"made_at": "2024-02-20T10:30:00.000000+01:00"},
            "The instant of the manifest is not in UTC.",
        ),
        ("made-never", {"made_at": "some day"}, "The manifest has no instant."),
        ("other-origin", {"origin": "tallystick/other"}, "The manifest names another log."),
        ("other-generation", {"generation_id": "picture"}, "The manifest names another generation."),
        (
            "other-dispute",
            {"dispute_id": "00000000-0000-4000-8000-000000000001"},
            "The manifest names another dispute.",
        ),
        ("upper-case", {"dispute_id": "5B1E7F3C-2A94-4C7E-9D35-0C6F8A1B2D4E"}, "An id is in upper case."),
        ("more-in-manifest", {"more": 1}, "The manifest has a member too many."),
    ):
        yield _bad(name, resigned(members, **changes), why)
    equal_keys = Note.parse(good[MANIFEST]).text.replace('"origin":', '"origin":"x","origin":')
    yield _bad(
        "equal-keys-in-manifest", pack({**good, MANIFEST: _signed(equal_keys)}), "The manifest has two equal keys."
    )
    other_form = Note.parse(good[MANIFEST]).text.replace("evidence-2", "evidence-1")
    yield _bad("other-form", pack({**good, MANIFEST: _signed(other_form)}), "The form is another one.")


def _signed(text: str) -> bytes:
    return str(sign_note(text, [KEY])).encode()


def _bad_members() -> Iterator[Vector]:
    members = members_of(disputed(REFUSED, log=MemoryLog(witnesses=[WITNESS])))
    for name, member, before, after, why in EDITS_OF_MEMBERS:
        assert before in members[member], name
        yield _bad(name, resigned({**members, member: members[member].replace(before, after, 1)}), why)
    surplus = members["keys.txt"] + f"{STRANGER.key}\n".encode()
    yield _bad(
        "surplus-key",
        resigned({**members, "keys.txt": surplus}, STRANGER),
        "A key is named to which nothing was handed over.",
    )
    not_there = members["witnesses.txt"] + f"{witness('witness.example/w2').key}\n".encode()
    yield _bad(
        "surplus-witness",
        resigned({**members, "witnesses.txt": not_there}),
        "A witness is named that has not cosigned.",
    )
    yield _bad(
        "no-refusals",
        resigned({**members, "refusals.ndjson": b""}),
        "The refusals are gone, and their proofs are there.",
    )
    other_name = f"{signer('tallystick/other', 'first').key}\n".encode()
    yield _bad(
        "key-of-another-name", resigned({**members, "keys.txt": other_name}), "The key has another name than the log."
    )


def _bad_logs() -> Iterator[Vector]:
    case = disputed()
    changes: tuple[tuple[str, Mapping[str, Any], str], ...] = (
        (
            "other-proof",
            {"proofs": {**case.proofs, "charge": [bytes(32), *case.proofs["charge"][1:]]}},
            "The proof of the charge has another hash.",
        ),
        (
            "swapped-proofs",
            {"proofs": {**case.proofs, "subscription": case.proofs["dispute"], "dispute": case.proofs["subscription"]}},
            "The proofs of the streams are swapped.",
        ),
        ("other-tree", {"lineage": _of_others().lineage()}, "The checkpoint is of a tree without the events."),
    )
    for name, change, why in changes:
        yield _bad(name, forged(replace(case, **change)), why)
    stranger = MemoryLog(seed="a stranger's")
    yield _bad(
        "of-a-stranger",
        forged(disputed(log=stranger), STRANGER),
        "It is sound, and signed by another key than the one that is pinned.",
    )
    second = case.lineage.note.with_signatures(case.lineage.checkpoint.signed_by(STRANGER).signatures)
    yield _bad(
        "unknown-signature",
        forged(replace(case, lineage=replace(case.lineage, note=second))),
        "A key that is not here has signed the checkpoint too.",
    )
    without_charge = Checkpoint(ORIGIN, 103, case.lineage.checkpoint.root).signed_by(KEY)
    yield _bad(
        "smaller-tree",
        forged(replace(case, lineage=replace(case.lineage, note=without_charge))),
        "The checkpoint is of a smaller tree.",
    )
    log = MemoryLog()
    log.extend(others(100))
    log.rotate("second")
    rotated = disputed(log=log)
    forgotten = replace(rotated, lineage=replace(rotated.lineage, handovers=()), keys=log.keys[1:])
    yield _bad("hand-over-left-out", forged(forgotten, log.signers[1]), "The hand-over from the pinned key is missing.")


def _of_others() -> MemoryLog:
    log = MemoryLog()
    log.extend(others(108))
    return log
