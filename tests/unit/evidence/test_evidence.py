"""Evidence proves a charge by itself; a member that does not fit is named."""

from collections.abc import Callable
from datetime import timedelta
from hashlib import sha256
from random import Random

import msgspec
import pytest
from msgspec.structs import replace
from msgspec.structs import replace as with_field

from services.dispute.events import Outcome, Reason
from services.evidence.archive import pack, unpack
from services.evidence.builder import build
from services.evidence.case import Case, Inconsistent
from services.evidence.documents import rfc3339
from services.evidence.manifest import FORM, MANIFEST, MEMBERS, SIGNATURE, Manifest, manifest_document, members_of
from services.evidence.verify import NotGenuine, VerifiedEvidence, verify
from services.integrity.signing import SigningKey
from tests.unit.evidence.cases import DISPUTE_ID, KEY, MADE_AT, SUBSCRIPTION_ID, disputed, key_of, sealed

STRANGER = key_of("somebody else's")


def made(case: Case, key: SigningKey = KEY) -> bytes:
    return build(case, key, MADE_AT)


def refused(archive: bytes, *trusted: str) -> str:
    with pytest.raises(NotGenuine) as error:
        verify(archive, trusted)
    return str(error.value)


def resigned(members: dict[str, bytes], key: SigningKey) -> bytes:
    """Pack altered members under a manifest that fits them, signed with a key."""
    held = {name: members[name] for name in MEMBERS}
    manifest = Manifest(
        form=FORM,
        made_at=rfc3339(MADE_AT),
        ledger=sha256(b"the first event").hexdigest(),
        subscription_id=SUBSCRIPTION_ID,
        dispute_id=DISPUTE_ID,
        generation_id="track",
        key_id=key.key_id,
        members=members_of(held),
    )
    document = manifest_document(manifest)
    return pack({**held, MANIFEST: document, SIGNATURE: key.sign(document)})


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
    assert verified.key_ids == [KEY.key_id]
    assert verified.sealed_at == MADE_AT


def test_the_same_case_makes_the_same_bytes() -> None:
    assert made(disputed()) == made(disputed())


def test_what_it_holds_is_what_its_readers_expect() -> None:
    members = unpack(made(disputed()))

    charge = msgspec.json.decode(members["charge.json"])
    dispute = msgspec.json.decode(members["dispute.json"])
    assert tuple(members) == (*MEMBERS, MANIFEST, SIGNATURE)
    assert charge["price"] == {
        "rate_card": "first",
        "rule": "per_track",
        "unit": "track",
        "quantity": "2",
        "credits_per_unit": "150",
    }
    assert (charge["recomputed_credits"], charge["balance_before"], charge["balance_after"]) == (300, 31_000, 30_700)
    assert (dispute["status"], dispute["reversed_in_version"]) == ("upheld", 6)
    events = [msgspec.json.decode(line) for line in members["subscription-events.ndjson"].splitlines()]
    assert [event["version"] for event in events] == [1, 2, 3, 4, 5, 6]
    assert msgspec.json.decode(events[3]["state"])["data"]["generation_id"] == "track"


@pytest.mark.parametrize("member", [*MEMBERS, MANIFEST, SIGNATURE])
def test_a_member_that_was_altered_is_named(member: str) -> None:
    members = unpack(made(disputed()))
    middle = len(members[member]) // 2
    altered = members[member][:middle] + bytes([members[member][middle] ^ 1]) + members[member][middle + 1 :]

    message = refused(pack({**members, member: altered}))

    allowed = {MANIFEST: {MANIFEST, SIGNATURE}, "keys.json": {"keys.json"}}.get(member, {member})
    assert message.partition(":")[0] in allowed


def test_members_out_of_order_missing_or_added_are_refused() -> None:
    members = unpack(made(disputed()))
    one, two, *others = members.items()

    for wrong in (
        dict([two, one, *others]),
        dict([two, *others]),
        {**members, "more.txt": b""},
        {},
    ):
        assert "other members" in refused(pack(wrong))


def test_a_stranger_cannot_sign_for_the_ledger() -> None:
    members = unpack(made(disputed()))
    members["report.html"] = members["report.html"].replace(b"given back", b"not given back")
    with_key = members | {
        "keys.json": members["keys.json"][:-1] + f',"{STRANGER.key_id}":"{STRANGER.public_key.hex()}"}}'.encode()
    }

    assert "signature" in refused(resigned(members, STRANGER))
    assert refused(resigned(with_key, STRANGER)).startswith(("manifest.json: checkpoint 7", "keys.json"))
    assert "report.html" in refused(pack(members))


def test_a_file_that_a_stranger_made_up_shows_the_strangers_key() -> None:
    case = disputed()
    forged = made(sealed(case.subscription, case.dispute, STRANGER), STRANGER)

    assert verify(forged).key_ids == [STRANGER.key_id]
    assert STRANGER.key_id in refused(forged, KEY.key_id)
    assert verify(forged, [STRANGER.key_id]).key_ids == [STRANGER.key_id]


def test_a_key_may_have_handed_over_to_the_one_that_signs() -> None:
    case = disputed()
    (checkpoint,) = case.checkpoints
    handing_over = replace(checkpoint, next_public_key=STRANGER.public_key)
    signed = replace(handing_over, signature=KEY.sign(handing_over.signed_bytes))

    verified = verify(made(replace(case, checkpoints=[signed]), STRANGER))

    assert verified.key_ids == [STRANGER.key_id, KEY.key_id]


Alter = Callable[[Case], Case]


def _without_event(case: Case) -> Case:
    return replace(case, subscription=[*case.subscription[:2], *case.subscription[3:]])


def _with_other_data(case: Case) -> Case:
    events = list(case.subscription)
    events[-1] = with_field(events[-1], state=events[-1].state.replace(b"300", b"301"))
    return replace(case, subscription=events)


def _without_the_last(case: Case) -> Case:
    return replace(case, subscription=case.subscription[:-1])


def _with_events_swapped(case: Case) -> Case:
    one, two, *others = case.subscription
    return replace(case, subscription=[two, one, *others])


def _with_later_event(case: Case) -> Case:
    events = list(case.subscription)
    events[1] = with_field(events[1], recorded_at=events[1].recorded_at - timedelta(seconds=1))
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
    proof = case.proofs[0]
    hashes = [bytes(32).hex(), *proof.hashes[1:]]
    return replace(case, proofs=[replace(proof, hashes=hashes), *case.proofs[1:]])


def _other_leaf(case: Case) -> Case:
    return replace(case, proofs=[replace(case.proofs[0], leaf_index=case.proofs[0].leaf_index + 1), *case.proofs[1:]])


def _other_place(case: Case) -> Case:
    proof = case.proofs[0]
    moved = replace(proof, leaf_index=proof.leaf_index + 1, position=proof.position + 1)
    return replace(case, proofs=[moved, *case.proofs[1:]])


def _fewer_proofs(case: Case) -> Case:
    return replace(case, proofs=case.proofs[:2])


def _other_root(case: Case) -> Case:
    (checkpoint,) = case.checkpoints
    unsigned = replace(checkpoint, root=bytes(32))
    return replace(case, checkpoints=[replace(unsigned, signature=KEY.sign(unsigned.signed_bytes))])


def _unsigned_checkpoint(case: Case) -> Case:
    return replace(case, checkpoints=[replace(case.checkpoints[0], signature=bytes(64))])


def _surplus_checkpoint(case: Case) -> Case:
    (checkpoint,) = case.checkpoints
    unsigned = replace(checkpoint, number=6)
    return replace(case, checkpoints=[replace(unsigned, signature=KEY.sign(unsigned.signed_bytes)), checkpoint])


def _other_ledger(case: Case) -> Case:
    (checkpoint,) = case.checkpoints
    unsigned = replace(checkpoint, number=8, ledger=bytes(32))
    return replace(case, checkpoints=[checkpoint, replace(unsigned, signature=KEY.sign(unsigned.signed_bytes))])


@pytest.mark.parametrize(
    ("alter", "message"),
    [
        (_other_hash, "proofs.json: the charge is not in checkpoint 7"),
        (_other_leaf, "proofs.json: the charge is not in checkpoint 7"),
        (_other_place, "proofs.json: the charge is not in checkpoint 7"),
        (_fewer_proofs, "proofs.json: it does not prove"),
        (_other_root, "proofs.json: the charge is not in checkpoint 7"),
        (_unsigned_checkpoint, "checkpoints.json: checkpoint 7 is not signed"),
        (_surplus_checkpoint, "proofs.json: its checkpoints are not those"),
        (_other_ledger, "checkpoints.json: checkpoint 8 is one of another"),
    ],
)
def test_a_lie_is_found_even_where_the_ledgers_own_key_signed_it(alter: Alter, message: str) -> None:
    assert refused(made(alter(disputed()))).startswith(message)


@pytest.mark.parametrize(
    ("member", "before", "after"),
    [
        ("charge.json", b'"credits":300', b'"credits":299'),
        ("dispute.json", b'"status":"upheld"', b'"status":"open"'),
        ("charge.json", b'{"asset_type"', b'{ "asset_type"'),
        ("proofs.json", b'"what":"charge"', b'"what":"dispute"'),
        ("keys.json", b"{", b" {"),
        ("subscription-events.ndjson", b"Z", b"+00:00"),
    ],
)
def test_a_document_that_the_ledgers_own_key_signed_still_says_what_the_events_say(
    member: str, before: bytes, after: bytes
) -> None:
    members = unpack(made(disputed()))
    assert before in members[member]
    members[member] = members[member].replace(before, after, 1)

    assert refused(resigned(members, KEY)).startswith(member)


@pytest.mark.parametrize("tampers", [1_000, pytest.param(10_000, marks=pytest.mark.long)])
def test_every_tamper_is_found(tampers: int) -> None:
    """Alter, add, remove, move or cut off bytes in every part of the file; in the file as it is, or in a member
    that is then packed again, so that the archive is whole."""
    archive, random = made(disputed()), Random(7)
    members = unpack(archive)
    refusals = 0
    for number in range(tampers):
        altered = _tampered(archive, number * len(archive) // tampers, random)
        if number % 2:
            name = random.choice(list(members))
            altered = pack({**members, name: _tampered(members[name], random.randrange(len(members[name])), random)})
        if altered != archive:
            assert refused(altered).partition(":")[0] in {"the archive", *MEMBERS, MANIFEST, SIGNATURE}, "it is named"
            refusals += 1
    assert refusals > tampers * 0.9


def _tampered(archive: bytes, place: int, random: Random) -> bytes:
    before, after = archive[:place], archive[place:]
    match random.randrange(8):
        case 0 | 1:
            return before + bytes([after[0] ^ (1 << random.randrange(8))]) + after[1:]
        case 2:
            return before + random.randbytes(1) + after[1:]
        case 3:
            return before + random.randbytes(random.randint(1, 40)) + after
        case 4:
            return before + after[random.randint(1, 40) :]
        case 5:
            return before
        case 6:
            size = random.randint(1, 40)
            return before + after[size : 2 * size] + after[:size] + after[2 * size :]
        case _:
            other = random.randrange(len(archive))
            return archive[:other] + after[:1] + archive[other + 1 :]  # may be the same byte


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
