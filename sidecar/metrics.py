"""Live numbers of one sidecar for Prometheus: what it has done and where it stands. No job, user or file names.

The truth about a finished job is its termination summary; these series end with the pod. They are read from the
syncer's own numbers when they are asked for, so nothing else in the sidecar needs prometheus-client.
"""

import threading
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, HTTPServer
from socketserver import TCPServer

from prometheus_client import CollectorRegistry, generate_latest
from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily, InfoMetricFamily, Metric, SummaryMetricFamily
from prometheus_client.exposition import CONTENT_TYPE_LATEST
from prometheus_client.registry import Collector

from artifacts.report import REASONS, STATES, Report
from sidecar.journal import Totals

_POLL_SECONDS = 3600.0  # for a shutdown that never comes: each one would be a wake-up
_REQUEST_SECONDS = 5.0  # a client that says nothing must not hold the one thread that serves


class SidecarCollector(Collector):
    """The series of one job's sidecar."""

    def __init__(self, report: Report, totals: Totals) -> None:
        self._report, self._totals = report, totals

    def collect(self) -> Iterator[Metric]:
        report, totals = self._report, self._totals
        yield _counter(
            "phjob_artifact_copied_files", "Files copied to the store, again ones included.", totals.copied_files
        )
        yield _counter("phjob_artifact_copied_bytes", "Bytes copied to the store.", totals.copied_bytes)
        yield _counter("phjob_artifact_removed_files", "Copies removed from the store.", totals.removed_files)
        yield _counter("phjob_artifact_store_errors", "Operations that the store failed.", totals.store_errors)
        yield SummaryMetricFamily(
            "phjob_artifact_sync_seconds", "Syncs, and the time they took.", totals.syncs, totals.sync_seconds
        )
        yield _gauge("phjob_artifact_last_sync_timestamp_seconds", "When the last sync ended.", totals.last_sync_at)
        yield _gauge("phjob_artifact_collected_files", "Files in the job folder now.", report.collected.files)
        yield _gauge("phjob_artifact_collected_bytes", "Bytes in the job folder now.", report.collected.bytes)
        skipped = GaugeMetricFamily("phjob_artifact_skipped_files", "Files left out now, by reason.", labels=["reason"])
        for reason in REASONS:
            row = report.skipped.get(reason)
            skipped.add_metric([reason], row.files if row else 0)
        yield skipped
        used = GaugeMetricFamily(
            "phjob_artifact_limit_used_ratio", "What was found, of what is allowed.", labels=["limit"]
        )
        used.add_metric(["files"], report.found.files / max(1, report.limit_files))
        used.add_metric(["bytes"], report.found.bytes / max(1, report.limit_bytes))
        yield used
        states = GaugeMetricFamily("phjob_artifact_state", "1 for the state the sync is in.", labels=["state"])
        for state in STATES:
            states.add_metric([state], state == report.state)
        yield states
        yield InfoMetricFamily("phjob_artifact_build", "The sidecar's version.", {"version": report.version})


def _counter(name: str, text: str, value: float) -> Metric:
    return CounterMetricFamily(name, text, value)


def _gauge(name: str, text: str, value: float) -> Metric:
    return GaugeMetricFamily(name, text, value)


class _Server(HTTPServer):
    def server_bind(self) -> None:
        """Without HTTPServer's look-up of a host name that nothing uses: where DNS is slow, SIGTERM would wait."""
        TCPServer.server_bind(self)


def serve_metrics(address: tuple[str, int], report: Report, totals: Totals) -> HTTPServer:
    """Serve /metrics and /healthz from one thread of its own; raises OSError where the port is taken."""
    registry = CollectorRegistry()
    registry.register(SidecarCollector(report, totals))

    class Handler(BaseHTTPRequestHandler):
        timeout = _REQUEST_SECONDS

        def do_GET(self) -> None:
            path = self.path.partition("?")[0]
            if path == "/metrics":
                self._answer(200, CONTENT_TYPE_LATEST, generate_latest(registry))
            elif path == "/healthz":
                self._answer(200, "text/plain; charset=utf-8", b"ok\n")
            else:
                self._answer(404, "text/plain; charset=utf-8", b"there are /metrics and /healthz\n")

        def _answer(self, status: int, kind: str, body: bytes) -> None:
            self.send_response(status)
            self.send_header("Content-Type", kind)
            self.send_header("Content-Length", str(len(body)))
            self.end_headers()
            self.wfile.write(body)

        def log_message(self, format: str, *args: object) -> None:
            """Scrapes are not worth a line each."""

    server = _Server(address, Handler)
    threading.Thread(target=server.serve_forever, args=(_POLL_SECONDS,), name="metrics", daemon=True).start()
    return server
