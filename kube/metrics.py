"""What the API server's clients measure: how long requests take, which fail, and how old what they watch is.

Made once with a registry that is passed in. A `prefix` begins every name. Series start at 0.
"""

from collections.abc import Callable, Mapping

from prometheus_client import CollectorRegistry, Counter, Gauge, Histogram

from kube.errors import KubeError

METHODS = ("GET", "POST", "PUT", "PATCH", "DELETE", "WATCH")
KINDS = (
    *("Unreachable", "Invalid", "Unauthorized", "Forbidden", "NotFound", "AlreadyExists", "Conflict", "Gone", "Busy"),
    *("ServerFault", "other"),
)
_LATENCY = (0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10, 30)


class KubeMetrics:
    """One for each registry, whatever the number of clients."""

    def __init__(self, registry: CollectorRegistry, prefix: str) -> None:
        self._registry, self._prefix = registry, prefix
        self._seconds = Histogram(
            f"{prefix}_kubernetes_seconds",
            "Time the API server took for a request; of a watch, until it began",
            ["method"],
            buckets=_LATENCY,
            registry=registry,
        )
        self._errors = Counter(
            f"{prefix}_kubernetes_errors", "Requests that the API server did not do", ["kind"], registry=registry
        )
        for method in METHODS:
            self._seconds.labels(method)
        for kind in KINDS:
            self._errors.labels(kind)

    def observe_request(self, method: str, seconds: float, error: KubeError | None) -> None:
        """For a Client to call with each request that has ended."""
        self._seconds.labels(method if method in METHODS else "GET").observe(seconds)
        if error is not None:
            kind = type(error).__name__
            self._errors.labels(kind if kind in KINDS else "other").inc()

    def export_ages(self, ages: Mapping[str, Callable[[], float]]) -> None:
        """Show how many seconds ago each watch heard something, by resource; read when it is asked for."""
        gauge = Gauge(
            f"{self._prefix}_watch_age_seconds",
            "Since the API server last said anything of the resource",
            ["resource"],
            registry=self._registry,
        )
        for resource, age in ages.items():
            gauge.labels(resource).set_function(age)
