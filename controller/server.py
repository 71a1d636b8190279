"""The webhook's HTTPS server: gunicorn with threads in one worker process, so that `/metrics` covers all requests."""

from collections.abc import Callable
from typing import Any

import flask
from gunicorn.app.base import BaseApplication

from artifacts.log import adopt
from controller.tls import ServedCertificate

_GRACEFUL_SECONDS = 10


class WebhookServer(BaseApplication):  # type: ignore[misc]
    """Serves the application that `create_app` creates in the worker process. `run` returns on SIGTERM or SIGINT."""

    def __init__(
        self,
        address: tuple[str, int],
        threads: int,
        folder: str,
        create_app: Callable[[ServedCertificate], flask.Flask],
    ) -> None:
        self._address, self._threads, self._folder, self._create_app = address, threads, folder, create_app
        self._certificate = ServedCertificate(folder)
        super().__init__()

    def load_config(self) -> None:
        """Set gunicorn's configuration (called by gunicorn)."""
        host, port = self._address
        settings: dict[str, Any] = {
            "bind": f"{host}:{port}",
            "workers": 1,
            "worker_class": "gthread",
            "threads": self._threads,
            "graceful_timeout": _GRACEFUL_SECONDS,
            # Longer than the API server keeps idle connections. If we closed first, a request could arrive meanwhile.
            "keepalive": 120,
            "limit_request_line": 1024,
            "limit_request_fields": 64,
            "proc_name": "phjob-artifacts-webhook",
            "loglevel": "warning",
            "on_starting": lambda _: adopt("gunicorn.error"),
            "control_socket_disable": True,  # signals are enough
            "certfile": self._folder,  # only enables TLS; ssl_context loads the certificate
            "ssl_context": lambda _config, _default: self._certificate.context(),
        }
        for name, value in settings.items():
            self.cfg.set(name, value)

    def load(self) -> flask.Flask:
        """Return the application (called by gunicorn in the worker process)."""
        return self._create_app(self._certificate)
