"""The API's metrics: made once with a registry that is passed in. Labels are bounded: never job, user or file."""

from prometheus_client import CollectorRegistry, Counter, Gauge, Histogram

from artifacts import __version__

_LATENCY = (0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10)
_OPERATIONS = ("query", "mutation", "refused")
_CLEANUP_RESULTS = ("success", "failure", "refused")


class Metrics:
    """Every metric that the service has, by what it counts. Series that alerts look at start at 0."""

    def __init__(self, registry: CollectorRegistry) -> None:
        self.registry = registry
        self.graphql_seconds = Histogram(
            "phjob_artifact_graphql_seconds",
            "Time to answer a GraphQL request",
            ["operation"],
            buckets=_LATENCY,
            registry=registry,
        )
        self.downloads = Counter("phjob_artifact_downloads", "Downloads by end", ["kind", "result"], registry=registry)
        self.download_bytes = Counter("phjob_artifact_download_bytes", "Bytes sent by downloads", registry=registry)
        self.downloads_active = Gauge("phjob_artifact_downloads_active", "Downloads under way", registry=registry)
        self.store_errors = Counter("phjob_artifact_store_errors", "Requests that the store failed", registry=registry)
        self.cleanup_due = Gauge("phjob_artifact_cleanup_due", "Job folders due at the last plan", registry=registry)
        self.cleanup_removed = Counter("phjob_artifact_cleanup_removed", "Job folders removed", registry=registry)
        self.cleanup_freed_bytes = Counter("phjob_artifact_cleanup_freed_bytes", "Bytes removed", registry=registry)
        self.cleanup_failed = Counter(
            "phjob_artifact_cleanup_failed", "Job folders that could not be removed", registry=registry
        )
        self.cleanup_runs = Counter("phjob_artifact_cleanup_runs", "Runs by result", ["result"], registry=registry)
        self.cleanup_last_success = Gauge(
            "phjob_artifact_cleanup_last_success_timestamp_seconds", "End of the last good run", registry=registry
        )
        info = Gauge("phjob_artifact_build_info", "Always 1", ["part", "version"], registry=registry)
        info.labels("api", __version__).set(1)
        for operation in _OPERATIONS:
            self.graphql_seconds.labels(operation)
        for kind in ("file", "zip"):
            for result in ("complete", "aborted", "refused"):
                self.downloads.labels(kind, result)
        for result in _CLEANUP_RESULTS:
            self.cleanup_runs.labels(result)
