"""Counts what the webhooks come to."""

from contextlib import AbstractContextManager
from functools import partial

from prometheus_client import CollectorRegistry, Counter, Gauge, Histogram

from services.webhooks.sending import Result


class WebhookMetrics:
    """The metrics of the role."""

    def __init__(self, registry: CollectorRegistry) -> None:
        self._tries = Counter(
            "tallystick_webhook_tries",
            "Tries of messages, by whether they were taken.",
            ("outcome",),
            registry=registry,
        )
        self._parked = Counter("tallystick_webhook_parked", "Messages that are not tried any more.", registry=registry)
        self._seconds = Histogram("tallystick_webhook_try_seconds", "Duration of a try.", registry=registry)
        labelled = partial(Gauge, labelnames=("webhook_id",), registry=registry)
        self._lag = labelled("tallystick_webhook_lag_events", "Events that an endpoint is behind the ledger.")
        self._held_up = labelled(
            "tallystick_webhook_held_up", "Subscriptions whose messages an endpoint does not take."
        )
        self._disabled = Gauge(
            "tallystick_webhook_disabled",
            "Endpoints that are switched off, since they failed for a day.",
            registry=registry,
        )
        self._active = Gauge("tallystick_webhook_active", "1 where this process has the role.", registry=registry)

    def measure(self) -> AbstractContextManager[object]:
        """Measure a try."""
        return self._seconds.time()

    def count(self, result: Result) -> None:
        """Count a try."""
        self._tries.labels("delivered" if result.is_delivered else "failed").inc()

    def count_parked(self) -> None:
        """Count a message that is parked."""
        self._parked.inc()

    def show_endpoint(self, webhook_id: str, lag_events: int, held_up: int) -> None:
        """Publish how far an endpoint is."""
        self._lag.labels(webhook_id).set(lag_events)
        self._held_up.labels(webhook_id).set(held_up)

    def forget_endpoint(self, webhook_id: str) -> None:
        """Publish nothing more about an endpoint."""
        for gauge in (self._lag, self._held_up):
            gauge.remove(webhook_id)

    def show_role(self, is_active: bool, disabled: int) -> None:
        """Publish whether this process delivers, and how many endpoints are switched off."""
        self._active.set(is_active)
        self._disabled.set(disabled)
