"""Prometheus metrics of how far recording is behind time, read from the table, so that any process can show them."""

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
    """Measures at each scrape. While the database is unreachable, the metrics are absent."""

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
        """Describe nothing, so that registering the collector does not query the database."""
        return iter(())

    def collect(self) -> Iterator[GaugeMetricFamily]:
        """Measure the lag and the backlog."""
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
