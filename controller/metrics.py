"""The controller's metrics: made once with a registry that is passed in. Labels are bounded: never job, user or pod."""

from collections.abc import Callable

from prometheus_client import CollectorRegistry, Counter, Gauge, Histogram

from controller.inject.injection import OUTCOMES

_LATENCY = (0.0005, 0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 3)
OTHER_OUTCOMES = ("not-asked", "error", "refused")


class WebhookMetrics:
    """What the webhook counts. Series that alerts look at start at 0."""

    def __init__(self, registry: CollectorRegistry, expires_at: Callable[[], float]) -> None:
        self.registry = registry
        self.requests = Counter(
            "phjob_artifact_webhook_requests", "Pods looked at, by what became of them", ["outcome"], registry=registry
        )
        self.seconds = Histogram(
            "phjob_artifact_webhook_seconds", "Time to answer a request", buckets=_LATENCY, registry=registry
        )
        expiry = Gauge(
            "phjob_artifact_webhook_certificate_expiry_timestamp_seconds",
            "When the served certificate expires; 0: none is served",
            registry=registry,
        )
        expiry.set_function(expires_at)
        for outcome in (*OUTCOMES, *OTHER_OUTCOMES):
            self.requests.labels(outcome)
