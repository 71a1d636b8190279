"""The reconciler's metrics, created once with a given registry. Labels are bounded: never a job, user or pod.

A test compares docs/metrics.md with these metrics. Every series starts at 0, so that alerts see the first increase; the
series of a group start when its first PhJob is seen.
"""

import threading
from collections.abc import Callable, Mapping

from prometheus_client import CollectorRegistry, Counter, Gauge, Histogram

from artifacts.report import REASONS
from controller.metrics import PREFIX, add_common_metrics
from controller.reconcile.pod_metrics import OTHER, RESULTS, PodMetrics

_LAG_BUCKETS = (0.5, 1, 2, 5, 10, 30, 60, 120, 300, 600)
_GRACE_BUCKETS = (0.01, 0.05, 0.1, 0.25, 0.5, 0.75, 0.9, 1)
_WAIT_BUCKETS = (0.001, 0.005, 0.01, 0.05, 0.1, 0.5, 1, 5, 30, 120)
RECONCILE_RESULTS = ("done", "retry", "error")


class ReconcilerMetrics:
    """The reconciler's metrics. At most `max_groups` groups get a label of their own; 0 disables metrics by group."""

    def __init__(self, registry: CollectorRegistry, max_groups: int = 0) -> None:
        add_common_metrics(registry, "controller")
        self.registry = registry
        self._results = self._counter("results", "Pods by the outcome of their artifacts", "state", "reason")
        self._files = self._counter("collected_files", "Files in the store from pods that have ended")
        self._bytes = self._counter("collected_bytes", "Bytes in the store from pods that have ended")
        self._skipped = self._counter("skipped_files", "Files left out, of pods that have ended", "reason")
        self._over_limit = self._counter("over_limit", "Pods that have ended and exceeded a limit")
        self._lag = self._histogram(
            "lag_seconds", "Time from main's end to the seal in seconds, of sealed pods", _LAG_BUCKETS
        )
        self._grace_used = self._histogram(
            "grace_used_ratio", "Share of the pod's grace period that the last sync took", _GRACE_BUCKETS
        )
        self.start_failures = self._counter(
            "sidecar_start_failures", "Pods whose sidecar failed to start, crashed, or was changed by another webhook"
        )
        self.queue_seconds = self._histogram(
            "queue_seconds", "Time that PhJobs waited in the queue in seconds", _WAIT_BUCKETS
        )
        self.reconciles = self._counter("reconciles", "Reconciliations of PhJobs, by result", "result")
        self._groups = _GroupMetrics(registry, max_groups) if max_groups else None
        self._start_at_zero()

    def _start_at_zero(self) -> None:
        for state, reasons in RESULTS.items():
            for reason in reasons:
                self._results.labels(state, reason)
        for reason in REASONS:
            self._skipped.labels(reason)
        for result in RECONCILE_RESULTS:
            self.reconciles.labels(result)

    def add_gauge(self, name: str, text: str, value: Callable[[], float]) -> None:
        """Add a gauge whose value is computed for every scrape."""
        Gauge(f"{PREFIX}_{name}", text, registry=self.registry).set_function(value)

    def add_labelled_gauge(self, name: str, text: str, label: str, values: Mapping[str, Callable[[], float]]) -> None:
        """Add such a gauge with one series for each value of a label."""
        gauge = Gauge(f"{PREFIX}_{name}", text, [label], registry=self.registry)
        for value, function in values.items():
            gauge.labels(value).set_function(function)

    def add_group(self, group: str) -> None:
        """Start the series of a group path."""
        if self._groups:
            self._groups.label(group)

    def count(self, pod: PodMetrics) -> None:
        """Count a pod. Call it once for each pod."""
        self._results.labels(pod.state, pod.reason).inc()
        self._files.inc(pod.files)
        self._bytes.inc(pod.bytes)
        self._over_limit.inc(pod.over_limit)
        for reason, files in pod.skipped.items():
            self._skipped.labels(reason).inc(files)
        if pod.lag_seconds is not None:
            self._lag.observe(pod.lag_seconds)
        if pod.grace_used is not None:
            self._grace_used.observe(pod.grace_used)
        if self._groups:
            self._groups.count(pod)

    def _counter(self, name: str, text: str, *labels: str) -> Counter:
        return Counter(f"{PREFIX}_{name}", text, labels, registry=self.registry)

    def _histogram(self, name: str, text: str, buckets: tuple[float, ...]) -> Histogram:
        return Histogram(f"{PREFIX}_{name}", text, buckets=buckets, registry=self.registry)


class _GroupMetrics:
    """The series by group: the first `max_groups` groups have their own, all others share the label "other"."""

    def __init__(self, registry: CollectorRegistry, max_groups: int) -> None:
        self._max_groups = max_groups
        self._labelled: set[str] = set()
        self._lock = threading.Lock()

        def counter(name: str, *labels: str) -> Counter:
            text = f"As {name}_total, by group"
            return Counter(f"{PREFIX}_group_{name}", text, ["group", *labels], registry=registry)

        self._results = counter("results", "state")
        self._files, self._bytes = counter("collected_files"), counter("collected_bytes")
        self._over_limit = counter("over_limit")
        self._start_at_zero(OTHER)

    def label(self, group: str) -> str:
        """Return the label for a group path, and start its series if the group is new."""
        with self._lock:
            if group not in self._labelled and len(self._labelled) < self._max_groups and group != OTHER:
                self._labelled.add(group)
                self._start_at_zero(group)
            return group if group in self._labelled else OTHER

    def count(self, pod: PodMetrics) -> None:
        """Count a pod for its group."""
        group = self.label(pod.group)
        self._results.labels(group, pod.state).inc()
        self._files.labels(group).inc(pod.files)
        self._bytes.labels(group).inc(pod.bytes)
        self._over_limit.labels(group).inc(pod.over_limit)

    def _start_at_zero(self, group: str) -> None:
        for state in RESULTS:
            self._results.labels(group, state)
        for counter in (self._files, self._bytes, self._over_limit):
            counter.labels(group)
