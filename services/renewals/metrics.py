"""Counts what a renewal worker records."""

from prometheus_client import CollectorRegistry, Counter, Gauge

from services.renewals.worker import Pass


class RenewalMetrics:
    """The worker's own metrics; `projections/renewal/lag.py` measures its lag."""

    def __init__(self, registry: CollectorRegistry) -> None:
        self._subscriptions = Counter(
            "tallystick_renewals_recorded_subscriptions",
            "Subscriptions whose due boundaries this worker recorded.",
            registry=registry,
        )
        self._events = Counter(
            "tallystick_renewals_recorded_events",
            "Resets, renewals and ends that this worker recorded.",
            registry=registry,
        )
        self._failures = Counter(
            "tallystick_renewals_failures",
            "Attempts at a subscription that recorded nothing; the subscription stays due and is tried again.",
            registry=registry,
        )
        self._last_pass = Gauge(
            "tallystick_renewals_last_pass_timestamp_seconds",
            "When this worker last finished looking for due subscriptions.",
            registry=registry,
        )

    def count(self, done: Pass) -> None:
        """Count a pass."""
        self._subscriptions.inc(done.tally.subscriptions)
        self._events.inc(done.tally.events)
        self._failures.inc(done.tally.failures)
        self._last_pass.set_to_current_time()
