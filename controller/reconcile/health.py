"""`/healthz`, `/readyz` and `/metrics` over HTTP, from a thread of their own."""

import threading
from collections.abc import Callable
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from socketserver import TCPServer

from prometheus_client import CollectorRegistry

from controller.metrics import expose

_REQUEST_SECONDS = 5.0
_PLAIN = "text/plain; charset=utf-8"

Problem = Callable[[], str]  # what is wrong, or ""


class _Server(ThreadingHTTPServer):
    daemon_threads = True

    def server_bind(self) -> None:
        """Without HTTPServer's look-up of a host name that nothing uses."""
        TCPServer.server_bind(self)


class HealthServer:
    """Serves from construction to `close`. Raises OSError where the port is taken."""

    def __init__(self, address: tuple[str, int], registry: CollectorRegistry, health: Problem, ready: Problem) -> None:
        problems = {"/healthz": health, "/readyz": ready}

        class Handler(BaseHTTPRequestHandler):
            timeout = _REQUEST_SECONDS

            def do_GET(self) -> None:
                path = self.path.partition("?")[0]
                if path == "/metrics":
                    text, kind = expose(registry, self.headers.get("Accept", ""))
                    self._answer(200, kind, text)
                elif path in problems:
                    said = problems[path]()
                    self._answer(503 if said else 200, _PLAIN, f"{said or 'ok'}\n".encode())
                else:
                    self._answer(404, _PLAIN, b"there are /healthz, /readyz and /metrics\n")

            def _answer(self, status: int, kind: str, body: bytes) -> None:
                self.send_response(status)
                self.send_header("Content-Type", kind)
                self.send_header("Content-Length", str(len(body)))
                self.end_headers()
                self.wfile.write(body)

            def log_message(self, format: str, *args: object) -> None:
                """Scrapes and probes are not worth a line each."""

        self._server = _Server(address, Handler)
        self.port = self._server.server_address[1]
        self._thread = threading.Thread(target=self._server.serve_forever, name="health", daemon=True)
        self._thread.start()

    def close(self) -> None:
        """Answer no more."""
        self._server.shutdown()
        self._thread.join()
        self._server.server_close()
