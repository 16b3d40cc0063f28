"""Evidence, from the dispute over HTTP to its check on another machine."""

from pathlib import Path
from subprocess import CompletedProcess
from typing import Any

import httpx
import psycopg
import pytest

from services.evidence.archive import pack, unpack
from services.evidence.verify import verify
from tests.acceptance.server import Customer, Server
from tests.conftest import SettableClock
from tests.processes import tallystick
from tests.unit.log.signers import signer

STRANGER = str(signer("tallystick/another", "a").key)


@pytest.fixture
def customer(http: httpx.Client, clock: SettableClock) -> Customer:
    """A subscription with some charges; `track` is in the middle."""
    customer = Customer.with_plan(http, "ai-suite-40000-monthly")
    for generation_id in ("one", "two", "track", "three"):
        clock.advance(hours=1)
        assert customer.try_charge("lyria-3", generation_id, duration_seconds=61.5).status_code == 201
    return customer


def disputed(customer: Customer, reason: str = "duplicate") -> str:
    body = {"subscription_id": customer.subscription_id, "generation_id": "track", "reason": reason, "note": "Twice!"}
    answer = customer.http.post("/v1/disputes", json=body)
    assert answer.status_code == 201, answer.text
    return str(answer.json()["dispute_id"])


def evidence(customer: Customer, dispute_id: str) -> httpx.Response:
    return customer.http.get(f"/v1/disputes/{dispute_id}/evidence")


def verify_evidence(*arguments: str | Path, folder: Path) -> CompletedProcess[str]:
    """Run the check in a folder, without any setting."""
    return tallystick("verify-evidence", *arguments, folder=folder, data_dir=None)


def test_an_open_dispute_has_evidence(customer: Customer) -> None:
    dispute_id = disputed(customer)

    answer = evidence(customer, dispute_id)

    assert answer.status_code == 200
    assert answer.headers["content-type"] == "application/zip"
    assert f"dispute-{dispute_id}.zip" in answer.headers["content-disposition"]
    verified = verify(answer.content)
    assert str(verified.manifest.dispute_id) == dispute_id
    assert verified.facts.charge.generation_id == "track"
    assert verified.subscription_events == 6


def test_what_happens_later_is_in_later_evidence(customer: Customer, clock: SettableClock) -> None:
    dispute_id = disputed(customer)
    first = verify(evidence(customer, dispute_id).content)
    clock.advance(days=2)
    body = {"outcome": "upheld", "note": "It was.", "credit_to": "current_cycle"}
    assert customer.http.post(f"/v1/disputes/{dispute_id}/resolve", json=body).status_code == 200
    customer.charge("lyria-3")

    later = verify(evidence(customer, dispute_id).content)

    assert later.facts.dispute.state.status == "upheld"
    assert later.facts.reversal is not None
    assert later.index == first.index
    assert later.lineage.checkpoint.size > first.lineage.checkpoint.size
    assert later.lineage.keys == first.lineage.keys


def test_an_older_key_and_a_checkpoint_reach_newer_evidence(
    server: Server, customer: Customer, clock: SettableClock, tmp_path: Path
) -> None:
    """Over a rotation of keys: by its hand-over, and by the proof from the checkpoint's size."""
    dispute_id = disputed(customer)
    (tmp_path / "older.zip").write_bytes(evidence(customer, dispute_id).content)
    (tmp_path / "checkpoint.txt").write_bytes(customer.http.get("/v1/checkpoints/latest").content)
    older = verify((tmp_path / "older.zip").read_bytes()).lineage
    with server.backend.connect() as connection:
        server.backend.sealer.rotate(connection)
    clock.advance(days=2)
    body = {"outcome": "upheld", "note": "It was.", "credit_to": "current_cycle"}
    assert customer.http.post(f"/v1/disputes/{dispute_id}/resolve", json=body).status_code == 200

    answer = customer.http.get(f"/v1/disputes/{dispute_id}/evidence", params={"since": older.checkpoint.size})
    (tmp_path / "newer.zip").write_bytes(answer.content)
    (tmp_path / "no-proof.zip").write_bytes(evidence(customer, dispute_id).content)

    newer = verify(answer.content).lineage
    older_key, newer_key = map(str, newer.keys)
    assert str(older.keys[0]) == older_key
    for name, pins, status in (
        ("older.zip", ["--key", older_key], 0),
        ("older.zip", ["--key", newer_key], 1),
        ("newer.zip", ["--key", older_key], 0),
        ("newer.zip", ["--key", older_key, "--checkpoint", "checkpoint.txt"], 0),
        ("no-proof.zip", ["--key", older_key, "--checkpoint", "checkpoint.txt"], 1),
    ):
        ended = verify_evidence(name, *pins, folder=tmp_path)
        assert ended.returncode == status, (name, ended.stdout, ended.stderr)
    beyond = customer.http.get(f"/v1/disputes/{dispute_id}/evidence", params={"since": 1_000})
    assert (beyond.status_code, beyond.json()["errors"][0]["field"]) == (422, "since")


def test_the_refusals_around_the_charge_come_along(server: Server, customer: Customer, clock: SettableClock) -> None:
    dispute_id = disputed(customer)
    clock.advance(hours=1)
    for generation_id in ("huge", "larger"):
        assert customer.try_charge("lyria-3", generation_id, count=1_000).status_code == 402
    server.seal()

    verified = verify(evidence(customer, dispute_id).content)

    assert [(each.generation_id, each.code) for each in verified.refusals] == [
        ("huge", "insufficient_credits"),
        ("larger", "insufficient_credits"),
    ]


def test_evidence_has_what_the_ledger_stores(customer: Customer) -> None:
    dispute_id = disputed(customer)

    verified = verify(evidence(customer, dispute_id).content)

    events = customer.get("events")["data"]
    assert verified.facts.charge_record.stored.hash.hex() == events[4]["hash"]
    assert verified.index + 1 == events[4]["position"]


def test_evidence_verifies_on_another_machine(customer: Customer, tmp_path: Path) -> None:
    dispute_id = disputed(customer, "unsatisfied")
    archive = evidence(customer, dispute_id).content
    (tmp_path / "evidence.zip").write_bytes(archive)
    key = str(verify(archive).lineage.keys[0])

    plain = verify_evidence("evidence.zip", folder=tmp_path)
    trusted = verify_evidence("evidence.zip", "--key", key, folder=tmp_path)
    distrusted = verify_evidence("evidence.zip", "--key", STRANGER, folder=tmp_path)

    assert (plain.returncode, plain.stderr) == (0, "")
    assert "It holds: every byte is as it was made." in plain.stdout
    assert "  charge      track: 150 credits for lyria-3\n" in plain.stdout
    assert "  balance     39,700 before, 39,550 after\n" in plain.stdout
    assert f"  dispute     {dispute_id}: rejected\n" in plain.stdout
    assert key in plain.stdout
    assert (trusted.returncode, "No key" in trusted.stdout, "No key was pinned" in plain.stdout) == (0, False, True)
    assert "no witness" in trusted.stdout
    assert (distrusted.returncode, distrusted.stdout) == (1, "")


def test_an_altered_file_is_reported(customer: Customer, tmp_path: Path) -> None:
    members = unpack(evidence(customer, disputed(customer)).content)
    members["charge.json"] = members["charge.json"].replace(b"150", b"100")
    (tmp_path / "altered.zip").write_bytes(pack(members))
    (tmp_path / "notes.txt").write_text("no evidence")

    altered = verify_evidence("altered.zip", folder=tmp_path)
    notes = verify_evidence("notes.txt", folder=tmp_path)
    missing = verify_evidence("missing.zip", folder=tmp_path)

    assert (altered.returncode, notes.returncode, missing.returncode) == (1, 1, 2)
    assert "altered.zip does not hold: charge.json: it is not what the manifest says" in altered.stderr
    assert "notes.txt does not hold: the archive" in notes.stderr
    assert "missing.zip cannot be read" in missing.stderr


def test_there_is_no_evidence_of_a_ledger_that_was_tampered_with(customer: Customer, database_url: str) -> None:
    dispute_id = disputed(customer)
    assert evidence(customer, dispute_id).status_code == 200
    with psycopg.connect(database_url) as connection:
        connection.execute("ALTER TABLE tallystick.ledger_events DISABLE TRIGGER USER")
        connection.execute(
            "UPDATE tallystick.ledger_events SET state = convert_to(replace(convert_from(state, 'UTF8'),"
            " '\"credits\":150', '\"credits\":149'), 'UTF8')"
            " WHERE topic = 'GenerationCharged' AND originator_version = 5"
        )

    answer = evidence(customer, dispute_id)

    assert (answer.status_code, answer.json()["code"]) == (500, "internal_error")


def test_an_unknown_dispute_has_no_evidence(customer: Customer) -> None:
    for id in (customer.subscription_id, "00000000-0000-0000-0000-000000000001", "no-uuid"):
        answer = evidence(customer, id)
        assert (answer.status_code, answer.json()["code"]) == (404, "unknown_dispute")


def test_evidence_requires_the_scope_of_disputes(server: Server, customer: Customer) -> None:
    dispute_id = disputed(customer)
    with server.client("read", "charge", "manage", "audit") as other:
        answer: Any = other.get(f"/v1/disputes/{dispute_id}/evidence")

    assert (answer.status_code, answer.json()["scope"]) == (403, "dispute")
