"""Runs the projector: catches up the projections that are not inline, and publishes how far they are.

It can be stopped, killed or run twice at any time, since a projection's rows and its position change in one
transaction.
"""

import threading
import time
from collections.abc import Sequence
from functools import partial

from prometheus_client import CollectorRegistry, Counter, Gauge

from projections.engine import Engine
from projections.positions import Lag
from services.ledger.mapper import decode_event
from services.postgres.database import Connect

SILENCE_SECONDS = 300.0


class ProjectionMetrics:
    """The metrics of each projection as of its last round: position, lag, whether it has stopped."""

    def __init__(self, registry: CollectorRegistry) -> None:
        gauge = partial(Gauge, labelnames=("projection",), registry=registry)
        self._position = gauge("tallystick_projection_position", "The last position that was taken.")
        self._lag_events = gauge("tallystick_projection_lag_events", "Events that wait to be taken.")
        self._lag_seconds = gauge("tallystick_projection_lag_seconds", "Age of the next event that waits.")
        self._stopped = gauge("tallystick_projection_stopped", "1 where an event has stopped the projection.")
        self._rounds = Counter(
            "tallystick_projector_rounds", "Times that the projector has looked for events.", registry=registry
        )

    def show(self, lags: Sequence[Lag]) -> None:
        """Publish the lags of a round."""
        self._rounds.inc()
        for lag in lags:
            self._position.labels(lag.projection).set(lag.position)
            self._lag_events.labels(lag.projection).set(lag.lag_events)
            self._lag_seconds.labels(lag.projection).set(lag.lag_seconds)
            self._stopped.labels(lag.projection).set(lag.stopped_at_position is not None)


class Projector:
    """The projector as a role: an engine with metrics and a check of its liveness."""

    def __init__(self, connect: Connect, schema: str) -> None:
        self.registry = CollectorRegistry()
        self._metrics = ProjectionMetrics(self.registry)
        self._engine = Engine(connect, schema, decode_event, on_round=self._show)
        self._last_round_at = time.monotonic()

    def run(self, stopping: threading.Event) -> None:
        """Catch up until `stopping` is set."""
        self._engine.run(stopping)

    def find_trouble(self) -> str | None:
        """What keeps it from working, in words, or None. A stopped projection is a matter of `/metrics`."""
        silence_seconds = time.monotonic() - self._last_round_at
        return f"no round for {silence_seconds:.0f} seconds" if silence_seconds > SILENCE_SECONDS else None

    def _show(self, lags: Sequence[Lag]) -> None:
        self._last_round_at = time.monotonic()
        self._metrics.show(lags)
