"""The HTTPS server of the webhook: gunicorn with one process, so that `/metrics` is whole, and threads."""

from collections.abc import Callable
from typing import Any

import flask
from gunicorn.app.base import BaseApplication

from artifacts.log import adopt
from controller.tls import ServedCertificate

_GRACE_SECONDS = 10


class Server(BaseApplication):  # type: ignore[misc]
    """Serves what `compose` makes in the worker process. Returns from `run` when told to end (SIGTERM, SIGINT)."""

    def __init__(
        self,
        address: tuple[str, int],
        threads: int,
        folder: str,
        compose: Callable[[ServedCertificate], flask.Flask],
    ) -> None:
        self._address, self._threads, self._folder, self._compose = address, threads, folder, compose
        self._certificate = ServedCertificate(folder)
        super().__init__()

    def load_config(self) -> None:
        host, port = self._address
        settings: dict[str, Any] = {
            "bind": f"{host}:{port}",
            "workers": 1,
            "worker_class": "gthread",
            "threads": self._threads,
            "graceful_timeout": _GRACE_SECONDS,
            "keepalive": 120,  # longer than the API server keeps a connection: whoever closes must not meet a request
            "limit_request_line": 1024,
            "limit_request_fields": 64,
            "proc_name": "phjob-artifacts-webhook",
            "loglevel": "warning",
            "on_starting": lambda _: adopt("gunicorn.error"),
            "control_socket_disable": True,  # nobody is to control it but by signals
            "certfile": self._folder,  # says that it is TLS; what is served comes from the next line
            "ssl_context": lambda _config, _default: self._certificate.context(),
        }
        for name, value in settings.items():
            self.cfg.set(name, value)

    def load(self) -> flask.Flask:
        return self._compose(self._certificate)
