"""Serves `/healthz`, `/readyz` and `/metrics` over HTTP in a thread."""

import threading
from collections.abc import Callable
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from socketserver import TCPServer

from prometheus_client import CollectorRegistry

from controller.metrics import expose

_REQUEST_TIMEOUT_SECONDS = 5.0
_PLAIN = "text/plain; charset=utf-8"

Problem = Callable[[], str]  # returns what is wrong, or ""


class _ThreadingServer(ThreadingHTTPServer):
    daemon_threads = True

    def server_bind(self) -> None:
        """Bind without HTTPServer's lookup of the host name, which nothing uses."""
        TCPServer.server_bind(self)


class HealthServer:
    """Serves from construction to `close`. Raises OSError if the port is in use."""

    def __init__(self, address: tuple[str, int], registry: CollectorRegistry, health: Problem, ready: Problem) -> None:
        problems = {"/healthz": health, "/readyz": ready}

        class HealthHandler(BaseHTTPRequestHandler):
            timeout = _REQUEST_TIMEOUT_SECONDS

            def do_GET(self) -> None:
                path = self.path.partition("?")[0]
                if path == "/metrics":
                    text, content_type = expose(registry, self.headers.get("Accept", ""))
                    self._respond(200, content_type, text)
                elif path in problems:
                    problem = problems[path]()
                    self._respond(503 if problem else 200, _PLAIN, f"{problem or 'ok'}\n".encode())
                else:
                    self._respond(404, _PLAIN, b"not found: use /healthz, /readyz or /metrics\n")

            def _respond(self, status: int, content_type: str, body: bytes) -> None:
                self.send_response(status)
                self.send_header("Content-Type", content_type)
                self.send_header("Content-Length", str(len(body)))
                self.end_headers()
                self.wfile.write(body)

            def log_message(self, format: str, *args: object) -> None:
                """Do not log probes and scrapes."""

        self._server = _ThreadingServer(address, HealthHandler)
        self.port = self._server.server_address[1]
        self._thread = threading.Thread(target=self._server.serve_forever, name="health", daemon=True)
        self._thread.start()

    def close(self) -> None:
        """Stop serving."""
        self._server.shutdown()
        self._thread.join()
        self._server.server_close()
