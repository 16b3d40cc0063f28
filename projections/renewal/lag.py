"""How far recording is behind time, as Prometheus metrics: read from the table, so right whichever process is asked."""

from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager
from datetime import datetime
from typing import Any

import psycopg
from prometheus_client.core import GaugeMetricFamily
from prometheus_client.registry import Collector
from psycopg import Connection

from projections.renewal.due import DueQueries


class LagCollector(Collector):
    """Measures at each scrape; while the database cannot be asked, the metrics are absent."""

    def __init__(
        self,
        connection: Callable[[], AbstractContextManager[Connection[Any]]],
        schema: str,
        clock: Callable[[], datetime],
    ) -> None:
        self._connection = connection
        self._due = DueQueries(schema)
        self._clock = clock

    def describe(self) -> Iterator[GaugeMetricFamily]:
        """Nothing to ask the database for when the collector is registered."""
        return iter(())

    def collect(self) -> Iterator[GaugeMetricFamily]:
        """The lag and the backlog."""
        now = self._clock()
        try:
            with self._connection() as connection:
                backlog = self._due.backlog(connection, now)
        except psycopg.Error:
            return
        lag_seconds = (now - backlog.oldest_due_at).total_seconds() if backlog.oldest_due_at else 0.0
        due = GaugeMetricFamily(
            "tallystick_renewals_due", "Subscriptions with a due boundary that is not recorded.", labels=["clock"]
        )
        due.add_metric(["real"], backlog.due)
        due.add_metric(["test"], backlog.due_on_test_clocks)
        yield due
        yield GaugeMetricFamily(
            "tallystick_renewals_lag_seconds",
            "How long the longest due boundary has been waiting to be recorded; test clocks apart.",
            value=lag_seconds,
        )
