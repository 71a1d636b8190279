"""The API's Prometheus metrics. Labels have bounded values, never a job, user or file.

A test compares docs/metrics.md with them. Every series without a group starts at 0, so that alerts see the first
increase.
"""

import time
from collections.abc import Callable, Sequence

from prometheus_client import (
    CollectorRegistry,
    Counter,
    Gauge,
    Histogram,
    Info,
    ProcessCollector,
    disable_created_metrics,
)

from api.cleanup.state import LastRun
from api.cleanup.usage import UsageCollector
from api.errors import CODES
from api.store.store import StoreCapacity
from artifacts import __version__

PREFIX = "phjob_artifact"
_REQUEST_BUCKETS = (0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10)
_STORE_BUCKETS = (0.0005, 0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 5, 30)
_DOWNLOAD_KINDS, _DOWNLOAD_RESULTS = ("file", "zip"), ("complete", "aborted", "refused")
_OPERATIONS = ("query", "mutation", "refused")
_CLEANUP_RESULTS = ("success", "failure", "refused")
STORE_OPERATIONS = ("list", "stat", "open", "read", "write", "delete", "remove", "check")


class ApiMetrics:
    """All metrics of the service, registered in `registry`.

    `groups`: maximum number of groups labelled individually. `clock`: UNIX seconds.
    """

    def __init__(self, registry: CollectorRegistry, groups: int = 0, clock: Callable[[], float] = time.time) -> None:
        disable_created_metrics()  # type: ignore[no-untyped-call]  # it would double the number of series
        self.registry = registry
        self._clock, self._oldest_due = clock, 0.0
        self.graphql_seconds = self._histogram(
            "graphql_seconds", "GraphQL request duration in seconds", _REQUEST_BUCKETS, "operation", _OPERATIONS
        )
        self._errors = self._counter(
            "request_errors",
            "Error responses, and GraphQL fields with an error, by code",
            "code",
            (*CODES, "other"),
        )
        self.downloads = Counter(
            f"{PREFIX}_downloads", "Finished downloads by result", ["kind", "result"], registry=registry
        )
        for kind in _DOWNLOAD_KINDS:
            for result in _DOWNLOAD_RESULTS:
                self.downloads.labels(kind, result)
        self.download_bytes = self._counter("download_bytes", "Bytes sent in downloads")
        self.downloads_active = self._gauge("downloads_active", "Downloads in progress")
        self._add_store()
        self._add_cleanup()
        self.usage = UsageCollector(f"{PREFIX}_", groups)
        registry.register(self.usage)
        ProcessCollector(registry=registry)
        Info(f"{PREFIX}_build", "Always 1", registry=registry).info({"part": "api", "version": __version__})

    def count_error(self, code: str) -> None:
        """Count an error response. Unknown codes count as `other`."""
        self._errors.labels(code if code in CODES else "other").inc()

    def set_last_run(self, run: LastRun) -> None:
        """Set the gauges of the last run over all groups."""
        self._cleanup_due.set(run.due)
        self._cleanup_last_run.set(run.ended_at)
        self._cleanup_last_run_seconds.set(run.seconds)
        self._cleanup_blocked.set(run.blocked)
        self._oldest_due = run.oldest_due

    def set_store_capacity(self, capacity: StoreCapacity | None) -> None:
        """Set the gauges of the store's capacity; None sets them to 0."""
        size, available = capacity or (0, 0)
        self._store_size.set(size)
        self._store_available.set(available)

    def _add_store(self) -> None:
        self.store_seconds = self._histogram(
            "store_seconds",
            "Store latency in seconds; for lists, time to the first entry",
            _STORE_BUCKETS,
            "operation",
            STORE_OPERATIONS,
        )
        self.store_errors = self._counter("store_errors", "Failed store operations", "operation", STORE_OPERATIONS)
        self._store_size = self._gauge("store_size_bytes", "Size of the store's file system in bytes; 0 for a bucket")
        self._store_available = self._gauge(
            "store_available_bytes", "Free space of the store's file system in bytes; 0 for a bucket"
        )

    def _add_cleanup(self) -> None:
        self.cleanup_runs = self._counter(
            "cleanup_runs", "Cleanup runs over all groups by result", "result", _CLEANUP_RESULTS
        )
        self.cleanup_removed = self._counter("cleanup_removed", "Job folders removed by the cleanup")
        self.cleanup_freed_bytes = self._counter("cleanup_freed_bytes", "Bytes removed by the cleanup")
        self.cleanup_failed = self._counter(
            "cleanup_failed", "Job folders that the cleanup failed to examine or remove"
        )
        self._cleanup_due = self._gauge("cleanup_due", "Job folders due for removal at the last run over all groups")
        self._cleanup_blocked = self._gauge(
            "cleanup_blocked",
            "Folders that the last run over all groups could not read or remove because their owners closed them",
        )
        oldest = self._gauge(
            "cleanup_oldest_due_age_seconds",
            "How long the oldest artifacts that the last run left have been due, in seconds; 0 if none",
        )
        oldest.set_function(self._oldest_due_age)
        self._cleanup_last_run = self._gauge(
            "cleanup_last_run_timestamp_seconds",
            "End of the last run that examined all groups, successful or not (UNIX time); 0 if never",
        )
        self._cleanup_last_run_seconds = self._gauge(
            "cleanup_last_run_seconds", "Duration of the last run over all groups in seconds"
        )
        self.cleanup_last_success = self._gauge(
            "cleanup_last_success_timestamp_seconds",
            "End of the last successful run over all groups (UNIX time); 0 if never",
        )

    def _oldest_due_age(self) -> float:
        return max(0.0, self._clock() - self._oldest_due) if self._oldest_due else 0.0

    def _counter(self, name: str, text: str, label: str = "", values: Sequence[str] = ()) -> Counter:
        counter = Counter(f"{PREFIX}_{name}", text, [label] if label else [], registry=self.registry)
        for value in values:
            counter.labels(value)
        return counter

    def _gauge(self, name: str, text: str) -> Gauge:
        return Gauge(f"{PREFIX}_{name}", text, registry=self.registry)

    def _histogram(
        self, name: str, text: str, buckets: Sequence[float], label: str, values: Sequence[str]
    ) -> Histogram:
        histogram = Histogram(f"{PREFIX}_{name}", text, [label], buckets=buckets, registry=self.registry)
        for value in values:
            histogram.labels(value)
        return histogram
