"""Asks witnesses to cosign checkpoints (C2SP tlog-witness), a thread a witness, beside the projector.

Nothing waits for a witness: neither charges nor the sealer, nor one witness for another.
"""

import threading
import urllib.error
import urllib.request
from collections.abc import Callable
from contextlib import suppress
from datetime import datetime
from typing import Any

import psycopg
import structlog
from prometheus_client import CollectorRegistry, Counter, Gauge
from psycopg import Connection

from services.integrity.sealing.store import EVENTS, LOGS, LogName, LogStore, SealingStates, StoredCheckpoint
from services.log.checkpoint import parse_size
from services.log.note import BadNote, Note, Signature, UnverifiedNote
from services.log.policy import Policy, Witness
from services.log.reading import MissingTiles, read_consistency_proof
from services.log.submission import Submission
from services.postgres.database import Connect

log = structlog.get_logger()

POLL_SECONDS = 1.0
PAUSE_SECONDS_MAX = 60.0
ANSWER_SECONDS = 10.0
STOP_SECONDS = 2.0
ANSWER_BYTES_MAX = 64 * 1024


class NotCosigned(RuntimeError):
    """A witness did not cosign; the message says why."""


EXPECTED = (psycopg.Error, NotCosigned, MissingTiles, BadNote, OSError)
"""What keeps a witness from cosigning without a defect of this program."""


class Cosigners:
    """The threads that ask the witnesses of a policy which have an address."""

    def __init__(
        self,
        connect: Connect,
        schema: str,
        policy: Policy,
        clock: Callable[[], datetime],
        registry: CollectorRegistry,
    ) -> None:
        failures = Counter(
            "tallystick_witness_failures",
            "Checkpoints that a witness did not cosign when it was asked.",
            labelnames=("witness",),
            registry=registry,
        )
        sizes = Gauge(
            "tallystick_witness_size",
            "The size of the newest tree that a witness has cosigned.",
            labelnames=("witness",),
            registry=registry,
        )
        self._stopping = threading.Event()
        self._threads = []
        for witness in policy.witnesses.values():
            if witness.url is not None:
                asker = Asker(connect, schema, policy, witness, clock)
                loop = _Loop(asker, failures.labels(witness.name), sizes.labels(witness.name), self._stopping)
                self._threads.append(threading.Thread(target=loop.run, name=f"witness {witness.name}", daemon=True))

    def start(self) -> None:
        """Start the threads."""
        for thread in self._threads:
            thread.start()

    def stop(self) -> None:
        """Ask no more. What is being asked is let go: its thread ends with the process."""
        self._stopping.set()
        for thread in self._threads:
            thread.join(STOP_SECONDS)


class _Loop:
    """Asks again and again, with growing pauses while a witness fails."""

    def __init__(self, asker: "Asker", failures: Counter, size: Gauge, stopping: threading.Event) -> None:
        self._asker = asker
        self._failures = failures
        self._size = size
        self._stopping = stopping

    def run(self) -> None:
        pause_seconds, last_failure = POLL_SECONDS, ""
        while not self._stopping.wait(pause_seconds):
            try:
                size = self._asker.ask()
            except Exception as error:
                self._failures.inc()
                pause_seconds = min(2 * pause_seconds, PAUSE_SECONDS_MAX)
                if str(error) != last_failure:
                    name = self._asker.witness.name
                    if isinstance(error, EXPECTED):
                        log.warning("a witness did not cosign", witness=name, error=str(error))
                    else:
                        log.exception("a witness could not be asked", witness=name)
                last_failure = str(error)
            else:
                pause_seconds, last_failure = POLL_SECONDS, ""
                if size is not None:
                    self._size.set(size)


class Asker:
    """Asks one witness for what it has not cosigned."""

    def __init__(
        self, connect: Connect, schema: str, policy: Policy, witness: Witness, clock: Callable[[], datetime]
    ) -> None:
        self.witness = witness
        self._connect = connect
        self._policy = policy
        self._clock = clock
        self._states = SealingStates(schema)
        self._stores: dict[LogName, LogStore] = {name: LogStore(schema, name) for name in LOGS}

    def ask(self) -> int | None:
        """Have the witness cosign the newest notes, and store its lines. Returns the size of the log of events then.

        None where there was nothing to ask. Raises NotCosigned, MissingTiles, BadNote, OSError, psycopg.Error.
        """
        with self._connect() as connection:
            connection.autocommit = True
            size = None
            for name, store in self._stores.items():
                tree = store.tree(connection)
                pending = store.uncosigned(connection, tree.origin, self.witness.key) if tree else []
                for stored in pending[:-1]:
                    # A witness that takes no further lines, or was told the new key, need not cosign a hand-over.
                    with suppress(NotCosigned):
                        self._have_cosigned(connection, store, stored)
                for newest in pending[-1:]:
                    self._have_cosigned(connection, store, newest)
                    size = newest.size if name == EVENTS else size
            return size

    def _have_cosigned(self, connection: Connection[Any], store: LogStore, stored: StoredCheckpoint) -> None:
        note = Note.parse(stored.signed_note)
        old_size = store.last_cosigned_size(connection, stored.origin, self.witness.key)
        status, body = self._submit(connection, store, stored, note, old_size)
        if status == 409:  # it has seen another size: from there, then
            status, body = self._submit(connection, store, stored, note, _seen_size(body, stored.size))
        if status != 200:
            raise NotCosigned(f"{self.witness.url} answered {status} to size {stored.size}: {body.strip()[:200]}")
        line = self._line_of(note, body)
        store.add_cosignature(connection, stored.number, self.witness.key, self._clock(), line)
        if store.log == EVENTS:
            self._tell_quorum(connection, store, stored)

    def _submit(
        self, connection: Connection[Any], store: LogStore, stored: StoredCheckpoint, note: Note, old_size: int
    ) -> tuple[int, str]:
        proof = read_consistency_proof(store.tiles(connection), old_size, stored.size)
        return _post(
            f"{(self.witness.url or '').rstrip('/')}/add-checkpoint", str(Submission(old_size, tuple(proof), note))
        )

    def _line_of(self, note: Note, body: str) -> str:
        """The line of the witness's key in its answer, which must be right."""
        for line in body.splitlines():
            try:
                signature = Signature.parse(line)
                if signature.is_named_by(self.witness.key) and note.with_signatures([signature]).verified_by(
                    [self.witness.key]
                ):
                    return signature.line
            except (BadNote, UnverifiedNote) as error:
                raise NotCosigned(f"{self.witness.url}: {error}") from None
        raise NotCosigned(f"{self.witness.url} answered without a line of {self.witness.key}")

    def _tell_quorum(self, connection: Connection[Any], store: LogStore, stored: StoredCheckpoint) -> None:
        """Say of how large a tree a quorum has cosigned a note, where this was the line that it lacked."""
        now = store.of_size(connection, stored.origin, stored.size)
        if now is None:
            return
        try:
            keys = now.note.verified_by(self._policy.keys)
        except UnverifiedNote:
            keys = []
        if self._policy.is_met_by(keys):
            self._states.set_witnessed_size(connection, stored.size)


def _seen_size(body: str, size: int) -> int:
    try:
        seen = parse_size(body.removesuffix("\n"))
    except ValueError:
        raise NotCosigned(f"a witness answered 409 with {body[:80]!r}, which is no size") from None
    if seen > size:
        raise NotCosigned(f"a witness has seen a tree of {seen}, and the newest checkpoint here is of {size}")
    return seen


def _post(url: str, body: str) -> tuple[int, str]:
    """Send a submission, and return the status and the body of the answer. Raises OSError."""
    request = urllib.request.Request(url, body.encode(), {"Content-Type": "text/plain; charset=utf-8"})  # noqa: S310
    try:
        with urllib.request.urlopen(request, timeout=ANSWER_SECONDS) as answer:  # noqa: S310 - an operator's address
            return answer.status, answer.read(ANSWER_BYTES_MAX).decode(errors="replace")
    except urllib.error.HTTPError as error:
        with error:
            return error.code, error.read(ANSWER_BYTES_MAX).decode(errors="replace")
    except ValueError as error:  # of what is no HTTP
        raise OSError(f"{url}: {error}") from None
