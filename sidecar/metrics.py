"""Serves the metrics of one sidecar to Prometheus. No label contains a job, user or file name.

The series end with the pod; the authoritative numbers of a finished job are in its termination summary. The values are
read from the syncer's counters at each scrape, so only this module imports prometheus-client.
"""

from collections.abc import Iterator, Mapping

from prometheus_client import CollectorRegistry
from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily, InfoMetricFamily, Metric, SummaryMetricFamily
from prometheus_client.exposition import choose_encoder
from prometheus_client.registry import Collector

from artifacts.exposition import expose
from artifacts.monitoring_server import PLAIN, MonitoringServer, Response
from artifacts.report import REASONS, STATES, Report
from sidecar.metadata_writer import SyncTotals

_PREFIX = "phjob_artifact_sidecar_"


class SidecarCollector(Collector):
    """Collects the series of one sidecar."""

    def __init__(self, report: Report, totals: SyncTotals) -> None:
        self._report, self._totals = report, totals

    def collect(self) -> Iterator[Metric]:
        """Yield all metric families; called at each scrape."""
        yield InfoMetricFamily("phjob_artifact_build", "Always 1", {"part": "sidecar", "version": self._report.version})
        yield from self._work_metrics()
        yield from self._state_metrics()

    def _work_metrics(self) -> Iterator[Metric]:
        totals = self._totals
        yield _counter(
            "copied_files", "Files copied to the store; a file that is copied again counts again", totals.copied_files
        )
        yield _counter("copied_bytes", "Bytes copied to the store", totals.copied_bytes)
        yield _counter("removed_files", "Copies removed from the store", totals.removed_files)
        yield _counter("store_errors", "Store operations that failed", totals.store_errors)
        yield SummaryMetricFamily(
            f"{_PREFIX}sync_seconds", "Duration of syncs in seconds", totals.syncs, totals.sync_seconds
        )
        help_text = "UNIX time of the end of the last sync; 0 if none has ended"
        yield GaugeMetricFamily(f"{_PREFIX}last_sync_timestamp_seconds", help_text, totals.last_sync_at)

    def _state_metrics(self) -> Iterator[Metric]:
        report = self._report
        yield GaugeMetricFamily(f"{_PREFIX}files", "Files in the job folder", report.collected.files)
        yield GaugeMetricFamily(f"{_PREFIX}bytes", "Bytes in the job folder", report.collected.bytes)
        rows = dict(report.skipped)
        skipped = {reason: rows[reason].files if reason in rows else 0 for reason in REASONS}
        yield _gauges("skipped_files", "Files that are not collected, by reason", "reason", skipped)
        ratios = {
            "files": report.found.files / max(1, report.limit_files),
            "bytes": report.found.bytes / max(1, report.limit_bytes),
        }
        yield _gauges("limit_used_ratio", "Files or bytes found, divided by the limit", "limit", ratios)
        states = {state: float(state == report.state) for state in STATES}
        yield _gauges("state", "1 for the current state of the artifacts, 0 for the others", "state", states)


def _counter(name: str, help_text: str, value: float) -> Metric:
    return CounterMetricFamily(_PREFIX + name, help_text, value)


def _gauges(name: str, help_text: str, label: str, values: Mapping[str, float]) -> Metric:
    family = GaugeMetricFamily(_PREFIX + name, help_text, labels=[label])
    for label_value, value in values.items():
        family.add_metric([label_value], value)
    return family


def serve_metrics(address: tuple[str, int], report: Report, totals: SyncTotals) -> MonitoringServer:
    """Serve /metrics and /healthz in a separate thread. Raises OSError if the port is in use."""
    registry = CollectorRegistry()
    registry.register(SidecarCollector(report, totals))

    def metrics(accept: str) -> Response:
        body, content_type = expose(registry, accept, choose_encoder)
        return 200, content_type, body

    return MonitoringServer(address, {"/metrics": metrics, "/healthz": lambda _: (200, PLAIN, b"ok\n")})
