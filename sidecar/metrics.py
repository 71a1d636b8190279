"""Serves the metrics of one sidecar to Prometheus. No label contains a job, user or file name.

The series end with the pod; the authoritative numbers of a finished job are in its termination summary. The values are
read from the syncer's counters at each scrape, so only this module imports prometheus-client.
"""

import threading
from collections.abc import Iterator, Mapping
from http.server import BaseHTTPRequestHandler, HTTPServer
from socketserver import TCPServer

from prometheus_client import CollectorRegistry
from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily, InfoMetricFamily, Metric, SummaryMetricFamily
from prometheus_client.exposition import choose_encoder
from prometheus_client.registry import Collector

from artifacts.report import REASONS, STATES, Report
from sidecar.metadata_writer import SyncTotals

_PREFIX = "phjob_artifact_sidecar_"
_MAX_ACCEPT_LENGTH = 1000  # prometheus_client repeats the version that the header asks for in the content type
_POLL_SECONDS = 3600.0  # the server is never shut down, so each poll would only wake the CPU
_REQUEST_TIMEOUT_SECONDS = 5.0  # a silent client must not block the only thread


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


def expose(registry: CollectorRegistry, accept: str) -> tuple[bytes, str]:
    """Return the metrics in the format that the header `Accept` asks for, and their content type."""
    if len(accept) > _MAX_ACCEPT_LENGTH or not accept.isprintable():
        accept = ""
    try:
        encode, content_type = choose_encoder(accept)
    except TypeError:  # the version is not a number, as in "application/openmetrics-text;version=x"
        encode, content_type = choose_encoder("")
    return encode(registry), content_type


class _MetricsServer(HTTPServer):
    def server_bind(self) -> None:
        """Bind without HTTPServer's reverse DNS lookup, whose result is not used: slow DNS would delay the exit."""
        TCPServer.server_bind(self)


def serve_metrics(address: tuple[str, int], report: Report, totals: SyncTotals) -> HTTPServer:
    """Serve /metrics and /healthz in a separate thread. Raises OSError if the port is in use."""
    registry = CollectorRegistry()
    registry.register(SidecarCollector(report, totals))

    class MetricsHandler(BaseHTTPRequestHandler):
        timeout = _REQUEST_TIMEOUT_SECONDS

        def do_GET(self) -> None:
            path = self.path.partition("?")[0]
            if path == "/metrics":
                body, content_type = expose(registry, self.headers.get("Accept", ""))
                self._respond(200, content_type, body)
            elif path == "/healthz":
                self._respond(200, "text/plain; charset=utf-8", b"ok\n")
            else:
                self._respond(404, "text/plain; charset=utf-8", b"not found; use /metrics or /healthz\n")

        def _respond(self, status: int, content_type: str, body: bytes) -> None:
            self.send_response(status)
            self.send_header("Content-Type", content_type)
            self.send_header("Content-Length", str(len(body)))
            self.end_headers()
            self.wfile.write(body)

        def log_message(self, format: str, *args: object) -> None:
            """Do not log scrapes."""

    server = _MetricsServer(address, MetricsHandler)
    threading.Thread(target=server.serve_forever, args=(_POLL_SECONDS,), name="metrics", daemon=True).start()
    return server
