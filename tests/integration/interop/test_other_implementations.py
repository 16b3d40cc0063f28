"""Clients and a witness that others wrote follow the log, where they are installed.

`GO_X_MOD` names a checkout of golang.org/x/mod, for Go's own client (with `go` on the path); `AICS_BIN` a folder with
`aics-tlog` and `aics-witness`, a client and a witness in Python.
"""

import os
import shutil
import subprocess
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest
from psycopg import Connection

from services.catalogue import Catalogue
from services.integrity.sealing.cosigners import Asker, NotCosigned
from services.integrity.sealing.store import EVENTS, LogStore
from services.log.keys import VerifierKey
from services.log.note import Note
from services.log.policy import Policy
from services.log.succession import Succession
from services.postgres.database import connect
from tests.acceptance.server import Listener, Server, running_listener, running_server
from tests.conftest import SCHEMA, SettableClock
from tests.integration.audit.lives import Lives
from tests.integration.audit.test_witnesses import RunningWitness, refusals_key
from tests.processes import free_port
from tests.waiting import wait_until

GO_X_MOD = os.environ.get("GO_X_MOD", "")
AICS = Path(os.environ.get("AICS_BIN", "nowhere"))
needs_go = pytest.mark.skipif(
    not (GO_X_MOD and shutil.which("go")), reason="no Go: set GO_X_MOD to a checkout of golang.org/x/mod"
)
needs_aics = pytest.mark.skipif(
    not (AICS / "aics-witness").exists(), reason="no aics-witness: set AICS_BIN to the folder that it is in"
)


@dataclass
class Log:
    """A service whose log is followed, and the ledger behind it."""

    server: Server
    lives: Lives
    connection: Connection[tuple[object, ...]]

    @property
    def url(self) -> str:
        return f"{self.server.url}/v1/log"

    @property
    def key(self) -> VerifierKey:
        newest = LogStore(SCHEMA).latest(self.connection)
        assert newest is not None
        return LogStore(SCHEMA).keys(self.connection, newest.origin)[0]

    def grow(self, steps: int) -> Note:
        """Let things happen, and seal them."""
        self.lives.go_on(steps)
        self.server.seal()
        newest = self.server.backend.logs[EVENTS].newest(self.connection)
        assert newest is not None
        return newest.note

    def leaf(self, index: int) -> str:
        """The hash of an event, as the feed of events gives it."""
        with self.server.client("audit") as http:
            (event,) = http.get("/v1/events", params={"after_position": index, "limit": 1}).json()["data"]
            return str(event["hash"])


@pytest.fixture
def listener() -> Iterator[Listener]:
    with running_listener() as listener:
        yield listener


@pytest.fixture
def log(listener: Listener, database_url: str, catalogue: Catalogue, clock: SettableClock) -> Iterator[Log]:
    with (
        running_server(listener, database_url, catalogue, clock) as server,
        connect(database_url, autocommit=True) as connection,
    ):
        lives = Lives(server.backend.ledger, clock)
        lives.start(5)
        yield Log(server, lives, connection)


def run(*command: str | Path, **options: object) -> subprocess.CompletedProcess[str]:
    return subprocess.run(list(map(str, command)), capture_output=True, text=True, check=False, **options)  # type: ignore[call-overload,no-any-return]


@needs_go
def test_go_s_client_follows_the_log(log: Log, tmp_path: Path) -> None:
    module = f"module follow\n\ngo 1.17\n\nrequire golang.org/x/mod v0.0.0\n\nreplace golang.org/x/mod => {GO_X_MOD}\n"
    (tmp_path / "go.mod").write_text(module)
    shutil.copy(Path(__file__).with_name("follow.go"), tmp_path / "follow.go")
    built = run("go", "build", "-mod=mod", "-o", tmp_path / "follow", ".", cwd=tmp_path)
    assert built.returncode == 0, built.stderr
    (tmp_path / "old").write_text(str(log.grow(400)))
    new = log.grow(700)

    followed = run(tmp_path / "follow", log.url, str(log.key), tmp_path / "old", "17", log.leaf(17))
    assert (followed.returncode, followed.stdout.strip()) == (0, new.text.split("\n")[1]), followed.stderr
    lied = run(tmp_path / "follow", log.url, str(log.key), tmp_path / "old", "17", log.leaf(18))
    assert lied.returncode == 1
    (tmp_path / "other").write_text(str(new).replace("/", "_", 1))
    assert run(tmp_path / "follow", log.url, str(log.key), tmp_path / "other", "17", log.leaf(17)).returncode == 1


@needs_aics
def test_another_client_checks_consistency_inclusion_and_our_witness_s_cosignature(
    log: Log, tmp_path: Path, database_url: str, clock: SettableClock
) -> None:
    (tmp_path / "old").write_text(str(log.grow(400)))
    log.grow(400)
    with RunningWitness(tmp_path / "witness", log.key, refusals_key(log.key)).answering() as witness:
        ask(database_url, clock, witness.signer.key, witness.url).ask()
        common = ["--tiles", log.url, "--log-key", str(log.key), "--origin", log.key.name]
        quorum = ["--witness-key", str(witness.signer.key), "--quorum", "1"]
        checks = (
            ["verify-checkpoint", *common, *quorum],
            ["verify-consistency", "--old-checkpoint", tmp_path / "old", *common],
            ["verify-inclusion", "--index", "17", "--leaf-hash", log.leaf(17), *common, *quorum],
        )
        for check in checks:
            checked = run(AICS / "aics-tlog", *check)
            assert checked.returncode == 0, checked.stdout + checked.stderr
        lied = run(AICS / "aics-tlog", "verify-inclusion", "--index", "17", "--leaf-hash", log.leaf(18), *common)
        assert lied.returncode != 0
        log.grow(20)
        early = run(AICS / "aics-tlog", "verify-checkpoint", *common, *quorum)
        assert early.returncode != 0, "the newest is not cosigned yet"


@needs_aics
def test_another_witness_cosigns_our_checkpoints(
    log: Log, tmp_path: Path, database_url: str, clock: SettableClock
) -> None:
    log.grow(300)
    port, config = free_port(), ["--config", str(tmp_path / "witness.json")]
    made = run(AICS / "aics-witness", "init", *config, "--name", "witness.example/w1")
    assert made.returncode == 0, made.stderr
    key = VerifierKey.parse(made.stdout.strip().splitlines()[-1])
    for log_key in (log.key, refusals_key(log.key)):
        added = run(AICS / "aics-witness", "add-log", *config, "--origin", log_key.name, "--vkey", str(log_key))
        assert added.returncode == 0, added.stderr
    command = [str(AICS / "aics-witness"), "serve", *config, "--listen", f"127.0.0.1:{port}"]
    with subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL) as process:
        try:
            asking = ask(database_url, clock, key, f"http://127.0.0.1:{port}")
            wait_until(lambda: has_cosigned(asking))
            log.grow(300)
            assert asking.ask() is not None
            newest = log.server.backend.logs[EVENTS].newest(log.connection)
            assert newest is not None
            assert newest.note.verified_by([key]) == [key]

            with log.server.backend.connect() as connection:
                log.server.backend.sealer.rotate(connection)
            log.grow(100)
            with pytest.raises(NotCosigned):  # it takes no further lines, and was not told the new key
                asking.ask()
            succession = Succession.of(log.key)
            for stored in LogStore(SCHEMA).hand_overs(log.connection, log.key.name):
                succession = succession.hand_over(stored.note)
            for new_key in (succession.current, refusals_key(succession.current)):
                run(AICS / "aics-witness", "add-log", *config, "--origin", new_key.name, "--vkey", str(new_key))
            process.send_signal(1)  # SIGHUP: read the configuration again
            wait_until(lambda: has_cosigned(asking))
        finally:
            process.terminate()


def ask(database_url: str, clock: SettableClock, key: VerifierKey, url: str) -> Asker:
    policy = Policy.parse(f"witness w {key} {url}\nquorum w\n".encode())
    return Asker(lambda: connect(database_url), SCHEMA, policy, policy.witnesses["w"], clock)


def has_cosigned(asking: Asker) -> bool:
    try:
        asking.ask()
    except (NotCosigned, OSError):
        return False
    return True
