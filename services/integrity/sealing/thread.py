"""Seals new events at the start and every few seconds, in a thread beside the projector."""

import threading

import psycopg
import structlog
from prometheus_client import CollectorRegistry, Counter, Gauge

from services.integrity.sealing.refusing import Reason, SealerRefused
from services.integrity.sealing.sealer import Sealer
from services.integrity.sealing.store import SealingStates
from services.log.checkpoint import Checkpoint
from services.log.note import Note
from services.postgres.database import Connect

log = structlog.get_logger()


class SealingThread:
    """The thread that seals. It holds no connection between checkpoints; it logs a failure once and tries again."""

    def __init__(
        self,
        connect: Connect,
        schema: str,
        sealer: Sealer,
        interval_seconds: float,
        registry: CollectorRegistry,
    ) -> None:
        self._connect = connect
        self._sealer = sealer
        self._states = SealingStates(schema)
        self._interval_seconds = interval_seconds
        self._size = Gauge(
            "tallystick_checkpoint_position", "The last position that a checkpoint covers.", registry=registry
        )
        self._failures = Counter(
            "tallystick_checkpoint_failures", "Attempts at a checkpoint that failed.", registry=registry
        )
        self._refused = Gauge(
            "tallystick_sealer_refused",
            "1 while the sealer refuses, by the reason.",
            labelnames=("reason",),
            registry=registry,
        )
        for reason in Reason:
            self._refused.labels(reason.value)
        self._last_failure = ""
        self._told: str | None = "nothing yet"
        self._stopping = threading.Event()
        self._thread = threading.Thread(target=self._run, name="sealer", daemon=True)

    def start(self) -> None:
        """Start the thread."""
        self._thread.start()

    def stop(self) -> None:
        """Make a last checkpoint and wait for the thread to end."""
        self._stopping.set()
        self._thread.join()

    def _run(self) -> None:
        self._seal()
        is_last = False
        while not is_last:
            is_last = self._stopping.wait(self._interval_seconds)
            self._seal()

    def _seal(self) -> None:
        """Seal once. Whatever goes wrong, the thread goes on, and says so once."""
        try:
            notes = self._seal_on_a_connection()
        except (psycopg.Error, RuntimeError, ValueError, OSError) as error:
            if self._is_new_failure(error):
                log.warning("no checkpoint could be made", error=str(error))
        except Exception as defect:
            if self._is_new_failure(defect):
                log.exception("no checkpoint could be made")
        else:
            self._last_failure = ""
            for note in notes:
                self._size.set(Checkpoint.parse(note.text).size)

    def _seal_on_a_connection(self) -> list[Note]:
        with self._connect() as connection:
            connection.autocommit = True
            try:
                notes = self._sealer.seal(connection, self._stopping.is_set)
            except SealerRefused as refusal:
                self._show(refusal)
                self._tell(connection, refusal)
                raise
            self._show(None)
            self._tell(connection, None)
            return notes

    def _is_new_failure(self, error: Exception) -> bool:
        self._failures.inc()
        is_new = str(error) != self._last_failure
        self._last_failure = str(error)
        return is_new

    def _show(self, refusal: SealerRefused | None) -> None:
        for reason in Reason:
            self._refused.labels(reason.value).set(refusal is not None and refusal.reason is reason)

    def _tell(self, connection: "psycopg.Connection[tuple[object, ...]]", refusal: SealerRefused | None) -> None:
        """Let other processes know by the database, whenever it changes."""
        refused = None if refusal is None else refusal.reason.value
        if self._told != refused:
            self._states.set_refused(connection, refused)
            self._told = refused
