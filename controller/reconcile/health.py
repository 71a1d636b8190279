"""Serves `/healthz`, `/readyz` and `/metrics` of the reconciler."""

from collections.abc import Callable

from prometheus_client import CollectorRegistry
from prometheus_client.exposition import choose_encoder

from artifacts.exposition import expose
from artifacts.monitoring_server import PLAIN, Handler, MonitoringServer, Response

Problem = Callable[[], str]  # returns what is wrong, or ""


def serve_health(
    address: tuple[str, int], registry: CollectorRegistry, health: Problem, ready: Problem
) -> MonitoringServer:
    """Serve from now to the server's `close`. Raises OSError if the port is in use."""

    def metrics(accept: str) -> Response:
        body, content_type = expose(registry, accept, choose_encoder)
        return 200, content_type, body

    return MonitoringServer(address, {"/healthz": _report(health), "/readyz": _report(ready), "/metrics": metrics})


def _report(find_problem: Problem) -> Handler:
    def respond(_accept: str) -> Response:
        problem = find_problem()
        return 503 if problem else 200, PLAIN, f"{problem or 'ok'}\n".encode()

    return respond
