"""Witnesses cosign what only grows, and nothing waits for them."""

import http.client
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, HTTPServer
from pathlib import Path
from typing import Any

import pytest
from psycopg import Connection

from services.integrity.sealing.cosigners import Asker, NotCosigned
from services.integrity.sealing.sealer import Sealer
from services.integrity.sealing.status import LogStatuses
from services.integrity.sealing.store import LogStore
from services.integrity.signing import KeyFile
from services.log.checkpoint import Checkpoint
from services.log.growing import MemoryTiles
from services.log.keys import KeyKind, Signer, VerifierKey
from services.log.note import Note
from services.log.policy import Policy
from services.log.reading import read_consistency_proof, read_root
from services.log.submission import Submission
from services.postgres.database import connect
from services.witness.memory import BadMemory, WitnessInUse, WitnessMemory, hash_of, only_witness
from services.witness.server import BODY_BYTES_MAX, WitnessServer, serving
from tests.conftest import SCHEMA, SettableClock
from tests.integration.audit.lives import Lives
from tests.integration.audit.sealing import sealed
from tests.processes import CHECKOUT, environment, free_port, running, tallystick
from tests.waiting import wait_until

ORIGIN = "log.example/1"


def signer(path: Path, name: str, kind: KeyKind = KeyKind.ED25519) -> Signer:
    key = KeyFile(path).read_or_make()
    return Signer(VerifierKey(name, key.public_key, kind), key.sign)


class RunningWitness:
    """A witness that answers in this process."""

    def __init__(self, folder: Path, *log_keys: VerifierKey, name: str = "witness.example/w1") -> None:
        self.signer = signer(folder / "witness.key", name, KeyKind.COSIGNATURE_V1)
        self.memory = WitnessMemory(folder, log_keys)
        self.port = 0

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.port}/"

    @contextmanager
    def answering(self) -> Iterator["RunningWitness"]:
        with serving(WitnessServer(self.memory, self.signer), "127.0.0.1", 0) as self.port:
            yield self


def ask(port: int, method: str, path: str, body: str | bytes = b"", **headers: str) -> tuple[int, str, str]:
    connection = http.client.HTTPConnection("127.0.0.1", port, timeout=10)
    connection.request(method, path, body.encode() if isinstance(body, str) else body, headers)
    answer = connection.getresponse()
    content = answer.read().decode()
    connection.close()
    return answer.status, content, answer.headers["content-type"]


TILES = MemoryTiles([bytes([number]) * 32 for number in range(200)])


def submission(log: Signer, old: int, size: int) -> str:
    proof = tuple(read_consistency_proof(TILES.read, old, size))
    return str(Submission(old, proof, Checkpoint(ORIGIN, size, read_root(TILES.read, size)).signed_by(log)))


def test_a_witness_answers_as_the_specification_says(tmp_path: Path) -> None:
    log, stranger = signer(tmp_path / "log.key", ORIGIN), signer(tmp_path / "other.key", ORIGIN)
    monitored = f"/{hash_of(ORIGIN)}/checkpoint"
    with RunningWitness(tmp_path / "witness", log.key).answering() as witness:
        assert ask(witness.port, "GET", monitored)[0] == 404
        status, line, content_type = ask(witness.port, "POST", "/add-checkpoint", submission(log, 0, 100))
        assert (status, content_type) == (200, "text/plain; charset=utf-8")
        assert ask(witness.port, "POST", "/add-checkpoint", submission(log, 0, 150))[:3] == (
            409,
            "100\n",
            "text/x.tlog.size",
        )
        assert ask(witness.port, "POST", "/add-checkpoint", submission(stranger, 100, 150))[0] == 403
        assert ask(witness.port, "POST", "/add-checkpoint", "old 1\n")[0] == 400
        assert ask(witness.port, "POST", "/add-checkpoint", submission(log, 100, 150).replace("/1\n", "/2\n"))[0] == 404
        assert ask(witness.port, "POST", "/sign-subtree", submission(log, 100, 150))[0] == 404
        assert ask(witness.port, "POST", "/add-checkpoint", b"x" * (BODY_BYTES_MAX + 1))[0] == 413
        note = Note.parse(ask(witness.port, "GET", monitored)[1])
        assert note.verified_by([log.key, witness.signer.key]) == [log.key, witness.signer.key]
        assert str(note).endswith(line)


def test_what_it_saw_outlives_a_kill(tmp_path: Path) -> None:
    log = signer(tmp_path / "log.key", ORIGIN)
    with RunningWitness(tmp_path / "witness", log.key).answering() as witness:
        assert ask(witness.port, "POST", "/add-checkpoint", submission(log, 0, 100))[0] == 200
    with RunningWitness(tmp_path / "witness").answering() as witness:  # and the log's key too
        assert ask(witness.port, "POST", "/add-checkpoint", submission(log, 0, 50))[0] == 409
        assert ask(witness.port, "POST", "/add-checkpoint", submission(log, 100, 150))[0] == 200
    (file,) = (tmp_path / "witness").glob("*.json")
    file.write_text(file.read_text().replace("\\n150\\n", "\\n0150\\n"))
    with pytest.raises(BadMemory):
        WitnessMemory(tmp_path / "witness", [])


def test_of_submissions_at_once_one_is_cosigned(tmp_path: Path) -> None:
    log = signer(tmp_path / "log.key", ORIGIN)
    with RunningWitness(tmp_path / "witness", log.key).answering() as witness:
        bodies = [submission(log, 0, size) for size in range(1, 25)]
        statuses: list[int] = []

        def submit(body: str) -> None:
            statuses.append(ask(witness.port, "POST", "/add-checkpoint", body)[0])

        threads = [threading.Thread(target=submit, args=(body,)) for body in bodies]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
    assert sorted(statuses) == [200, *[409] * 23]


def test_two_witnesses_do_not_share_a_folder(tmp_path: Path) -> None:
    with only_witness(tmp_path), pytest.raises(WitnessInUse), only_witness(tmp_path):
        pass


@pytest.fixture
def log_key(sealer: Sealer, connection: Connection[Any], lives: Lives) -> VerifierKey:
    """The key of a ledger's log, of which a checkpoint was made."""
    lives.go_on(10)
    [note] = sealer.seal(connection)
    [key] = LogStore(SCHEMA).keys(connection, sealed(note).origin)
    return key


def refusals_key(key: VerifierKey) -> VerifierKey:
    return VerifierKey(f"{key.name}/refusals", key.public_key)


def asker(
    witness: RunningWitness, database_url: str, clock: SettableClock, quorum: str = "w1", more: str = ""
) -> Asker:
    policy = Policy.parse(f"witness w1 {witness.signer.key} {witness.url}\n{more}quorum {quorum}\n".encode())
    return Asker(lambda: connect(database_url), SCHEMA, policy, policy.witnesses["w1"], clock)


def test_checkpoints_gather_cosignatures_over_hand_overs_of_the_log_s_key(
    log_key: VerifierKey,
    sealer: Sealer,
    connection: Connection[Any],
    lives: Lives,
    database_url: str,
    clock: SettableClock,
    tmp_path: Path,
) -> None:
    store = LogStore(SCHEMA)
    with RunningWitness(tmp_path / "witness", log_key, refusals_key(log_key)).answering() as witness:
        asking = asker(witness, database_url, clock)
        asking.ask()
        assert asking.ask() is None, "there is nothing to ask"
        lives.go_on(10)
        sealer.rotate(connection)
        lives.go_on(10)
        sealer.seal(connection)  # while the witness was not asked
        lives.go_on(10)
        sealer.seal(connection)
        assert asking.ask() == sealed(sealer.newest()).size

        for log in ("events", "refusals"):
            newest = LogStore(SCHEMA, log).latest(connection)
            assert newest is not None
            assert newest.note.verified_by([witness.signer.key])
        newest = store.latest(connection)
        assert newest is not None
        seen = witness.memory.get(log_key.name)
        assert seen is not None
        assert seen.keys == (store.keys(connection, log_key.name)[-1],)
        assert (seen.size, seen.root) == (newest.size, newest.root)


def test_a_database_that_forgot_what_a_witness_saw_asks_it(
    log_key: VerifierKey, connection: Connection[Any], database_url: str, clock: SettableClock, tmp_path: Path
) -> None:
    with RunningWitness(tmp_path / "witness", log_key, refusals_key(log_key)).answering() as witness:
        asking = asker(witness, database_url, clock)
        asking.ask()
        connection.execute("SET session_replication_role = replica")
        connection.execute("DELETE FROM tallystick.log_cosignatures")
        assert asking.ask() is not None
    assert LogStore(SCHEMA).last_cosigned_size(connection, log_key.name, witness.signer.key) > 0


def test_a_split_view_is_cosigned_once(
    log_key: VerifierKey,
    sealer: Sealer,
    connection: Connection[Any],
    lives: Lives,
    database_url: str,
    clock: SettableClock,
    tmp_path: Path,
) -> None:
    """Whoever has the key too shows another history of the same size: the witness has seen the first."""
    store = LogStore(SCHEMA)
    with RunningWitness(tmp_path / "witness", log_key, refusals_key(log_key)).answering() as witness:
        asking = asker(witness, database_url, clock)
        lives.go_on(10)
        sealer.seal(connection)
        asking.ask()
        key = KeyFile(tmp_path / "signing.key").read_or_make().signer(log_key.name)
        newest = store.latest(connection)
        assert newest is not None
        other = Checkpoint(newest.origin, newest.size, bytes(32))
        store.insert(connection, other.signed_by(key), clock())
        with pytest.raises(NotCosigned, match="422"):
            asking.ask()


def test_an_answer_that_is_none_is_refused(
    log_key: VerifierKey, connection: Connection[Any], database_url: str, clock: SettableClock, tmp_path: Path
) -> None:
    stranger = RunningWitness(tmp_path / "stranger", log_key, refusals_key(log_key), name="witness.example/w2")
    expected = RunningWitness(tmp_path / "witness", log_key)
    with stranger.answering():
        expected.port = stranger.port
        with pytest.raises(NotCosigned, match="without a line of"):
            asker(expected, database_url, clock).ask()
    assert LogStore(SCHEMA).last_cosigned_size(connection, log_key.name, expected.signer.key) == 0


def test_unwitnessed_seconds_is_the_age_of_the_oldest_event_without_a_quorum(
    log_key: VerifierKey,
    sealer: Sealer,
    connection: Connection[Any],
    lives: Lives,
    database_url: str,
    clock: SettableClock,
    tmp_path: Path,
) -> None:
    def unwitnessed_seconds(*, has_witnesses: bool = True) -> float:
        return LogStatuses(SCHEMA, clock, has_witnesses=has_witnesses).now(connection).unwitnessed_seconds

    other = signer(tmp_path / "w2.key", "witness.example/w2", KeyKind.COSIGNATURE_V1)
    more = f"witness w2 {other.key}\ngroup both all w1 w2\n"
    with RunningWitness(tmp_path / "witness", log_key, refusals_key(log_key)).answering() as witness:
        assert unwitnessed_seconds(has_witnesses=False) == 0
        before = unwitnessed_seconds()
        clock.advance(seconds=60)
        assert unwitnessed_seconds() == pytest.approx(before + 60)
        asker(witness, database_url, clock, "both", more).ask()
        assert unwitnessed_seconds() == pytest.approx(before + 60), "one is not enough"
        connection.execute("SET session_replication_role = replica")
        connection.execute("DELETE FROM tallystick.log_cosignatures")
        connection.execute("RESET session_replication_role")
        asker(witness, database_url, clock).ask()
        assert unwitnessed_seconds() == 0
        lives.go_on(10)
        clock.advance(seconds=5)
        assert unwitnessed_seconds() >= 5
        assert unwitnessed_seconds(has_witnesses=False) >= 5


def test_a_dead_witness_delays_nothing(
    tmp_path: Path, database_url: str, connection: Connection[Any], lives: Lives, clock: SettableClock
) -> None:
    """The projector seals while one witness answers, one hangs, one is not there; the policy needs the first alone."""

    class Hanging(BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            time.sleep(3)

        def log_message(self, *_: Any) -> None: ...

    lives.go_on(10)
    names = ("answers", "hangs", "dead")
    ports = {name: free_port() for name in names}
    own = {name: signer(tmp_path / name, name, KeyKind.COSIGNATURE_V1) for name in names}
    note = Note.parse(tallystick("checkpoint", folder=tmp_path, database_url=database_url).stdout)
    [key] = LogStore(SCHEMA).keys(connection, sealed(note).origin)
    (tmp_path / "policy").write_text(
        "".join(f"witness {name} {own[name].key} http://127.0.0.1:{ports[name]}\n" for name in names)
        + "quorum answers\n"
    )
    hanging = HTTPServer(("127.0.0.1", ports["hangs"]), Hanging)
    thread = threading.Thread(target=hanging.serve_forever)
    thread.start()
    try:
        server = WitnessServer(WitnessMemory(tmp_path / "seen", [key, refusals_key(key)]), own["answers"])
        with (
            serving(server, "127.0.0.1", ports["answers"]),
            running(
                "projector",
                folder=tmp_path,
                database_url=database_url,
                checkpoint_seconds=0.1,
                witnesses=tmp_path / "policy",
            ) as projector,
        ):
            lives.go_on(10)
            statuses = LogStatuses(SCHEMA, clock, has_witnesses=True)
            wait_until(lambda: statuses.now(connection).unwitnessed_seconds == 0)
            wait_until(lambda: 'failures_total{witness="dead"} 0' not in projector.page("/metrics"))
            projector.stop()
    finally:
        hanging.shutdown()
        thread.join()
        hanging.server_close()


def test_the_command_prints_its_vkey_first_and_needs_no_database(tmp_path: Path) -> None:
    log, port = signer(tmp_path / "log.key", ORIGIN), free_port()
    command = [sys.executable, "-m", "services.cli", "witness", "--log", str(log.key), "--name", "witness.example/w1"]
    with subprocess.Popen(
        command,
        env=environment(tmp_path, port=port),
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        cwd=CHECKOUT,
    ) as process:
        try:
            assert process.stdout is not None
            own = VerifierKey.parse(process.stdout.readline().rstrip("\n"))
            assert (own.name, own.kind) == ("witness.example/w1", KeyKind.COSIGNATURE_V1)
            status, line, _ = ask(port, "POST", "/add-checkpoint", submission(log, 0, 7))
            assert status == 200
            assert line.startswith("— witness.example/w1 ")
        finally:
            process.terminate()
            assert process.wait(20) == 0
    assert (tmp_path / "witness" / f"{hash_of(ORIGIN)}.json").exists()


@pytest.mark.parametrize("vkey", ["x", "witness.example/w+eee+AAAA"])
def test_what_is_no_key_of_a_log_is_wrong_use(tmp_path: Path, vkey: str) -> None:
    command = [sys.executable, "-m", "services.cli", "witness", "--log", vkey]
    run = subprocess.run(command, env=environment(tmp_path), capture_output=True, text=True, cwd=CHECKOUT, check=False)
    assert (run.returncode, run.stdout) == (2, "")
    assert "Traceback" not in run.stderr


@pytest.mark.parametrize("content", [None, "quorum nobody\n"])
def test_a_policy_that_is_none_stops_the_start(tmp_path: Path, database_url: str, content: str | None) -> None:
    if content is not None:
        (tmp_path / "policy").write_text(content)
    command = [sys.executable, "-m", "services.cli", "projector"]
    settings = environment(tmp_path, database_url=database_url, witnesses=tmp_path / "policy", port=free_port())
    run = subprocess.run(command, env=settings, capture_output=True, text=True, cwd=CHECKOUT, check=False, timeout=60)
    assert run.returncode == 2
    assert "TALLYSTICK_WITNESSES" in run.stderr
