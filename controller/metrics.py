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
)
from prometheus_client.exposition import choose_encoder

from artifacts import __version__
from controller.inject.injection import OUTCOMES

PREFIX = "phjob_artifact"
_MAX_ACCEPT_LENGTH = 1000  # prometheus_client repeats the version that the header asks for in the content type
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
    """Return the metrics in the format that the header `Accept` asks for, and their content type."""
    if len(accept) > _MAX_ACCEPT_LENGTH or not accept.isprintable():
        accept = ""
    try:
        encode, content_type = choose_encoder(accept)
    except TypeError:  # the version is not a number, as in "application/openmetrics-text;version=x"
        encode, content_type = choose_encoder("")
    return encode(registry), content_type
