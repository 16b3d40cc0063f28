"""Metrics that are read from the database at a scrape: how far the projections are, and what its clock says."""

from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager
from functools import partial
from typing import Any

import psycopg
from prometheus_client.core import GaugeMetricFamily
from prometheus_client.registry import Collector
from psycopg import Connection

from projections.positions import Positions
from services.ledger.clock_guard import difference, machine_clock
from services.postgres.sql import load_queries


class DatabaseCollector(Collector):
    """Reads them at each scrape. While the database is unreachable, they are absent."""

    def __init__(self, connection: Callable[[], AbstractContextManager[Connection[Any]]], schema: str) -> None:
        self._connection = connection
        self._positions = Positions(schema)
        self._queries = load_queries(__file__, "readiness.sql", schema=schema)

    def describe(self) -> Iterator[GaugeMetricFamily]:
        """Describe nothing, so that registering the collector does not query the database."""
        return iter(())

    def collect(self) -> Iterator[GaugeMetricFamily]:
        """Read the lags and the clock."""
        try:
            with self._connection() as connection:
                lags = self._positions.lags(connection)
                before = machine_clock()
                row = connection.execute(self._queries["describe_server"]).fetchone()
                after = machine_clock()
        except psycopg.Error:
            return
        assert row is not None
        gauge = partial(GaugeMetricFamily, labels=["projection"])
        events = gauge("tallystick_projection_lag_events", "Events that wait to be taken.")
        seconds = gauge("tallystick_projection_lag_seconds", "Age of the next event that waits.")
        stopped = gauge("tallystick_projection_stopped", "1 where an event has stopped the projection.")
        for lag in lags:
            events.add_metric([lag.projection], lag.lag_events)
            seconds.add_metric([lag.projection], lag.lag_seconds)
            stopped.add_metric([lag.projection], lag.stopped_at_position is not None)
        yield from (events, seconds, stopped)
        yield GaugeMetricFamily(
            "tallystick_clock_difference_seconds",
            "By how much this machine's clock and the database's differ, at least.",
            value=difference(row[1], before, after).total_seconds(),
        )
