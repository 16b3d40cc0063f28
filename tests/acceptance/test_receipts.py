"""A customer takes receipts of charges, and checks them on another machine."""

from pathlib import Path

import httpx
import psycopg
import pytest

from services.evidence.pins import read_pins
from services.evidence.receipt import verify_receipt
from services.log.proof_file import ProofFile
from tests.acceptance.server import Customer, Server
from tests.conftest import SettableClock
from tests.processes import tallystick


@pytest.fixture
def customer(http: httpx.Client) -> Customer:
    customer = Customer.with_plan(http, "ai-suite-40000-monthly")
    for generation_id in ("one", "track", "two"):
        assert customer.try_charge("lyria-3", generation_id, duration_seconds=61.5).status_code == 201
    return customer


def receipt(customer: Customer, generation_id: str = "track", **query: int) -> httpx.Response:
    path = f"/v1/subscriptions/{customer.subscription_id}/charges/{generation_id}/receipt"
    return customer.http.get(path, params=query)


def log_key(customer: Customer) -> str:
    """The only key of the log."""
    return customer.http.get("/v1/log/keys").text.strip()


def test_a_charge_has_a_receipt_as_soon_as_it_is_sealed(server: Server, customer: Customer) -> None:
    early = receipt(customer)
    server.seal()
    answer = receipt(customer)

    assert (early.status_code, early.json()["code"], early.headers["retry-after"]) == (404, "not_sealed_yet", "10")
    assert (answer.status_code, answer.headers["content-type"]) == (200, "text/plain; charset=utf-8")
    assert 'filename="track.tlog-proof"' in answer.headers["content-disposition"]
    charge = customer.get("charges/track")
    event = next(each for each in customer.get("events")["data"] if each["version"] == charge["version"])
    assert ProofFile.parse(answer.content).proves(bytes.fromhex(event["hash"]))
    keys = customer.http.get("/v1/log/keys").text.splitlines()
    verified = verify_receipt(answer.content, read_pins(keys, []))
    assert (verified.charge.generation_id, verified.charge.credits) == ("track", 150)
    assert (verified.position, verified.record.version) == (charge["position"], charge["version"])


def test_a_checkpoint_of_day_one_reaches_a_receipt_over_two_rotations(
    server: Server, customer: Customer, clock: SettableClock, tmp_path: Path
) -> None:
    server.seal()
    day_one = customer.http.get("/v1/checkpoints/latest")
    (tmp_path / "day-one.txt").write_bytes(day_one.content)
    key = log_key(customer)
    size = int(day_one.text.splitlines()[1])
    for number in range(2):
        clock.advance(hours=1)
        assert customer.try_charge("lyria-3", f"later-{number}").status_code == 201
        with server.backend.connect() as connection:
            server.backend.sealer.rotate(connection)
    clock.advance(hours=1)
    assert customer.try_charge("lyria-3", "newest").status_code == 201
    server.seal()

    (tmp_path / "plain.tlog-proof").write_bytes(receipt(customer, "newest").content)
    (tmp_path / "since.tlog-proof").write_bytes(receipt(customer, "newest", since=size).content)
    (tmp_path / "proof.txt").write_bytes(customer.http.get("/v1/checkpoints/proof", params={"from": size}).content)

    pinned = ["--key", key, "--checkpoint", "day-one.txt"]
    for arguments, status in (
        (["plain.tlog-proof", "--key", key], 0),
        (["plain.tlog-proof", *pinned], 1),
        (["plain.tlog-proof", *pinned, "--checkpoint", "proof.txt"], 0),
        (["since.tlog-proof", *pinned], 0),
    ):
        ended = tallystick("verify-receipt", *arguments, folder=tmp_path, data_dir=None)
        assert ended.returncode == status, (arguments, ended.stderr)


def test_a_captured_charge_has_a_receipt_of_what_it_came_to(server: Server, customer: Customer, tmp_path: Path) -> None:
    customer.post("holds", generation_id="job", model="lyria-3-pro")
    captured = customer.post("holds/job/capture")
    server.seal()
    kept = receipt(customer, "job")
    (tmp_path / "job.tlog-proof").write_bytes(kept.content)

    verified = tallystick(
        "verify-receipt", "job.tlog-proof", "--key", log_key(customer), folder=tmp_path, data_dir=None
    )

    assert verified.returncode == 0, verified.stderr
    assert "job: 300 credits for lyria-3-pro\n" in verified.stdout
    assert f"position    {captured['position']} of the ledger\n" in verified.stdout


def test_what_there_is_not_has_no_receipt(server: Server, customer: Customer) -> None:
    server.seal()
    unknown = customer.http.get("/v1/subscriptions/00000000-0000-0000-0000-000000000001/charges/track/receipt")

    assert (receipt(customer, "no-such").json()["code"], unknown.json()["code"]) == (
        "unknown_charge",
        "unknown_subscription",
    )
    assert receipt(customer, "no such").json()["code"] == "unknown_charge"
    held = customer.post("holds", generation_id="held", model="lyria-3")
    assert receipt(customer, held["generation_id"]).json()["code"] == "unknown_charge", "not charged yet"
    beyond, negative = receipt(customer, since=1_000), receipt(customer, since=-1)
    assert (beyond.status_code, beyond.json()["errors"][0]["field"]) == (422, "since")
    assert negative.status_code == 422


def test_no_false_receipt_is_handed_out(server: Server, customer: Customer, database_url: str) -> None:
    """Not even where whoever owns the database has altered the event, or the tree."""
    server.seal()
    alter_event = (
        "UPDATE tallystick.ledger_events SET state = convert_to(replace(convert_from(state, 'UTF8'),"
        " '\"credits\":150', '\"credits\":149'), 'UTF8') WHERE topic = 'GenerationCharged'"
    )
    alter_tree = "UPDATE tallystick.log_tiles SET hashes = sha256('') || substr(hashes, 33) WHERE log = 'events'"
    for alter in (alter_tree, alter_event):
        with psycopg.connect(database_url) as connection:
            connection.execute("ALTER TABLE tallystick.ledger_events DISABLE TRIGGER USER")
            connection.execute(alter)

        answer = receipt(customer)

        assert (answer.status_code, answer.json()["code"]) == (500, "internal_error")


def test_receipts_are_read_with_the_scope_of_reading(server: Server, customer: Customer) -> None:
    server.seal()
    with server.client("charge") as other:
        path = f"/v1/subscriptions/{customer.subscription_id}/charges/track/receipt"
        assert other.get(path).status_code == 403
    with server.client("read") as other:
        assert other.get(path).status_code == 200


def test_clients_are_told_that_these_are_files(http: httpx.Client) -> None:
    paths = http.get("/openapi.json").json()["paths"]
    receipts = paths["/v1/subscriptions/{subscription_id}/charges/{generation_id}/receipt"]["get"]["responses"]
    evidence = paths["/v1/disputes/{dispute_id}/evidence"]["get"]["responses"]

    assert receipts["200"]["content"]["text/plain"]["schema"] == {"type": "string", "format": "binary"}
    assert evidence["200"]["content"]["application/zip"]["schema"] == {"type": "string", "format": "binary"}
