"""Runs the worker as a role: shows how it catches up, counts its work, and finds whether it is stuck."""

import threading
import time
from collections.abc import Callable
from contextlib import AbstractContextManager, ExitStack

from prometheus_client import CollectorRegistry

from projections.renewal.due import Backlog
from services.process.progress import ReportProgress
from services.renewals.metrics import RenewalMetrics
from services.renewals.recording import Tally
from services.renewals.worker import Pass, RenewalWorker

SILENCE_SECONDS = 30.0
STAGE = "Recording what is due"

OpenProgress = Callable[[], AbstractContextManager[ReportProgress]]
"""Opens a display of progress."""


class RenewalRole:
    """A renewal worker with metrics, a display of its progress, and a check of its health."""

    def __init__(self, worker: RenewalWorker, registry: CollectorRegistry, progress: OpenProgress) -> None:
        self.registry = registry
        self._worker = worker
        self._metrics = RenewalMetrics(registry)
        self._catch_up = _CatchUp(worker.backlog, progress)

    def run(self, stopping: threading.Event) -> None:
        """Record what becomes due, until `stopping` is set. Raises LaneClosed and LaneSilent."""
        with self._catch_up:
            self._worker.run(stopping, self._on_pass)

    def record_all(self) -> Tally:
        """Record what is due now. Raises psycopg.Error, LaneClosed and LaneSilent."""
        with self._catch_up:
            return self._worker.catch_up(self._on_pass)

    def find_trouble(self) -> str | None:
        """Describe what keeps the worker from its work; None where nothing does, or where the database is away."""
        silence_seconds = time.monotonic() - self._worker.active_at
        return f"no progress for {silence_seconds:.0f} seconds" if silence_seconds > SILENCE_SECONDS else None

    def _on_pass(self, done: Pass) -> None:
        self._metrics.count(done)
        self._catch_up.show(done)


class _CatchUp:
    """Shows progress while there is more to do than one pass records, as after a long stop."""

    def __init__(self, backlog: Callable[[], Backlog], progress: OpenProgress) -> None:
        self._backlog = backlog
        self._progress = progress
        self._shown = ExitStack()
        self._show: ReportProgress | None = None
        self._done = 0
        self._total = 0

    def __enter__(self) -> None:
        return None

    def __exit__(self, *_exception: object) -> None:
        self._shown.close()

    def show(self, done: Pass) -> None:
        """Show a pass."""
        is_more = done.listed > done.claimed > 0
        if self._show is None and is_more:
            self._done, self._total = 0, self._backlog().total + done.tally.subscriptions
            self._show = self._shown.enter_context(self._progress())
        if self._show is not None:
            self._done += done.tally.subscriptions
            self._show(STAGE, self._done, max(self._done, self._total))
        if not is_more:
            self._shown.close()
            self._show = None
