"""Policies are those of C2SP tlog-policy."""

import pytest

from services.log.policy import BadPolicy, Policy
from tests.unit.log.signers import signer, witness

KEYS = {name: witness(name).key for name in ("X1", "X2", "X3", "Y1", "Y2", "Y3")}
LINES = [
    f"log {signer('log.example/1').key}",
    "",
    *(f"witness {name} {KEYS[name]}" for name in ("X1", "X2", "X3")),
    "group X-witnesses 2 X1 X2 X3",
    "  # a comment",
    *(f"\twitness  {name} {KEYS[name]} https://{name}.example/ " for name in ("Y1", "Y2", "Y3")),
    "group Y-witnesses any Y1 Y2 Y3",
    "group X-and-Y all X-witnesses Y-witnesses",
    "quorum X-and-Y",
    "",
]


def policy(*lines: str) -> Policy:
    return Policy.parse("\n".join(lines).encode())


@pytest.mark.parametrize(
    ("names", "is_met"),
    [("", False), ("X1 X2", False), ("X1 Y1", False), ("X1 X2 Y1", True), ("X2 X3 Y3", True), ("Y1 Y2 Y3 X1", False)],
)
def test_the_example_of_the_specification(names: str, is_met: bool) -> None:
    example = policy(*LINES)
    assert example.is_met_by([KEYS[name] for name in names.split()]) is is_met
    assert example.witnesses["Y1"].url == "https://Y1.example/"
    assert example.witnesses["X1"].url is None
    assert set(example.keys) == set(KEYS.values())


def test_one_witness_or_none_can_be_the_quorum() -> None:
    one = f"witness Kelvin-\u212a {KEYS['X1']}"
    assert policy(one, "quorum Kelvin-\u212a").is_met_by([KEYS["X1"]])
    assert not policy(one, "quorum Kelvin-\u212a").is_met_by([])
    assert policy(one, "quorum none").is_met_by([])
    assert Policy.parse(b"witness \xe9 " + str(KEYS["X1"]).encode() + b"\nquorum \xe9").is_met_by([KEYS["X1"]])


ONE, TWO = f"witness a {KEYS['X1']}", f"witness b {KEYS['X2']}"


@pytest.mark.parametrize(
    ("lines", "reason"),
    [
        ([ONE], "has none"),
        ([ONE, "quorum a", "quorum a"], "line 3: a second quorum"),
        (["quorum a", ONE], "line 1: no line above defines a"),
        ([ONE, "group g any b", TWO, "quorum g"], "line 2: no line above defines b"),
        ([ONE, "group g any g", "quorum g"], "no line above defines g"),
        ([ONE, "group g any none", "quorum g"], "no line above defines none"),
        ([ONE, "group g 2 a", "quorum g"], "no threshold"),
        ([ONE, "group g 0 a", "quorum g"], "no threshold"),
        ([ONE, "group g 01 a", "quorum g"], "no threshold"),
        ([ONE, "group g some a", "quorum g"], "no threshold"),
        ([ONE, "group g any", "quorum g"], "no line of a policy"),
        ([ONE, "group g any a a", "quorum g"], "a is a member already"),
        ([ONE, "group g any a", "group h any a", "quorum h"], "a is a member already"),
        ([ONE, f"witness a {KEYS['X2']}", "quorum a"], "the name a is taken"),
        ([ONE, f"witness b {KEYS['X1']}", "quorum a"], "the same public key"),
        ([f"witness none {KEYS['X1']}", "quorum none"], "the name none is taken"),
        ([f"witness a {signer('a').key}", "quorum a"], "0x04"),
        (["witness a b", "quorum a"], "no vkey"),
        ([f"{ONE} https://a.example more", "quorum a"], "no line of a policy"),
        (["log", "quorum none"], "no line of a policy"),
        (["mirror a", "quorum none"], "line 1: no line of a policy"),
        (["quorum none\r"], "control characters"),
    ],
)
def test_another_text_is_none_and_the_line_is_named(lines: list[str], reason: str) -> None:
    with pytest.raises(BadPolicy, match=reason):
        policy(*lines)


def test_32_logs_witnesses_and_groups_are_read() -> None:
    lines = [f"log {signer(f'log.example/{number}', str(number)).key}" for number in range(32)]
    lines += [f"witness w{number} {witness(str(number)).key}" for number in range(32)]
    lines += ["group g0 all w0", *(f"group g{number} all g{number - 1} w{number}" for number in range(1, 32))]
    everyone = policy(*lines, "quorum g31")
    assert everyone.is_met_by(everyone.keys)
    assert not everyone.is_met_by(everyone.keys[1:])
