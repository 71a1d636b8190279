"""The reconciler's metrics: made once with a registry that is passed in. Labels are bounded: never job, user or pod.

docs/metrics.md is held to them. Every series but a group's starts at 0, so that alerts see the first increase; a
group's does so when a PhJob of it is first seen.
"""

import threading
from collections.abc import Callable, Mapping

from prometheus_client import CollectorRegistry, Counter, Gauge, Histogram

from artifacts.report import REASONS
from controller.metrics import PREFIX, prepare
from controller.reconcile.counted import OTHER, RESULTS, Counted

_LAG = (0.5, 1, 2, 5, 10, 30, 60, 120, 300, 600)
_GRACE = (0.01, 0.05, 0.1, 0.25, 0.5, 0.75, 0.9, 1)
_WAIT = (0.001, 0.005, 0.01, 0.05, 0.1, 0.5, 1, 5, 30, 120)
WORK_RESULTS = ("done", "retry", "error")


class ReconcilerMetrics:
    """What the reconciler counts. `groups`: most that are told by name; 0: nothing is told by group."""

    def __init__(self, registry: CollectorRegistry, groups: int = 0) -> None:
        prepare(registry, "controller")
        self.registry = registry
        self._results = self._counter("results", "Pods by what became of their artifacts, and why", "state", "reason")
        self._files = self._counter("collected_files", "Files that ended pods have left in the store")
        self._bytes = self._counter("collected_bytes", "Bytes that ended pods have left in the store")
        self._skipped = self._counter("skipped_files", "Files of ended pods that were left out", "reason")
        self._over_limit = self._counter("over_limit", "Ended pods that passed a limit")
        self._lag = self._histogram("lag_seconds", "From main's end to the seal, of pods that were sealed", _LAG)
        self._grace = self._histogram("grace_used_ratio", "What the last sync took of the pod's grace period", _GRACE)
        self.start_failures = self._counter("sidecar_start_failures", "Pods whose sidecar failed to start, or crashed")
        self.queue_seconds = self._histogram("queue_seconds", "How long PhJobs waited to be worked on", _WAIT)
        self.reconciles = self._counter("reconciles", "PhJobs worked on, by result", "result")
        self._groups = _Groups(registry, groups) if groups else None
        self._start_at_zero()

    def _start_at_zero(self) -> None:
        for state, reasons in RESULTS.items():
            for reason in reasons:
                self._results.labels(state, reason)
        for reason in REASONS:
            self._skipped.labels(reason)
        for result in WORK_RESULTS:
            self.reconciles.labels(result)

    def show(self, name: str, text: str, value: Callable[[], float]) -> None:
        """A gauge that is read when it is asked for."""
        Gauge(f"{PREFIX}_{name}", text, registry=self.registry).set_function(value)

    def show_each(self, name: str, text: str, label: str, values: Mapping[str, Callable[[], float]]) -> None:
        """The same with a series for each value of a label."""
        gauge = Gauge(f"{PREFIX}_{name}", text, [label], registry=self.registry)
        for value, read in values.items():
            gauge.labels(value).set_function(read)

    def know_group(self, group: str) -> None:
        """There is a PhJob of this group path: its series begin."""
        if self._groups:
            self._groups.label(group)

    def count(self, counted: Counted) -> None:
        """A pod has come to its end, or goes without a sidecar: once for each."""
        self._results.labels(counted.state, counted.reason).inc()
        self._files.inc(counted.files)
        self._bytes.inc(counted.bytes)
        self._over_limit.inc(counted.over_limit)
        for reason, files in counted.skipped.items():
            self._skipped.labels(reason).inc(files)
        if counted.lag_seconds is not None:
            self._lag.observe(counted.lag_seconds)
        if counted.grace_used is not None:
            self._grace.observe(counted.grace_used)
        if self._groups:
            self._groups.count(counted)

    def _counter(self, name: str, text: str, *labels: str) -> Counter:
        return Counter(f"{PREFIX}_{name}", text, labels, registry=self.registry)

    def _histogram(self, name: str, text: str, buckets: tuple[float, ...]) -> Histogram:
        return Histogram(f"{PREFIX}_{name}", text, buckets=buckets, registry=self.registry)


class _Groups:
    """The series by group, of the first `most` that are seen; of all others together."""

    def __init__(self, registry: CollectorRegistry, most: int) -> None:
        self._most = most
        self._known: set[str] = set()
        self._lock = threading.Lock()

        def counter(name: str, *labels: str) -> Counter:
            text = f"As {name}_total, by group"
            return Counter(f"{PREFIX}_group_{name}", text, ["group", *labels], registry=registry)

        self._results = counter("results", "state")
        self._files, self._bytes = counter("collected_files"), counter("collected_bytes")
        self._over_limit = counter("over_limit")
        self._begin(OTHER)

    def label(self, group: str) -> str:
        """What the group is told as."""
        with self._lock:
            if group not in self._known and len(self._known) < self._most and group != OTHER:
                self._known.add(group)
                self._begin(group)
            return group if group in self._known else OTHER

    def count(self, counted: Counted) -> None:
        group = self.label(counted.group)
        self._results.labels(group, counted.state).inc()
        self._files.labels(group).inc(counted.files)
        self._bytes.labels(group).inc(counted.bytes)
        self._over_limit.labels(group).inc(counted.over_limit)

    def _begin(self, group: str) -> None:
        for state in RESULTS:
            self._results.labels(group, state)
        for each in (self._files, self._bytes, self._over_limit):
            each.labels(group)
