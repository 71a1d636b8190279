"""The reconciler's metrics: made once with a registry that is passed in. Labels are bounded: never job, user or pod."""

from collections.abc import Callable, Mapping

from prometheus_client import CollectorRegistry, Counter, Gauge, Histogram

from artifacts import __version__
from controller.reconcile.artifact import ALL_STATES, NOT_INJECTED, PENDING, Artifact
from controller.reconcile.outcome import NOT_INJECTED_REASONS, Told

_LAG = (0.5, 1, 2, 5, 10, 30, 60, 120, 300, 600)
_WAIT = (0.001, 0.005, 0.01, 0.05, 0.1, 0.5, 1, 5, 30)
RESULTS = ("done", "retry", "error")
ERRORS = ("Unreachable", "Invalid", "Unauthorized", "Forbidden", "NotFound", "Conflict", "Busy", "ServerFault", "other")


class ReconcilerMetrics:
    """What the reconciler counts. Series that alerts look at start at 0."""

    def __init__(self, registry: CollectorRegistry) -> None:
        self.registry = registry
        self._results = Counter(
            "phjob_artifact_results", "Pods by what became of their artifacts", ["state"], registry=registry
        )
        self._files = Counter("phjob_artifact_result_files", "Files that ended pods have left", registry=registry)
        self._bytes = Counter("phjob_artifact_result_bytes", "Bytes that ended pods have left", registry=registry)
        self._over_limit = Counter("phjob_artifact_over_limit", "Pods that passed a limit", registry=registry)
        self._not_injected = Counter(
            "phjob_artifact_not_injected", "Pods without a sidecar, by why", ["reason"], registry=registry
        )
        self._lag = Histogram(
            "phjob_artifact_lag_seconds", "From main's end to the seal", buckets=_LAG, registry=registry
        )
        self.start_failures = Counter(
            "phjob_artifact_sidecar_start_failures", "Pods that their sidecar kept from starting", registry=registry
        )
        self.queue_seconds = Histogram(
            "phjob_artifact_queue_seconds", "How long PhJobs waited to be worked on", buckets=_WAIT, registry=registry
        )
        self.reconciles = Counter(
            "phjob_artifact_reconciles", "PhJobs worked on, by result", ["result"], registry=registry
        )
        self.api_errors = Counter(
            "phjob_artifact_api_errors", "Requests that the API server did not do", ["kind"], registry=registry
        )
        info = Gauge("phjob_artifact_build_info", "Always 1", ["part", "version"], registry=registry)
        info.labels("controller", __version__).set(1)
        self._start_at_zero()

    def _start_at_zero(self) -> None:
        for state in ALL_STATES:
            if state not in PENDING:
                self._results.labels(state)
        for reason in NOT_INJECTED_REASONS:
            self._not_injected.labels(reason)
        for result in RESULTS:
            self.reconciles.labels(result)
        for kind in ERRORS:
            self.api_errors.labels(kind)

    def show(self, name: str, text: str, value: Callable[[], float]) -> None:
        """A gauge that is read when it is asked for."""
        Gauge(name, text, registry=self.registry).set_function(value)

    def show_ages(self, ages: Mapping[str, Callable[[], float]]) -> None:
        """How long ago each watch heard something."""
        gauge = Gauge(
            "phjob_artifact_watch_age_seconds",
            "Since the API server last said anything",
            ["resource"],
            registry=self.registry,
        )
        for resource, age in ages.items():
            gauge.labels(resource).set_function(age)

    def count(self, artifact: Artifact, told: Told) -> None:
        """A pod has come to its end, or goes without a sidecar: once for each."""
        self._results.labels(artifact.state).inc()
        if artifact.state == NOT_INJECTED:
            self._not_injected.labels(artifact.reason).inc()
            return
        self._files.inc(artifact.files)
        self._bytes.inc(artifact.bytes)
        if told.limit_exceeded:
            self._over_limit.inc()
        if told.lag_seconds is not None and artifact.state != "incomplete":
            self._lag.observe(told.lag_seconds)

    def count_error(self, error: Exception) -> None:
        """A request that failed."""
        kind = type(error).__name__
        self.api_errors.labels(kind if kind in ERRORS else "other").inc()
