"""Live numbers of one sidecar for Prometheus: what it has done and where it stands. No job, user or file names.

The truth about a finished job is its termination summary; these series end with the pod. They are read from the
syncer's own numbers when they are asked for, so nothing else in the sidecar needs prometheus-client.
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
from sidecar.journal import Totals

_PREFIX = "phjob_artifact_sidecar_"
_MAX_ACCEPT_LENGTH = 1000  # prometheus_client repeats the version that the header asks for in the content type
_POLL_SECONDS = 3600.0  # for a shutdown that never comes: each one would be a wake-up
_REQUEST_SECONDS = 5.0  # a client that says nothing must not hold the one thread that serves


class SidecarCollector(Collector):
    """The series of one job's sidecar."""

    def __init__(self, report: Report, totals: Totals) -> None:
        self._report, self._totals = report, totals

    def collect(self) -> Iterator[Metric]:
        yield InfoMetricFamily("phjob_artifact_build", "Always 1", {"part": "sidecar", "version": self._report.version})
        yield from self._done()
        yield from self._stands()

    def _done(self) -> Iterator[Metric]:
        totals = self._totals
        yield _counter("copied_files", "Files copied to the store, again ones included", totals.copied_files)
        yield _counter("copied_bytes", "Bytes copied to the store", totals.copied_bytes)
        yield _counter("removed_files", "Copies removed from the store", totals.removed_files)
        yield _counter("store_errors", "Operations that the store failed", totals.store_errors)
        yield SummaryMetricFamily(
            f"{_PREFIX}sync_seconds", "Syncs, and the time they took", totals.syncs, totals.sync_seconds
        )
        last = "When the last sync ended; 0: none yet"
        yield GaugeMetricFamily(f"{_PREFIX}last_sync_timestamp_seconds", last, totals.last_sync_at)

    def _stands(self) -> Iterator[Metric]:
        report = self._report
        yield GaugeMetricFamily(f"{_PREFIX}files", "Files in the job folder now", report.collected.files)
        yield GaugeMetricFamily(f"{_PREFIX}bytes", "Bytes in the job folder now", report.collected.bytes)
        rows = dict(report.skipped)
        left_out = {reason: rows[reason].files if reason in rows else 0 for reason in REASONS}
        yield _gauges("skipped_files", "Files left out now", "reason", left_out)
        used = {
            "files": report.found.files / max(1, report.limit_files),
            "bytes": report.found.bytes / max(1, report.limit_bytes),
        }
        yield _gauges("limit_used_ratio", "What was found, of what is allowed", "limit", used)
        states = {state: float(state == report.state) for state in STATES}
        yield _gauges("state", "1 for the state the sync is in", "state", states)


def _counter(name: str, text: str, value: float) -> Metric:
    return CounterMetricFamily(_PREFIX + name, text, value)


def _gauges(name: str, text: str, label: str, values: Mapping[str, float]) -> Metric:
    family = GaugeMetricFamily(_PREFIX + name, text, labels=[label])
    for value, number in values.items():
        family.add_metric([value], number)
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
                body, content_type = expose(registry, self.headers.get("Accept", ""))
                self._answer(200, content_type, body)
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
