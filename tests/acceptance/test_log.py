"""Anybody follows the log without a key: notes, keys, tiles; and whoever reads, its checkpoints and proofs."""

import shutil
from base64 import b64decode
from hashlib import sha256
from pathlib import Path
from typing import Any

import httpx
import pytest

from services.integrity.sealing.sealer import Sealer
from services.integrity.sealing.seals import Seals
from services.integrity.sealing.store import EVENTS
from services.integrity.signing import KeyFile
from services.ledger.ledger import utc_now
from services.log.checkpoint import Checkpoint
from services.log.keys import VerifierKey
from services.log.note import Note
from services.log.reading import read_consistency_proof, read_root
from services.log.submission import Submission
from services.log.tiles import Tile
from services.log.tree import is_consistent
from tests.acceptance.server import Customer, Server, plain_client
from tests.conftest import SCHEMA


@pytest.fixture
def customer(http: httpx.Client) -> Customer:
    return Customer.with_plan(http, "max-pro-240000-monthly")


def charge(customer: Customer, count: int) -> None:
    charges = [
        {"subscription_id": customer.subscription_id, "generation_id": f"{count}-{number}", "model": "lyria-3"}
        for number in range(count)
    ]
    answer = customer.http.post("/v1/charges/batch", json={"charges": charges})
    assert answer.status_code == 200, answer.text


def events(http: httpx.Client) -> list[dict[str, Any]]:
    answer = http.get("/v1/events", params={"entries": "true", "limit": 1000})
    assert answer.status_code == 200, answer.text
    data: list[dict[str, Any]] = answer.json()["data"]
    return data


class Follower:
    """Who follows the log with nothing but its address and its first key."""

    def __init__(self, url: str) -> None:
        self._http = plain_client(url, {})

    def __enter__(self) -> "Follower":
        return self

    def __exit__(self, *_: object) -> None:
        self._http.close()

    def get(self, path: str) -> httpx.Response:
        return self._http.get(path)

    def keys(self, log: str = "/v1/log") -> list[VerifierKey]:
        return [VerifierKey.parse(line) for line in self.get(f"{log}/keys").text.splitlines()]

    def checkpoint(self, log: str = "/v1/log") -> Checkpoint:
        note = Note.parse(self.get(f"{log}/checkpoint").content)
        assert note.verified_by(self.keys(log)[-1:])
        return Checkpoint.parse(note.text)

    def read(self, tiles: Any) -> dict[Tile, bytes]:
        return {tile: self.get(f"/v1/log/tile/{tile.path}").content for tile in tiles}


def test_the_log_is_followed_without_a_key(server: Server, http: httpx.Client, customer: Customer) -> None:
    charge(customer, 300)
    server.seal()
    with Follower(server.url) as follower:
        before = follower.checkpoint()
        charge(customer, 250)
        server.seal()
        now = follower.checkpoint()

        assert read_root(follower.read, now.size) == now.root
        proof = read_consistency_proof(follower.read, before.size, now.size)
        assert is_consistent(before.size, now.size, proof, before.root, now.root)
        leaves = [bytes.fromhex(event["hash"]) for event in events(http)]
        tiles = b"".join(follower.read([Tile(0, 0), Tile(0, 1), Tile(0, 2, now.size - 512)]).values())
        assert tiles == b"".join(leaves)


def test_an_auditor_recomputes_each_hash_from_its_entry(server: Server, http: httpx.Client, customer: Customer) -> None:
    charge(customer, 3)
    for event in events(http):
        assert sha256(b"\x00" + b64decode(event["entry"])).hexdigest() == event["hash"]
    assert "entry" not in http.get("/v1/events").json()["data"][0]
    lines = http.get("/v1/events", params={"entries": "true"}, headers={"Accept": "application/x-ndjson"}).text
    assert lines.count('"entry":"') == len(lines.splitlines())


def test_headers_say_what_may_be_kept(server: Server, customer: Customer) -> None:
    charge(customer, 300)
    server.seal()
    with Follower(server.url) as follower:
        note, tile, part = map(follower.get, ("/v1/log/checkpoint", "/v1/log/tile/0/000", "/v1/log/tile/1/000.p/1"))
    assert note.headers["content-type"] == "text/plain; charset=utf-8"
    assert note.headers["cache-control"] == "no-cache"
    for each, length in ((tile, 8_192), (part, 32)):
        assert each.headers["content-type"] == "application/octet-stream"
        assert "immutable" in each.headers["cache-control"]
        assert len(each.content) == length


def test_a_partial_tile_stays_when_the_tree_has_grown(server: Server, customer: Customer) -> None:
    charge(customer, 20)
    server.seal()
    with Follower(server.url) as follower:
        size = follower.checkpoint().size
        path = f"/v1/log/tile/0/000.p/{size}"
        before = follower.get(path).content
        charge(customer, 300)
        server.seal()
        assert follower.get(path).content == before == follower.get("/v1/log/tile/0/000").content[: 32 * size]


@pytest.mark.parametrize(
    "path",
    [
        "0/001",
        "0/000.p/23",
        "0/000",
        "1/000.p/1",
        "0/000.p/0",
        "0/000.p/256",
        "0/000.p/01",
        "00/000.p/1",
        "64/000.p/1",
        "0/0.p/1",
        "0/x000/000.p/1",
        "entries/000",
        "entries/000.p/1",
        "data/000.p/1",
        "0",
        "0/",
        "",
    ],
)
def test_beyond_the_newest_checkpoint_or_malformed_is_404(server: Server, customer: Customer, path: str) -> None:
    charge(customer, 20)  # and two events at the start
    server.seal()
    charge(customer, 30)
    with Follower(server.url) as follower:
        assert follower.checkpoint().size == 22
        answer = follower.get(f"/v1/log/tile/{path}")
        assert answer.status_code == 404
        assert answer.json()["code"] == "not_found"
        assert "no-store" in answer.headers["cache-control"]
        assert follower.get("/v1/log/tile/0/000.p/22").status_code == 200


def test_before_the_first_checkpoint_there_is_none(server: Server, http: httpx.Client) -> None:
    paths = ("/v1/log/checkpoint", "/v1/log/keys", "/v1/log/refusals/checkpoint", "/v1/log/refusals/keys")
    with Follower(server.url) as follower:
        for path in paths:
            assert (follower.get(path).status_code, follower.get(path).json()["code"]) == (404, "no_checkpoint")
    for path in ("/v1/checkpoints/latest", "/v1/checkpoints/proof?from=0"):
        assert (http.get(path).status_code, http.get(path).json()["code"]) == (404, "no_checkpoint")
    assert http.get("/v1/checkpoints").json() == {"data": [], "next_cursor": None}
    server.seal()
    with Follower(server.url) as follower:
        assert follower.checkpoint().size == 0
        assert follower.checkpoint("/v1/log/refusals").size == 0


def test_refusals_are_a_log_of_their_own(server: Server, http: httpx.Client) -> None:
    poor = Customer.with_plan(http, "ai-starter-7500-monthly")
    body = {"generation_id": "track-1", "model": "lyria-3"}
    assert http.post(f"/v1/subscriptions/{poor.subscription_id}/charges", json=body).status_code == 403
    server.seal()
    with Follower(server.url) as follower:
        checkpoint = follower.checkpoint("/v1/log/refusals")
        assert checkpoint.size == 1
        assert checkpoint.origin == f"{follower.checkpoint().origin}/refusals"
        assert follower.get("/v1/log/refusals/tile/0/000.p/1").content == checkpoint.root
        assert follower.get("/v1/log/refusals/tile/0/000.p/2").status_code == 404


def test_checkpoints_are_listed_newest_first_with_a_proof_between_any_two(
    server: Server, http: httpx.Client, customer: Customer
) -> None:
    for count in (1, 10, 300):
        charge(customer, count)
        server.seal()
    with server.backend.connect() as connection:
        server.backend.sealer.rotate(connection)
    listed = http.get("/v1/checkpoints", params={"limit": 2}).json()
    rest = http.get("/v1/checkpoints", params={"limit": 2, "cursor": listed["next_cursor"]}).json()
    data = listed["data"] + rest["data"]

    assert [each["size"] for each in data] == [313, 313, 13, 3]
    assert [each["handover"] for each in data] == [True, False, False, False]
    assert rest["next_cursor"] is None
    for each in data:
        assert each["cosignatures"] == []
        checkpoint = Checkpoint.parse(Note.parse(each["note"]).text)
        assert (checkpoint.size, each["root"]) == (each["size"], each["note"].split("\n")[2])
    latest = http.get("/v1/checkpoints/latest")
    assert latest.headers["content-type"] == "text/plain; charset=utf-8"
    assert latest.text == data[0]["note"]

    for old, size in ((3, 313), (13, None), (3, 13), (0, 3), (313, 313), (100, 313)):
        answer = http.get("/v1/checkpoints/proof", params={"from": old, **({} if size is None else {"to": size})})
        submission = Submission.parse(answer.content)
        later = Checkpoint.parse(submission.note.text)
        assert later.size == size or size is None
        assert submission.old_size == old
        for earlier in (each for each in data if each["size"] == old):
            assert is_consistent(old, later.size, submission.proof, b64decode(earlier["root"]), later.root)


@pytest.mark.parametrize(
    ("query", "status", "code"),
    [
        ("from=14&to=13", 422, "invalid_request"),
        ("from=-1", 422, "invalid_request"),
        ("from=x", 422, "invalid_request"),
        ("", 422, "invalid_request"),
        ("from=1&to=12", 404, "no_checkpoint"),
        ("from=1&to=1000", 404, "no_checkpoint"),
        (f"from={2**63}", 422, "invalid_request"),
    ],
)
def test_a_proof_that_cannot_be(
    server: Server, http: httpx.Client, customer: Customer, query: str, status: int, code: str
) -> None:
    charge(customer, 11)
    server.seal()
    answer = http.get(f"/v1/checkpoints/proof?{query}")
    assert (answer.status_code, answer.json()["code"]) == (status, code)


def test_reading_checkpoints_needs_the_scope(server: Server) -> None:
    with server.client("charge") as http:
        for path in ("/v1/checkpoints", "/v1/checkpoints/latest", "/v1/checkpoints/proof?from=0"):
            assert http.get(path).status_code == 403


def test_what_the_seals_do_not_have_is_not_shown_as_newest(
    server: Server, http: httpx.Client, customer: Customer
) -> None:
    """A sealer that refuses goes on serving the newest note of its seals; charging goes on, and operators are told."""
    charge(customer, 11)
    server.seal()
    newest = http.get("/v1/checkpoints/latest").text
    with server.backend.connect() as owner:
        owner.execute("SET session_replication_role = replica")
        owner.execute("DELETE FROM tallystick.log_checkpoints")
        owner.execute("UPDATE tallystick.log_sealing SET refused = 'no_checkpoint'")
    assert http.get("/v1/checkpoints/latest").text == newest
    with Follower(server.url) as follower:
        assert follower.get("/v1/log/checkpoint").text == newest
    charge(customer, 12)
    ready = http.get("/readyz")
    assert (ready.status_code, ready.json()["sealing"]) == (200, "refused")
    assert 'tallystick_sealer_refused{reason="no_checkpoint"} 1.0' in http.get("/metrics").text


def test_where_another_machine_seals_now_its_notes_are_shown(
    server: Server, http: httpx.Client, customer: Customer, tmp_path: Path
) -> None:
    charge(customer, 11)
    server.seal()
    folder = server.data_dir
    shutil.copytree(folder, tmp_path / "moved")
    there = Sealer(SCHEMA, KeyFile(tmp_path / "moved/signing.key"), Seals(tmp_path / "moved/seals"), None, utc_now)
    charge(customer, 12)
    with server.backend.connect() as connection:
        [note] = there.seal(connection)
        assert http.get("/v1/checkpoints/latest").text == str(note)
        stranger = KeyFile(tmp_path / "stranger.key").read_or_make()
        forged = Checkpoint(Checkpoint.parse(note.text).origin, 10**6, bytes(32))
        store = server.backend.logs[EVENTS].store
        store.insert(connection, forged.signed_by(stranger.signer(forged.origin)), utc_now())
        assert http.get("/v1/checkpoints/latest").text != str(note)
        assert http.get("/v1/checkpoints/latest").text.split("\n")[1] == "13"
