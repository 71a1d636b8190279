"""The webhook's metrics, and what all parts of the controller share. Each is created with a given registry.

Labels are bounded: never a job, user or pod. A test compares docs/metrics.md with these metrics.
"""

from collections.abc import Callable

from prometheus_client import (
    CollectorRegistry,
    Counter,
    Gauge,
    Histogram,
    Info,
    ProcessCollector,
    disable_created_metrics,
)

from artifacts import __version__
from controller.inject.injection import OUTCOMES

PREFIX = "phjob_artifact"
_LATENCY_BUCKETS = (0.0005, 0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 3)
OTHER_OUTCOMES = ("not-asked", "error", "refused")


class WebhookMetrics:
    """The webhook's metrics. Series that alerts use start at 0, so that alerts see the first increase."""

    def __init__(self, registry: CollectorRegistry, expires_at: Callable[[], float]) -> None:
        add_common_metrics(registry, "webhook")
        self.registry = registry
        self.requests = Counter(
            f"{PREFIX}_webhook_requests", "Pods reviewed by the webhook, by outcome", ["outcome"], registry=registry
        )
        self.seconds = Histogram(
            f"{PREFIX}_webhook_seconds",
            "Time to respond to a request in seconds",
            buckets=_LATENCY_BUCKETS,
            registry=registry,
        )
        expiry = Gauge(
            f"{PREFIX}_webhook_certificate_expiry_timestamp_seconds",
            "Time when the served certificate expires; 0 if there is none",
            registry=registry,
        )
        expiry.set_function(expires_at)
        for outcome in (*OUTCOMES, *OTHER_OUTCOMES):
            self.requests.labels(outcome)


def add_common_metrics(registry: CollectorRegistry, part: str) -> None:
    """Register what every part exposes: its name and version, and its process metrics."""
    disable_created_metrics()  # type: ignore[no-untyped-call]  # they would double the number of series
    ProcessCollector(registry=registry)
    Info(f"{PREFIX}_build", "Always 1", registry=registry).info({"part": part, "version": __version__})
