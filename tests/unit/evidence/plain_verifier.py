"""Verifies evidence; written from `docs/reference/evidence-format.md` alone, with nothing of Tallystick's own code.

If the page and this do not suffice to check a file, the page lacks something.
"""

import json
from datetime import datetime, timedelta, timezone
from fractions import Fraction
from hashlib import sha256
from math import ceil
from struct import pack, unpack_from
from typing import Any
from uuid import UUID
from zlib import crc32

from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PublicKey

NAMES = """README.txt report.html dispute.json charge.json dispute-events.ndjson subscription-events.ndjson proofs.json
    checkpoints.json keys.json manifest.json manifest.sig""".split()
EPOCH = datetime(1970, 1, 1, tzinfo=timezone.utc)  # noqa: UP017 # as plain as it can be


def check(archive: bytes) -> list[str]:
    """Return the ids of the keys that signed. Raises AssertionError or another error for a false file."""
    members = read_zip(archive)
    assert list(members) == NAMES
    keys = canonical(members["keys.json"])
    for key_id, key in keys.items():
        assert sha256(bytes.fromhex(key)).hexdigest() == key_id
        assert key == key.lower()
    manifest = canonical(members["manifest.json"])
    assert manifest["form"] == "tallystick-evidence-1"
    check_signature(keys[manifest["key_id"]], members["manifest.sig"], members["manifest.json"])
    assert manifest["members"] == [
        {"name": name, "size": len(members[name]), "sha256": sha256(members[name]).hexdigest()} for name in NAMES[:9]
    ]
    checkpoints = {}
    for each in canonical(members["checkpoints.json"]):
        body = each["body"]
        assert (body["form"], body["ledger"]) == ("tallystick-checkpoint-1", manifest["ledger"])
        check_signature(keys[body["key_id"]], unhex(each["signature"]), dumped(body))
        checkpoints[body["number"]] = body
    newest = checkpoints[max(checkpoints)]
    assert manifest["key_id"] in (newest["key_id"], newest.get("next_key_id"))
    assert list(checkpoints) == sorted(checkpoints)
    subscription = stream(members["subscription-events.ndjson"], manifest["subscription_id"])
    dispute = stream(members["dispute-events.ndjson"], manifest["dispute_id"])
    charge = check_facts(members, manifest, subscription, dispute)
    check_proofs(canonical(members["proofs.json"]), checkpoints, [charge, subscription[-1], dispute[-1]])
    key_ids = {manifest["key_id"], *(body["key_id"] for body in checkpoints.values())}
    assert set(keys) == key_ids
    return sorted(key_ids)


def read_zip(archive: bytes) -> dict[str, bytes]:
    members: dict[str, bytes] = {}
    offset, local, central = 0, b"", b""
    while archive[offset : offset + 4] == b"PK\3\4":
        size, length = unpack_from("<IH", archive, offset + 22)
        name = archive[offset + 30 : offset + 30 + length]
        content = archive[offset + 30 + length : offset + 30 + length + size]
        facts = pack("<HHIIIH", 0, 33, crc32(content), len(content), len(content), length)
        central += b"PK\1\2" + pack("<HHHH", 20, 20, 0, 0) + facts + pack("<HHHHII", 0, 0, 0, 0, 0, offset) + name
        local += b"PK\3\4" + pack("<HHH", 20, 0, 0) + facts + pack("<H", 0) + name + content
        offset = len(local)
        members[name.decode("ascii")] = content
    end = pack("<HHHHIIH", 0, 0, len(members), len(members), len(central), len(local), 0)
    assert archive == local + central + b"PK\5\6" + end
    return members


def dumped(value: Any) -> bytes:
    return json.dumps(value, sort_keys=True, separators=(",", ":"), ensure_ascii=False).encode()


def canonical(content: bytes) -> Any:
    value = json.loads(content)
    assert dumped(value) == content
    return value


def unhex(text: str) -> bytes:
    assert text == text.lower()
    return bytes.fromhex(text)


def check_signature(key: str, signature: bytes, message: bytes) -> None:
    try:
        Ed25519PublicKey.from_public_bytes(bytes.fromhex(key)).verify(signature, message)
    except InvalidSignature:
        raise AssertionError("not signed") from None


def stream(content: bytes, stream_id: str) -> list[dict[str, Any]]:
    assert content.endswith(b"\n")
    previous, recorded_at, events = "0" * 64, "", []
    for version, line in enumerate(content.split(b"\n")[:-1], start=1):
        event = canonical(line)
        assert (event["stream_id"], event["version"], event["previous_hash"]) == (stream_id, version, previous)
        assert event["hash"] == hash_of(event).hex()
        assert event["recorded_at"] >= recorded_at
        previous, recorded_at = event["hash"], event["recorded_at"]
        events.append(event)
    return events


def hash_of(event: dict[str, Any]) -> bytes:
    at = datetime.fromisoformat(event["recorded_at"])
    microseconds = (at - EPOCH) // timedelta(microseconds=1)
    assert at.strftime("%Y-%m-%dT%H:%M:%S.%fZ") == event["recorded_at"]
    topic = event["topic"].encode()
    head = b"\0" + UUID(event["stream_id"]).bytes + pack(">Qq", event["version"], microseconds)
    rest = unhex(event["previous_hash"]) + pack(">H", len(topic)) + topic + event["state"].encode()
    return sha256(head + rest).digest()


def data_of(event: dict[str, Any]) -> Any:
    return json.loads(event["state"], parse_float=str)["data"]


def check_facts(
    members: dict[str, bytes], manifest: Any, subscription: list[dict[str, Any]], dispute: list[dict[str, Any]]
) -> dict[str, Any]:
    opened = data_of(dispute[0])
    assert dispute[0]["topic"] == "DisputeOpened"
    event: dict[str, Any] = subscription[opened["charge_version"] - 1]
    charge = data_of(event)
    assert event["topic"] == "GenerationCharged"
    assert (opened["subscription_id"], opened["generation_id"]) == (event["stream_id"], charge["generation_id"])
    assert manifest["generation_id"] == charge["generation_id"]
    balance: int = 0
    cycle: Any = None
    plan: Any = None
    for each in subscription[: opened["charge_version"] - 1]:
        balance, cycle, plan = moved(each["topic"], data_of(each), balance, cycle, plan)
    assert balance == charge["balance_after"] + charge["credits"]
    assert charge["cycle_number"] == cycle["number"]
    price, settings = charge["price"], charge["settings"]
    assert Fraction(price["quantity"]) == quantity(price["rule"], settings)
    recomputed = max(1, ceil(Fraction(price["quantity"]) * Fraction(price["credits_per_unit"])))
    assert recomputed == charge["credits"]
    decimals = ("duration_seconds", "quantity", "credits_per_unit")
    text = {
        name: {key: str(value) if key in decimals else value for key, value in charge[name].items()}
        for name in ("settings", "price")
    }
    assert canonical(members["charge.json"]) == {
        **{name: charge[name] for name in ("generation_id", "asset_type", "model", "credits", "balance_after")},
        **text,
        "subscription_id": event["stream_id"],
        "version": event["version"],
        "position": event["position"],
        "charged_at": event["recorded_at"],
        "plan_id": plan["plan_id"],
        "cycle": {"number": cycle["number"], "starts_at": six(cycle["starts_at"]), "ends_at": six(cycle["ends_at"])},
        "recomputed_credits": recomputed,
        "balance_before": balance,
    }
    reversals = [
        each["version"]
        for each in subscription
        if each["topic"] == "ChargeReversed" and data_of(each)["dispute_id"] == manifest["dispute_id"]
    ]
    resolved = data_of(dispute[1]) if len(dispute) > 1 else None
    is_upheld = resolved is not None and resolved["outcome"] == "upheld"
    assert len(reversals) == is_upheld
    assert canonical(members["dispute.json"]) == {
        **{name: opened[name] for name in ("subscription_id", "generation_id", "reason", "note")},
        "dispute_id": manifest["dispute_id"],
        "status": resolved["outcome"] if resolved else "open",
        "opened_at": dispute[0]["recorded_at"],
        "version": len(dispute),
        **({"resolved_at": dispute[1]["recorded_at"], "resolution": resolved} if resolved else {}),
        **({"reversed_in_version": reversals[0]} if is_upheld else {}),
    }
    return event


def moved(topic: str, data: Any, balance: int, cycle: Any, plan: Any) -> tuple[int, Any, Any]:
    if topic in {"SubscriptionStarted", "SubscriptionEnded"}:
        balance = 0
    elif topic in {"CreditsGranted", "ChargeReversed"}:
        balance += data["credits"] - data.get("deducted_credits", 0)
    elif topic == "GenerationCharged":
        balance -= data["credits"]
    elif topic == "CycleReset":
        balance = data["granted_credits"]
    elif topic == "PlanUpgraded":
        balance = data["granted_credits"] - data["used_credits"] + data["reversed_credits"]
    if topic in {"SubscriptionStarted", "CycleReset", "PlanUpgraded"}:
        cycle = data["cycle"]
    if topic in {"SubscriptionStarted", "PlanUpgraded", "TermRenewed"}:
        plan = data["plan"]
    return balance, cycle, plan


def quantity(rule: str, settings: Any) -> Fraction:
    if rule == "per_second":
        return Fraction(settings["duration_seconds"]) * int(settings.get("count", 1))
    if rule == "per_1000_characters":
        return Fraction(settings["characters"], 1000)
    return Fraction(settings.get("count", 1))


def six(instant: str) -> str:
    """Write an instant of the stored JSON, which omits trailing zeros, with six digits of a second."""
    return datetime.fromisoformat(instant).strftime("%Y-%m-%dT%H:%M:%S.%fZ")


def check_proofs(proofs: Any, checkpoints: dict[int, Any], events: list[dict[str, Any]]) -> None:
    assert [proof["what"] for proof in proofs] == ["charge", "subscription", "dispute"]
    assert {proof["checkpoint"] for proof in proofs} | {max(checkpoints)} == set(checkpoints)
    for proof, event in zip(proofs, events, strict=True):
        body = checkpoints[proof["checkpoint"]]
        assert all(proof[name] == event[name] for name in ("stream_id", "version", "position"))
        assert proof["leaf_index"] == proof["position"] - body["from_position"]
        assert proof["tree_size"] == body["to_position"] - body["from_position"] + 1
        assert 0 <= proof["leaf_index"] < proof["tree_size"]
        index, last, reached = proof["leaf_index"], proof["tree_size"] - 1, unhex(event["hash"])
        for each in map(unhex, proof["hashes"]):
            assert last != 0
            if index % 2 or index == last:
                reached = sha256(b"\1" + each + reached).digest()
                while index % 2 == 0 and index != 0:
                    index, last = index // 2, last // 2
            else:
                reached = sha256(b"\1" + reached + each).digest()
            index, last = index // 2, last // 2
        assert (last, reached.hex()) == (0, body["root"])
