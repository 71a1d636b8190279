"""The webhook's metrics, and what the controller's parts have in common; made with a registry that is passed in.

Labels are bounded: never job, user or pod. docs/metrics.md is held to them.
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
    generate_latest,
)
from prometheus_client.exposition import CONTENT_TYPE_PLAIN_0_0_4
from prometheus_client.openmetrics import exposition as openmetrics

from artifacts import __version__
from artifacts.scrape import wants_openmetrics
from controller.inject.injection import OUTCOMES

PREFIX = "phjob_artifact"
_LATENCY = (0.0005, 0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 3)
OTHER_OUTCOMES = ("not-asked", "error", "refused")


class WebhookMetrics:
    """What the webhook counts. Series that alerts look at start at 0."""

    def __init__(self, registry: CollectorRegistry, expires_at: Callable[[], float]) -> None:
        prepare(registry, "webhook")
        self.registry = registry
        self.requests = Counter(
            f"{PREFIX}_webhook_requests", "Pods looked at, by what became of them", ["outcome"], registry=registry
        )
        self.seconds = Histogram(
            f"{PREFIX}_webhook_seconds", "Time to answer a request", buckets=_LATENCY, registry=registry
        )
        expiry = Gauge(
            f"{PREFIX}_webhook_certificate_expiry_timestamp_seconds",
            "When the served certificate expires; 0: none is served",
            registry=registry,
        )
        expiry.set_function(expires_at)
        for outcome in (*OUTCOMES, *OTHER_OUTCOMES):
            self.requests.labels(outcome)


def prepare(registry: CollectorRegistry, part: str) -> None:
    """What every part of the controller shows: which it is, and its process."""
    disable_created_metrics()  # type: ignore[no-untyped-call]  # each would be one more series
    ProcessCollector(registry=registry)
    Info(f"{PREFIX}_build", "Always 1", registry=registry).info({"part": part, "version": __version__})


def expose(registry: CollectorRegistry, accept: str) -> tuple[bytes, str]:
    """The text that a scraper is given, and its content type."""
    if wants_openmetrics(accept):
        return openmetrics.generate_latest(registry), openmetrics.CONTENT_TYPE_LATEST  # type: ignore[no-untyped-call]
    return generate_latest(registry), CONTENT_TYPE_PLAIN_0_0_4
