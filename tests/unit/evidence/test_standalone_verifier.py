"""The verifier of one file: it needs Python alone, and judges as the product does."""

import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path
from random import Random
from typing import Any, get_args

import msgspec
import pytest

from services.dispute.events import DisputeEvent, Outcome
from services.evidence.archive import pack, unpack
from services.evidence.case import Case, facts_of
from services.evidence.faults import NotGenuine
from services.evidence.lineage import is_point
from services.evidence.manifest import MEMBERS
from services.evidence.pins import read_pins
from services.evidence.receipt import verify_receipt
from services.evidence.verify import verify
from services.subscription.events import Event
from tests.faults.seeds import seeded
from tests.unit.evidence.cases import HISTORY, disputed, disputed_in, made, others
from tests.unit.evidence.forgery import forged, rewritten
from tests.unit.evidence.holds import adjusted, captured_late, captured_to_the_end, captured_while_suspended, moved_in
from tests.unit.evidence.lies import lie
from tests.unit.evidence.memory_log import MemoryLog
from tests.unit.evidence.mutants import mutant_of
from tests.unit.evidence.resigned import resigned
from tests.unit.evidence.standalone import PATH, foreign_imports, load_standalone
from tests.unit.evidence.test_evidence import WITH_REFUSAL
from tests.unit.evidence.vectors_of_events import LIFE, one_behind_the_other
from tests.unit.evidence.vectors_of_receipts import WITNESS, log_of, receipt
from tests.unit.log.signers import signer
from tests.unit.subscription.scenario import play

STANDALONE = load_standalone()


def test_it_imports_nothing_but_python_itself() -> None:
    assert foreign_imports() == set()


@pytest.mark.parametrize(
    ("seed", "message"), [("a", b""), ("b", b"x"), ("c", b"checkpoint\n"), ("d", bytes(range(256)) * 9)]
)
def test_its_signatures_are_those_of_ed25519(seed: str, message: bytes) -> None:
    key = signer("name", seed)
    signature = key.sign(message)

    assert STANDALONE.is_signed(key.key.public_key, message, signature)
    assert not STANDALONE.is_signed(key.key.public_key, message + b"x", signature)
    for place in range(0, 64, 7):
        altered = bytearray(signature)
        altered[place] ^= 1 << place % 8
        assert not STANDALONE.is_signed(key.key.public_key, message, bytes(altered))
    larger = int.from_bytes(signature[32:], "little") + STANDALONE.ORDER  # the same number modulo the order
    assert not STANDALONE.is_signed(key.key.public_key, message, signature[:32] + larger.to_bytes(32, "little"))


def test_it_agrees_with_the_product_on_what_a_point_is() -> None:
    random = Random(5)
    field = 2**255 - 19
    edges = [0, 1, 2, field - 1, field, field + 1, 2**255 - 1]
    encodings = [(y | sign << 255).to_bytes(32, "little") for y in edges for sign in (0, 1)]

    for content in [*encodings, *(random.randbytes(32) for _ in range(60))]:
        assert is_point(content) == (STANDALONE.decode_point(content) is not None), content.hex()


def test_its_forms_of_events_are_those_of_the_product() -> None:
    for union, forms in ((Event, STANDALONE.SUBSCRIPTION_EVENTS), (DisputeEvent, STANDALONE.DISPUTE_EVENTS)):
        assert {kind.__name__: _form(msgspec.inspect.type_info(kind)) for kind in get_args(union)} == forms


def _form(kind: Any) -> Any:
    """Write a type as the verifier has it."""
    inspect = msgspec.inspect
    match kind:
        case inspect.StructType(fields=fields, forbid_unknown_fields=is_closed, tag_field=tag_field, tag=tag):
            members = {_name(field): _form(_without_none(field.type)) for field in fields}
            if tag_field is not None:
                members[tag_field] = {tag}
            return {**members, "!": None} if is_closed else members
        case inspect.IntType():
            return STANDALONE.WHOLE
        case inspect.BoolType():
            return STANDALONE.FLAG
        case inspect.UnionType(types=types):
            return tuple(map(_form, types))
        case inspect.DictType(value_type=value):
            return {"*": _form(value)}
        case inspect.StrType():
            return STANDALONE.TEXT
        case inspect.DecimalType():
            return STANDALONE.DECIMAL
        case inspect.DateTimeType():
            return STANDALONE.INSTANT
        case inspect.UUIDType():
            return STANDALONE.ID
        case inspect.LiteralType(values=values):
            return set(values)
        case inspect.VarTupleType(item_type=item):
            return [_form(item)]
        case _:
            raise AssertionError(f"the verifier has no form of {kind}")


def _name(field: Any) -> str:
    if field.required:
        return str(field.encode_name)
    return f"{field.encode_name}{'?' if field.default is None else '='}"


def _without_none(kind: Any) -> Any:
    if not isinstance(kind, msgspec.inspect.UnionType):
        return kind
    members = [each for each in kind.types if not isinstance(each, msgspec.inspect.NoneType)]
    return members[0] if len(members) == 1 else msgspec.inspect.UnionType(tuple(members))


def _rotated() -> MemoryLog:
    log = log_of(after=0)
    log.rotate("second")
    log.extend(others(5))
    return log


def accepts(content: bytes, keys: Sequence[str] = (), checkpoints: Sequence[bytes] = ()) -> tuple[bool, bool]:
    """Tell whether the product accepts a file, and whether the verifier of one file does."""
    is_evidence = content.startswith(b"PK")
    try:
        pins = read_pins(keys, checkpoints)
        verify(content, pins) if is_evidence else verify_receipt(content, pins)
        by_product = True
    except NotGenuine:
        by_product = False
    try:
        plain_pins = STANDALONE.read_pins(keys, checkpoints)
        (STANDALONE.check_evidence if is_evidence else STANDALONE.check_receipt)(content, plain_pins)
        by_standalone = True
    except STANDALONE.DoesNotHold:
        by_standalone = False
    return by_product, by_standalone


@pytest.mark.parametrize("mutants", [300, pytest.param(20_000, marks=pytest.mark.long)])
def test_both_refuse_each_mutant_of_a_receipt(mutants: int) -> None:
    log, random = _rotated(), Random(11) if mutants < 1_000 else seeded("mutants of receipts")
    keys, checkpoints = [str(log.keys[0]), str(WITNESS.key)], [str(log.seal(50)).encode()]
    content = receipt(log, since=50)
    assert accepts(content, keys, checkpoints) == (True, True)

    for number in range(mutants):
        mutant = mutant_of(content, number * len(content) // mutants, random)
        if mutant != content:
            assert accepts(mutant, keys, checkpoints) == (False, False), mutant


@pytest.mark.parametrize("mutants", [300, pytest.param(20_000, marks=pytest.mark.long)])
def test_both_refuse_each_mutant_of_evidence(mutants: int) -> None:
    """Of the file, and of each member, with the manifest as it was, or signed anew by the log's own key."""
    log = MemoryLog(witnesses=[WITNESS])
    random = Random(13) if mutants < 1_000 else seeded("mutants of evidence")
    archive = made(disputed(WITH_REFUSAL, log=log))
    members = unpack(archive)
    assert accepts(archive) == (True, True)

    for number in range(mutants):
        name = random.choice(MEMBERS)
        member = mutant_of(members[name], random.randrange(len(members[name])), random)
        altered = {**members, name: member}
        can_be_signed = name in ("README.txt", "report.html") or member == members[name]
        match number % 3:
            case 0:
                mutant = mutant_of(archive, number * len(archive) // mutants, random)
            case 1 if not can_be_signed:
                mutant = resigned(altered)
            case _:
                mutant = pack(altered)
        if mutant != archive:
            assert accepts(mutant) == (False, False), (name, number)


@pytest.mark.parametrize("lies", [100, pytest.param(5_000, marks=pytest.mark.long)])
def test_both_judge_alike_whatever_a_ledger_signs(lies: int) -> None:
    """Events whose stored JSON was rewritten, chained, logged and signed: both hold them for true, or both do not."""
    random, accepted = Random(17) if lies < 1_000 else seeded("lies"), 0
    cases = [
        disputed(),
        disputed(LIFE, outcome=None),
        disputed(reason="unsatisfied", outcome=None),
        disputed_in(play(HISTORY), returned_credits=100),
        disputed_in(moved_in()),
        disputed_in(captured_while_suspended(), "shared"),
        disputed_in(adjusted(), outcome="rejected"),
        disputed_in(captured_late(), "late"),
        disputed_in(captured_to_the_end(), "over", outcome=None),
    ]
    for _ in range(lies):
        case = random.choice(cases)
        streams = [list(case.subscription), list(case.dispute)]
        which = random.choices((0, 1), (4, 1))[0]
        version = random.randrange(len(streams[which])) + 1
        streams[which] = rewritten(streams[which], version, lambda state: lie(state, random))
        lying = one_behind_the_other(
            streams[0], streams[1], charge_version=facts_of(case.subscription, case.dispute).charge_record.version
        )
        judged = accepts(_file_of(lying, case))
        assert judged[0] == judged[1], streams[which][version - 1].state
        accepted += judged[0]
    assert 0.1 < accepted / lies < 0.5, "it is no test where nothing, or all, is accepted"


@pytest.mark.parametrize("levels", [50, 97, 98, 99, 100, 200, 900, 100_000])
def test_both_read_as_much_that_is_nested(levels: int) -> None:
    case = disputed()
    nested = rewritten(
        case.subscription,
        4,
        lambda state: state.replace(b'"model"', b'"more":' + b"[" * levels + b"]" * levels + b',"model"', 1),
    )
    try:
        content = forged(one_behind_the_other(nested, case.dispute, charge_version=4))
    except (ValueError, RecursionError):
        content = forged(one_behind_the_other(nested, case.dispute, charge_version=4), told=case)

    assert accepts(content) == (levels <= 98, levels <= 98)


def _file_of(lying: Case, true: Case) -> bytes:
    """Make the file of events that lie, whose documents tell them, or the truth where nobody can read them."""
    try:
        return forged(lying)
    except (ValueError, ArithmeticError, IndexError, AssertionError):
        return forged(lying, told=true)


@pytest.mark.parametrize("outcome", ["upheld", "rejected", None])
def test_both_accept_evidence(outcome: Outcome | None) -> None:
    assert accepts(made(disputed(WITH_REFUSAL, outcome=outcome))) == (True, True)
    assert accepts(made(disputed(reason="unsatisfied", outcome=None))) == (True, True)


def test_it_runs_alone(tmp_path: Path) -> None:
    log = _rotated()
    (tmp_path / "track.tlog-proof").write_bytes(receipt(log, since=50))
    (tmp_path / "altered.tlog-proof").write_bytes(receipt(log).replace(b"index 103", b"index 104"))
    (tmp_path / "day-one.txt").write_text(str(log.seal(50)))
    key = str(log.keys[0])

    held = _run(tmp_path, "track.tlog-proof", "--key", key, "--checkpoint", "day-one.txt")
    altered = _run(tmp_path, "altered.tlog-proof", "--key", key)
    no_key = _run(tmp_path, "track.tlog-proof", "--key", "x")
    no_file = _run(tmp_path, "no.tlog-proof", "--key", key)
    no_pin = _run(tmp_path, "track.tlog-proof")

    assert (held.returncode, held.stdout.splitlines()[0]) == (0, "It holds: track, 300 credits.")
    assert (altered.returncode, no_key.returncode, no_file.returncode, no_pin.returncode) == (1, 2, 2, 2)
    assert "altered.tlog-proof does not hold: the charge is not in the tree" in altered.stderr


def _run(folder: Path, *arguments: str) -> subprocess.CompletedProcess[str]:
    """Run it without any library that is installed."""
    command = [sys.executable, "-I", "-S", str(PATH), *arguments]
    return subprocess.run(command, cwd=folder, capture_output=True, text=True, check=False)
