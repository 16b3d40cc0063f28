"""Metrics for Prometheus: requests by route and status, what the writer lane has done, and how far all else is."""

from collections.abc import Iterator
from importlib.metadata import version
from pathlib import Path

from prometheus_client import CollectorRegistry, Counter, Gauge, Histogram, ProcessCollector, generate_latest
from prometheus_client.core import CounterMetricFamily, HistogramMetricFamily, Metric
from prometheus_client.exposition import CONTENT_TYPE_PLAIN_0_0_4
from prometheus_client.registry import Collector

from services.http.feed import Feed
from services.ledger.ledger import Ledger
from services.ledger.tally import Distribution, LaneTally
from services.process.shared_metrics import SharedMetrics

CONTENT_TYPE = CONTENT_TYPE_PLAIN_0_0_4
UNMATCHED = "unmatched"
_METHODS = frozenset({"GET", "HEAD", "POST", "PUT", "PATCH", "DELETE", "OPTIONS"})
_BUCKETS_SECONDS = (0.001, 0.002, 0.005, 0.01, 0.02, 0.05, 0.1, 0.2, 0.5, 1, 2, 5)


class LaneCollector(Collector):
    """Shows the plain numbers of a lane at each scrape."""

    def __init__(self, tally: LaneTally) -> None:
        self._tally = tally

    def collect(self) -> Iterator[Metric]:
        """Yield them as of now."""
        tally = self._tally
        yield CounterMetricFamily("tallystick_charges", "Charges that were made; no replays.", value=tally.charges)
        yield CounterMetricFamily(
            "tallystick_credits_charged", "Credits that were charged; no replays.", value=tally.credits_charged
        )
        refusals = CounterMetricFamily("tallystick_refusals", "Commands that were refused, by code.", labels=["code"])
        for code, count in sorted(tally.refusals.copy().items()):
            refusals.add_metric([code], count)
        yield refusals
        yield CounterMetricFamily(
            "tallystick_unknown_outcomes",
            "Commands whose connection was lost at the commit, so that only asking again tells what became of them.",
            value=tally.unknown_outcomes,
        )
        yield _histogram("tallystick_batch_commands", "Commands that share a transaction.", tally.batch_commands)
        yield _histogram("tallystick_commit_seconds", "Duration of a batch's transaction.", tally.commit_seconds)
        yield _histogram(
            "tallystick_lane_wait_seconds", "Time that a command waits for the batch before it.", tally.wait_seconds
        )


class Metrics:
    """The metrics of one process's HTTP layer and lane, added to those of the processes that share `folder` with it.

    `of_database` are read from the database, and the same whichever process is asked.
    """

    def __init__(self, ledger: Ledger, feed: Feed, folder: Path | None, *of_database: Collector) -> None:
        own = CollectorRegistry()
        own.register(LaneCollector(ledger.lane.tally))
        ProcessCollector(registry=own)
        self._requests = Histogram(
            "tallystick_http_request_seconds",
            "Duration of requests by method, route and status; its count is the number of requests.",
            ("method", "route", "status"),
            buckets=_BUCKETS_SECONDS,
            registry=own,
        )
        self._by_labels: dict[tuple[str, str, int], Histogram] = {}
        self._failed_keys = Counter("tallystick_failed_keys", "Requests whose key there is not.", registry=own)
        self._rate_limited = Counter("tallystick_rate_limited", "Requests beyond the limit of their key.", registry=own)
        build = Gauge("tallystick_build_info", "1, with the version of the program.", ("version",), registry=own)
        build.labels(version("tallystick")).set(1)
        waiting = Gauge("tallystick_lane_waiting_commands", "Commands that wait for the writer lane.", registry=own)
        waiting.set_function(lambda: ledger.lane.waiting)
        followers = Gauge(
            "tallystick_feed_followers", "Clients that follow the ledger, or wait for an event.", registry=own
        )
        followers.set_function(lambda: feed.followers)
        self.shared = SharedMetrics(own, folder)
        self._all = CollectorRegistry()
        for collector in (self.shared, *of_database):
            self._all.register(collector)

    def count_failed_key(self) -> None:
        """Count a request whose key there is not."""
        self._failed_keys.inc()

    def count_rate_limited(self) -> None:
        """Count a request beyond the limit of its key."""
        self._rate_limited.inc()

    def observe(self, method: str, route: str, status: int, seconds: float) -> None:
        """Count one request. `route` is a template such as `/v1/plans/{plan_id}`, never an address."""
        labels = (method if method in _METHODS else "OTHER", route, status)
        if (child := self._by_labels.get(labels)) is None:
            child = self._by_labels[labels] = self._requests.labels(*map(str, labels))
        child.observe(seconds)

    def exposition(self) -> bytes:
        """Return every metric in Prometheus's text format."""
        return generate_latest(self._all)


def _histogram(name: str, documentation: str, values: Distribution) -> HistogramMetricFamily:
    counts, total, buckets = [*values.counts], 0, []
    for bound, count in zip([*map(str, values.bounds), "+Inf"], counts, strict=True):
        total += count
        buckets.append((bound, float(total)))
    return HistogramMetricFamily(name, documentation, buckets=buckets, sum_value=values.sum)
