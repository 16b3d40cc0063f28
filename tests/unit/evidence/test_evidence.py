"""Evidence proves a charge by itself; a member that does not fit is named, and a lie is found whoever signed it."""

from collections.abc import Callable, Mapping
from datetime import UTC, datetime, timedelta
from random import Random
from typing import Any

import msgspec
import pytest
import rfc8785
from msgspec.structs import replace

from services.dispute.events import Outcome, Reason
from services.evidence.archive import pack, unpack
from services.evidence.case import Case
from services.evidence.claims import Inconsistent
from services.evidence.documents import event_line
from services.evidence.faults import NotGenuine, OutOfReach
from services.evidence.lineage import Consistency, Lineage, Pins
from services.evidence.manifest import MANIFEST, MEMBERS
from services.evidence.verify import VerifiedEvidence, verify
from services.log.note import Note
from tests.unit.evidence.cases import HISTORY, KEY, disputed, made, others
from tests.unit.evidence.memory_log import ORIGIN, MemoryLog
from tests.unit.evidence.mutants import mutant_of
from tests.unit.evidence.resigned import resigned
from tests.unit.log.signers import signer, witness

STRANGER = signer(ORIGIN, "a stranger's")
WITH_REFUSAL = HISTORY + "    2024-02-07 | charge 50,000 image as huge | refused insufficient_credits\n"


def refused(archive: bytes) -> str:
    with pytest.raises(NotGenuine) as error:
        verify(archive)
    return str(error.value)


@pytest.mark.parametrize(
    ("reason", "outcome", "status"),
    [
        ("duplicate", "upheld", "upheld"),
        ("wrong_price", "rejected", "rejected"),
        ("other", None, "open"),
        ("unsatisfied", None, "rejected"),
    ],
)
def test_evidence_proves_what_the_ledger_knows(reason: Reason, outcome: Outcome | None, status: str) -> None:
    verified = verify(made(disputed(reason=reason, outcome=outcome)))

    assert verified.facts.dispute.state.status == status
    assert verified.facts.charge.credits == 300
    assert (verified.facts.before.balance_credits, verified.facts.after.balance_credits) == (31_000, 30_700)
    assert (verified.facts.reversal is not None) == (status == "upheld")
    assert (verified.lineage.keys, verified.index) == ([KEY.key], 103)


def test_the_same_case_makes_the_same_bytes() -> None:
    assert made(disputed()) == made(disputed())


def test_what_it_holds_is_what_its_readers_expect() -> None:
    members = unpack(made(disputed(WITH_REFUSAL)))

    charge = msgspec.json.decode(members["charge.json"])
    dispute = msgspec.json.decode(members["dispute.json"])
    assert tuple(members) == (*MEMBERS, MANIFEST)
    assert charge["price"] == {
        "rate_card": "first",
        "rule": "per_track",
        "unit": "track",
        "quantity": "2",
        "credits_per_unit": "150",
    }
    assert (charge["recomputed_credits"], charge["balance_before"], charge["balance_after"]) == (300, 31_000, 30_700)
    assert (charge["version"], charge["position"]) == (4, 104)
    assert (dispute["status"], dispute["reversed_in_version"]) == ("upheld", 6)
    events = [msgspec.json.decode(line) for line in members["subscription-events.ndjson"].splitlines()]
    assert [event["version"] for event in events] == [1, 2, 3, 4, 5, 6]
    assert msgspec.json.decode(events[3]["state"])["data"]["generation_id"] == "track"
    (refusal,) = [msgspec.json.decode(line) for line in members["refusals.ndjson"].splitlines()]
    assert (refusal["generation_id"], refusal["code"]) == ("huge", "insufficient_credits")


def test_its_receipt_is_one_that_the_customer_could_have() -> None:
    members = unpack(made(disputed()))

    assert members["charge.tlog-proof"].startswith(b"c2sp.org/tlog-proof@v1\nextra ")


@pytest.mark.parametrize("member", [*MEMBERS, MANIFEST])
def test_a_member_that_was_altered_is_named(member: str) -> None:
    log = MemoryLog(witnesses=[witness()])
    members = unpack(made(disputed(WITH_REFUSAL, log=log)))
    middle = len(members[member]) // 2
    altered = members[member][:middle] + bytes([members[member][middle] ^ 1]) + members[member][middle + 1 :]

    assert refused(pack({**members, member: altered})).partition(":")[0] == member


def test_members_out_of_order_missing_or_added_are_refused() -> None:
    members = unpack(made(disputed()))
    one, two, *rest = members.items()

    for wrong in (
        dict([two, one, *rest]),
        dict([two, *rest]),
        {**members, "more.txt": b""},
        {},
    ):
        assert "other members" in refused(pack(wrong))


def test_a_stranger_cannot_sign_for_the_log() -> None:
    members = unpack(made(disputed()))
    members["report.html"] = members["report.html"].replace(b"given back", b"not given back")

    assert refused(resigned(members, STRANGER)).startswith("manifest.note: no key that is trusted")
    assert "report.html" in refused(pack(members))


def test_a_file_that_a_stranger_made_up_leads_to_no_pin() -> None:
    stranger = MemoryLog(seed="a stranger's")
    forged = made(disputed(log=stranger), STRANGER)

    assert verify(forged).lineage.keys == [STRANGER.key], "it is sound in itself"
    with pytest.raises(OutOfReach):
        verify(forged, Pins([KEY.key]))
    assert verify(forged, Pins([STRANGER.key])).lineage.keys == [STRANGER.key]


def _rotated() -> tuple[MemoryLog, Note]:
    """A log that handed over twice, and a checkpoint from its first day."""
    log = MemoryLog(witnesses=[witness()])
    log.extend(others(50))
    day_one = log.seal()
    log.rotate("second")
    log.extend(others(50, "more"))
    log.rotate("third")
    return log, day_one


def test_an_old_key_and_an_old_checkpoint_reach_newer_evidence() -> None:
    log, day_one = _rotated()
    case = disputed(log=log)
    archive = made(case, log.signers[-1])
    since = made(replace(case, lineage=log.lineage(since=50)), log.signers[-1])

    for key in log.keys:
        assert verify(archive, Pins([key])).lineage.keys == log.keys
    assert verify(archive, Pins([log.keys[0], witness().key])).lineage.witnesses == [witness().key]
    assert verify(since, Pins([log.keys[0]], [day_one])).lineage.checkpoint.size == log.size
    assert verify(archive, Pins([log.keys[0]], [day_one], [log.answer(50, log.size)])).index == 103
    with pytest.raises(OutOfReach, match=r"cannot be reached: get /v1/checkpoints/proof\?from=50&to=108"):
        verify(archive, Pins([log.keys[0]], [day_one]))
    with pytest.raises(OutOfReach):
        verify(archive, Pins([witness("witness.example/w2").key]))


Alter = Callable[[Case], Case]


def _without_event(case: Case) -> Case:
    return replace(case, subscription=[*case.subscription[:2], *case.subscription[3:]])


def _with_other_data(case: Case) -> Case:
    events = list(case.subscription)
    events[-1] = replace(events[-1], state=events[-1].state.replace(b"300", b"301"))
    return replace(case, subscription=events)


def _without_the_last(case: Case) -> Case:
    return replace(case, subscription=case.subscription[:-1])


def _with_events_swapped(case: Case) -> Case:
    one, two, *rest = case.subscription
    return replace(case, subscription=[two, one, *rest])


def _with_later_event(case: Case) -> Case:
    events = list(case.subscription)
    events[1] = replace(events[1], recorded_at=events[1].recorded_at - timedelta(seconds=1))
    return replace(case, subscription=events)


def _without_dispute(case: Case) -> Case:
    return replace(case, dispute=[])


def _of_another_dispute(case: Case) -> Case:
    return replace(case, dispute=disputed(generation_id="speech", outcome=None).dispute[:1])


@pytest.mark.parametrize(
    "alter",
    [
        _without_event,
        _without_the_last,
        _with_events_swapped,
        _with_later_event,
        _without_dispute,
        _with_other_data,
        _of_another_dispute,
    ],
    ids=lambda alter: alter.__name__,
)
def test_events_that_do_not_fit_together_make_no_evidence(alter: Alter) -> None:
    with pytest.raises((Inconsistent, NotGenuine)):
        verify(made(alter(disputed())))


def _other_hash(case: Case) -> Case:
    return replace(case, proofs={**case.proofs, "charge": [bytes(32), *case.proofs["charge"][1:]]})


def _swapped_proofs(case: Case) -> Case:
    proofs = case.proofs
    return replace(case, proofs={**proofs, "subscription": proofs["dispute"], "dispute": proofs["subscription"]})


def _unsigned(case: Case) -> Case:
    (line,) = case.lineage.note.signatures
    note = replace(case.lineage.note, signatures=(replace(line, signature=bytes(64)),))
    return replace(case, lineage=replace(case.lineage, note=note))


def _other_tree(case: Case) -> Case:
    other = MemoryLog()
    other.extend(others(108))
    return replace(case, lineage=other.lineage())


def _other_log(case: Case) -> Case:
    return replace(case, keys=[signer("tallystick/other", "first").key])


def _wrong_consistency(case: Case) -> Case:
    lineage = Lineage(case.lineage.note, (), [Consistency(0, 108, [bytes(32)])])
    return replace(case, lineage=lineage)


def _surplus_key(case: Case) -> Case:
    return replace(case, keys=[*case.keys, STRANGER.key])


def _witness_that_did_not_cosign(case: Case) -> Case:
    return replace(case, witnesses=[witness().key])


@pytest.mark.parametrize(
    ("alter", "message"),
    [
        (_other_hash, "the proof of inclusion: the charge is not"),
        (_swapped_proofs, "proofs.json: the last event of the subscription is not"),
        (_unsigned, "the keys: no key that is known leads"),
        (_other_tree, "the proof of inclusion: the charge is not"),
        (_other_log, "manifest.note: no key that is trusted"),
        (_wrong_consistency, "the proof of consistency"),
        (_surplus_key, "manifest.note: no key that is trusted"),
        (_witness_that_did_not_cosign, "witnesses.txt"),
    ],
    ids=lambda value: getattr(value, "__name__", ""),
)
def test_a_proof_that_proves_something_else_is_refused(alter: Alter, message: str) -> None:
    assert refused(made(alter(disputed()))).startswith(message)


@pytest.mark.parametrize(
    ("member", "before", "after"),
    [
        ("charge.json", b'"credits":300', b'"credits":299'),
        ("dispute.json", b'"status":"upheld"', b'"status":"open"'),
        ("charge.json", b'{"asset_type"', b'{ "asset_type"'),
        ("proofs.json", b'"what":"subscription"', b'"what":"dispute"'),
        ("subscription-events.ndjson", b"Z", b"+00:00"),
        ("subscription-events.ndjson", b'"version":1}', b'"version":1.0}'),
        ("refusals.ndjson", b'"balance_credits":', b'"balance_credits": '),
        ("refusals.ndjson", b'"number":1', b'"number":2'),
        ("keys.txt", b"\n", b" \n"),
    ],
)
def test_a_document_that_the_logs_own_key_signed_still_says_what_the_events_say(
    member: str, before: bytes, after: bytes
) -> None:
    members = unpack(made(disputed(WITH_REFUSAL)))
    assert before in members[member]
    members[member] = members[member].replace(before, after, 1)

    assert refused(resigned(members)).startswith((member, "refusals"))


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"made_at": "2024-01-01T00:00:00.000000Z"}, "it was made before the last event was recorded"),
        ({"made_at": "2024-02-20T09:30:00Z"}, "written as it should be"),
        ({"made_at": "2024-02-20T09:30:00.000000+00:00"}, "written as it should be"),
        ({"made_at": "yesterday"}, "Invalid isoformat string"),
        ({"origin": "tallystick/other"}, "it names another log"),
        ({"generation_id": "picture"}, "it names another generation"),
        ({"dispute_id": "5B1E7F3C-2A94-4C7E-9D35-0C6F8A1B2D4E"}, "written as it should be"),
    ],
)
def test_a_manifest_that_the_logs_own_key_signed_says_what_is_so(changes: Mapping[str, Any], message: str) -> None:
    members = unpack(made(disputed()))

    error = refused(resigned(members, **changes))

    assert error.startswith("manifest.note: ")
    assert message in error


@pytest.mark.parametrize("tampers", [1_000, pytest.param(10_000, marks=pytest.mark.long)])
def test_every_tamper_is_found(tampers: int) -> None:
    """In the file as it is, or in a member that is then packed again, so that the archive is whole."""
    archive, random = made(disputed(WITH_REFUSAL)), Random(7)
    members = unpack(archive)
    refusals = 0
    for number in range(tampers):
        altered = mutant_of(archive, number * len(archive) // tampers, random)
        if number % 2:
            name = random.choice([name for name in members if members[name]])
            altered = pack({**members, name: mutant_of(members[name], random.randrange(len(members[name])), random)})
        if altered != archive:
            assert refused(altered).partition(":")[0] in {"the archive", *MEMBERS, MANIFEST}, "it is named"
            refusals += 1
    assert refusals > tampers * 0.9


def test_a_large_stream_is_proven_too() -> None:
    charges = "\n".join(f"| charge 10 image as picture-{number} |" for number in range(500))
    table = f"""
        2024-01-31 10:00 | start ai-suite-40000-monthly    | balance 40,000
        {charges}
        2024-02-05 12:34 | generate lyria-3 count=2 as track | balance 34,700
        {charges.replace("picture", "other")}
    """

    verified: VerifiedEvidence = verify(made(disputed(table)))

    assert verified.subscription_events == 1_004
    assert verified.facts.before.balance_credits == 35_000


def test_it_is_made_no_earlier_than_its_events_were_recorded() -> None:
    case = disputed()
    early = verify(made(case, made_at=datetime(2020, 1, 1, tzinfo=UTC)))

    assert early.manifest.made_at == "2024-02-07T00:00:00.000000Z"
    assert verify(made(case)).manifest.made_at == "2024-02-20T09:30:00.000000Z"


def test_the_line_of_an_event_is_canonical_json() -> None:
    random = Random(23)
    event = disputed().subscription[3]
    for _ in range(300):
        text = "".join(chr(random.choice((random.randrange(0x80), random.randrange(0xD800)))) for _ in range(20))
        line = event_line(replace(event, state=text.encode()))
        assert line == rfc8785.dumps(msgspec.json.decode(line))
