"""Metrics for Prometheus: requests by route and status, their duration, and the queue of the writer lane."""

from prometheus_client import CollectorRegistry, Counter, Gauge, Histogram, generate_latest
from prometheus_client.exposition import CONTENT_TYPE_PLAIN_0_0_4
from prometheus_client.registry import Collector

from services.http.feed import Feed
from services.ledger.ledger import Ledger

CONTENT_TYPE = CONTENT_TYPE_PLAIN_0_0_4
UNMATCHED = "unmatched"
_METHODS = frozenset({"GET", "HEAD", "POST", "PUT", "PATCH", "DELETE", "OPTIONS"})
_BUCKETS_SECONDS = (0.001, 0.002, 0.005, 0.01, 0.02, 0.05, 0.1, 0.2, 0.5, 1, 2, 5)


class Metrics:
    """The metrics of one process's HTTP layer and, by `collectors`, of the ledger."""

    def __init__(self, ledger: Ledger, feed: Feed, *collectors: Collector) -> None:
        self._registry = CollectorRegistry()
        for collector in collectors:
            self._registry.register(collector)
        self._requests = Histogram(
            "tallystick_http_request_seconds",
            "Duration of requests by method, route and status; its count is the number of requests.",
            ("method", "route", "status"),
            buckets=_BUCKETS_SECONDS,
            registry=self._registry,
        )
        self._by_labels: dict[tuple[str, str, int], Histogram] = {}
        self._failed_keys = Counter(
            "tallystick_failed_keys", "Requests whose key there is not.", registry=self._registry
        )
        self._rate_limited = Counter(
            "tallystick_rate_limited", "Requests beyond the limit of their key.", registry=self._registry
        )
        waiting = Gauge(
            "tallystick_lane_waiting_commands", "Commands that wait for the writer lane.", registry=self._registry
        )
        waiting.set_function(lambda: ledger.lane.waiting)

        followers = Gauge(
            "tallystick_feed_followers",
            "Clients that follow the ledger, or wait for an event.",
            registry=self._registry,
        )
        followers.set_function(lambda: feed.followers)

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
        return generate_latest(self._registry)
