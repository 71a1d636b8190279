"""Metrics of requests to the API server and of watches.

Create one KubeMetrics for each registry. `prefix` is the beginning of every metric's name. Series start at 0.
"""

from collections.abc import Callable, Mapping

from prometheus_client import CollectorRegistry, Counter, Gauge, Histogram

from kube.errors import KubeError

METHODS = ("GET", "POST", "PUT", "PATCH", "DELETE", "WATCH")
KINDS = (
    *("Unreachable", "Invalid", "Unauthorized", "Forbidden", "NotFound", "AlreadyExists", "Conflict", "Gone", "Busy"),
    *("ServerFault", "other"),
)
_LATENCY_BUCKETS = (0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10, 30)


class KubeMetrics:
    """Metrics for all clients and informers of a process."""

    def __init__(self, registry: CollectorRegistry, prefix: str) -> None:
        self._registry, self._prefix = registry, prefix
        self._seconds = Histogram(
            f"{prefix}_kubernetes_seconds",
            "Latency of requests to the API server in seconds; for watches, the time to the start of the stream",
            ["method"],
            buckets=_LATENCY_BUCKETS,
            registry=registry,
        )
        self._errors = Counter(
            f"{prefix}_kubernetes_errors", "Failed requests to the API server", ["kind"], registry=registry
        )
        for method in METHODS:
            self._seconds.labels(method)
        for kind in KINDS:
            self._errors.labels(kind)

    def observe_request(self, method: str, seconds: float, error: KubeError | None) -> None:
        """Record a request that has ended; to be passed to `Client.observe`."""
        self._seconds.labels(method if method in METHODS else "GET").observe(seconds)
        if error is not None:
            kind = type(error).__name__
            self._errors.labels(kind if kind in KINDS else "other").inc()

    def export_ages(self, ages: Mapping[str, Callable[[], float]]) -> None:
        """Export the seconds since the last activity of each watch, by resource; read at each scrape."""
        gauge = Gauge(
            f"{self._prefix}_watch_age_seconds",
            "Seconds since the API server last sent anything for the resource",
            ["resource"],
            registry=self._registry,
        )
        for resource, age in ages.items():
            gauge.labels(resource).set_function(age)
