"""Covers new events with signed checkpoints, every few seconds, in a thread of its own beside the projector."""

import threading

import psycopg
import structlog
from prometheus_client import CollectorRegistry, Counter, Gauge

from services.integrity.sealing import Sealer
from services.postgres.database import Connect

log = structlog.get_logger()


class Checkpointer:
    """The thread. It holds no connection between checkpoints; a failure is said once and tried again."""

    def __init__(self, connect: Connect, sealer: Sealer, interval_seconds: float, registry: CollectorRegistry) -> None:
        self._connect = connect
        self._sealer = sealer
        self._interval_seconds = interval_seconds
        self._position = Gauge(
            "tallystick_checkpoint_position", "The last position that a checkpoint covers.", registry=registry
        )
        self._failures = Counter(
            "tallystick_checkpoint_failures", "Attempts at a checkpoint that failed.", registry=registry
        )
        self._last_failure = ""
        self._stopping = threading.Event()
        self._thread = threading.Thread(target=self._run, name="checkpointer", daemon=True)

    def start(self) -> None:
        """Begin."""
        self._thread.start()

    def stop(self) -> None:
        """Make a last checkpoint and stop."""
        self._stopping.set()
        self._thread.join()

    def _run(self) -> None:
        is_last = False
        while not is_last:
            is_last = self._stopping.wait(self._interval_seconds)
            self._seal()

    def _seal(self) -> None:
        try:
            with self._connect() as connection:
                connection.autocommit = True
                made = self._sealer.seal(connection)
        except (psycopg.Error, RuntimeError, ValueError, OSError) as error:
            self._failures.inc()
            if str(error) != self._last_failure:
                log.warning("no checkpoint could be made", error=str(error))
            self._last_failure = str(error)
            return
        self._last_failure = ""
        if made:
            self._position.set(made[-1].to_position)
