"""How far the log is behind the ledger, for operators: read from the tables, so that any process can show it."""

from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager
from datetime import datetime
from typing import Any

import psycopg
from msgspec import Struct
from prometheus_client.core import GaugeMetricFamily
from prometheus_client.registry import Collector
from psycopg import Connection

from services.integrity.sealing.refusing import Reason
from services.postgres.sql import load_queries


class LogStatus(Struct, frozen=True):
    """Why the sealer refuses, or None; the age of the newest checkpoint, where there is one.

    `unwitnessed_seconds` is the age of the oldest event that no checkpoint with a quorum of witnesses covers, or where
    no witnesses are configured, no checkpoint; 0 where there is no such event.
    """

    refused: str | None
    checkpoint_age_seconds: float | None
    unwitnessed_seconds: float


class LogStatuses:
    """Reads the status of the log of one schema."""

    def __init__(self, schema: str, clock: Callable[[], datetime], *, has_witnesses: bool) -> None:
        self._queries = load_queries(__file__, "log.sql", schema=schema)
        self._clock = clock
        self._has_witnesses = has_witnesses

    def now(self, connection: Connection[Any]) -> LogStatus:
        """The status now."""
        arguments = {"has_witnesses": self._has_witnesses}
        row = connection.execute(self._queries["select_status"], arguments).fetchone()
        assert row is not None, "the query is of one row"
        refused, signed_at, unwitnessed_since = row
        now = self._clock()
        return LogStatus(
            refused,
            None if signed_at is None else (now - signed_at).total_seconds(),
            0.0 if unwitnessed_since is None else max(0.0, (now - unwitnessed_since).total_seconds()),
        )


class LogCollector(Collector):
    """Shows the status at each scrape. While the database is unreachable, the metrics are absent."""

    def __init__(
        self, connection: Callable[[], AbstractContextManager[Connection[Any]]], statuses: LogStatuses
    ) -> None:
        self._connection = connection
        self._statuses = statuses

    def describe(self) -> Iterator[GaugeMetricFamily]:
        """Describe nothing, so that registering the collector does not query the database."""
        return iter(())

    def collect(self) -> Iterator[GaugeMetricFamily]:
        """Read the status."""
        try:
            with self._connection() as connection:
                status = self._statuses.now(connection)
        except psycopg.Error:
            return
        refused = GaugeMetricFamily(
            "tallystick_sealer_refused", "1 while the sealer refuses, by the reason.", labels=["reason"]
        )
        for reason in Reason:
            refused.add_metric([reason.value], status.refused == reason.value)
        yield refused
        if status.checkpoint_age_seconds is not None:
            yield GaugeMetricFamily(
                "tallystick_checkpoint_age_seconds",
                "How long ago the newest checkpoint was signed.",
                value=status.checkpoint_age_seconds,
            )
        yield GaugeMetricFamily(
            "tallystick_unwitnessed_seconds",
            "Age of the oldest event that no checkpoint with a quorum of witnesses covers.",
            value=status.unwitnessed_seconds,
        )
