"""The projector: catches the projections up that are not inline, and says how far they are.

It can be stopped, killed or run twice at any time: rows and position move in one transaction.
"""

import threading
import time
from collections.abc import Callable, Sequence

from prometheus_client import CollectorRegistry, Counter, Gauge

from projections.disputes.catch_up import Disputes
from projections.engine import CatchUp, Engine
from projections.ledger_events import EventReader
from projections.positions import Lag, Positions
from projections.usage.catch_up import Usage
from services.ledger.mapper import decode_event
from services.postgres.database import Connect
from services.postgres.sql import Queries, load_queries

SILENCE_SECONDS = 300.0


def catch_up_projections(schema: str, adapt: Callable[[Queries], Queries] = lambda queries: queries) -> list[CatchUp]:
    """Every projection that is not inline, over its statements as `adapt` changes them: a rebuild's go elsewhere."""
    return [
        Usage(adapt(load_queries("projections.usage", "usage.sql", schema=schema)), decode_event),
        Disputes(adapt(load_queries("projections.disputes", "disputes.sql", schema=schema))),
    ]


class ProjectionMetrics:
    """How far each projection is, as of its last round."""

    def __init__(self, registry: CollectorRegistry) -> None:
        label = ("projection",)
        self._position = Gauge(
            "tallystick_projection_position", "The last position that was taken.", label, registry=registry
        )
        self._lag_events = Gauge(
            "tallystick_projection_lag_events", "Events that wait to be taken.", label, registry=registry
        )
        self._lag_seconds = Gauge(
            "tallystick_projection_lag_seconds",
            "Age of the next event that waits.",
            label,
            registry=registry,
        )
        self._stopped = Gauge(
            "tallystick_projection_stopped", "1 where an event has stopped the projection.", label, registry=registry
        )
        self._rounds = Counter(
            "tallystick_projector_rounds", "Times that the projector has looked for events.", registry=registry
        )

    def show(self, lags: Sequence[Lag]) -> None:
        """Take a round into account."""
        self._rounds.inc()
        for lag in lags:
            self._position.labels(lag.projection).set(lag.position)
            self._lag_events.labels(lag.projection).set(lag.lag_events)
            self._lag_seconds.labels(lag.projection).set(lag.lag_seconds)
            self._stopped.labels(lag.projection).set(lag.stopped_at_position is not None)


class Projector:
    """The role: an engine, and what can be asked of it."""

    def __init__(self, connect: Connect, schema: str) -> None:
        self.registry = CollectorRegistry()
        self._metrics = ProjectionMetrics(self.registry)
        reader = EventReader(schema, decode_event)
        self._engine = Engine(connect, reader, Positions(schema), catch_up_projections(schema), self._show)
        self._last_round_at = time.monotonic()

    def run(self, stopping: threading.Event) -> None:
        """Catch up until told to stop."""
        self._engine.run(stopping)

    def find_trouble(self) -> str | None:
        """What keeps it from working; None where nothing does. A stopped projection is for `/metrics` to show."""
        silence_seconds = time.monotonic() - self._last_round_at
        return f"no round for {silence_seconds:.0f} seconds" if silence_seconds > SILENCE_SECONDS else None

    def _show(self, lags: Sequence[Lag]) -> None:
        self._last_round_at = time.monotonic()
        self._metrics.show(lags)
