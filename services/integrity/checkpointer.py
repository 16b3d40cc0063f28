"""Seals new events with a signed checkpoint every few seconds, in a thread beside the projector."""

import threading

import psycopg
import structlog
from prometheus_client import CollectorRegistry, Counter, Gauge

from services.integrity.sealer import Sealer
from services.postgres.database import Connect

log = structlog.get_logger()


class Checkpointer:
    """The thread that seals. It holds no connection between checkpoints; it logs a failure once and tries again."""

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
        """Start the thread."""
        self._thread.start()

    def stop(self) -> None:
        """Make a last checkpoint and wait for the thread to end."""
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
                checkpoints = self._sealer.seal(connection)
        except (psycopg.Error, RuntimeError, ValueError, OSError) as error:
            self._failures.inc()
            if str(error) != self._last_failure:
                log.warning("no checkpoint could be made", error=str(error))
            self._last_failure = str(error)
            return
        self._last_failure = ""
        if checkpoints:
            self._position.set(checkpoints[-1].to_position)
