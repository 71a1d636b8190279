"""The webhook as a process: its settings, what it knows of the cluster, its server. Its composition root.

It asks the API server for nothing but its version, in a thread of its own: no pod waits for that.
"""

import logging
import os
import threading
from collections.abc import Mapping

import flask
from prometheus_client import CollectorRegistry

from controller.inject.facts import Facts, parse_version
from controller.metrics import WebhookMetrics
from controller.server import Server
from controller.settings import Settings
from controller.tls import ServedCertificate
from controller.webhook import create_app
from kube.access import load_access
from kube.client import Client
from kube.errors import KubeError

logger = logging.getLogger(__name__)

_AGAIN_SECONDS, _FRESH_SECONDS = 2.0, 600.0


class ClusterFacts:
    """What is known of the cluster, looked up again and again from `start` on."""

    def __init__(self, client: Client) -> None:
        self._client = client
        self._facts = Facts(None)
        self._thread = threading.Thread(target=self._run, name="facts", daemon=True)

    def start(self) -> None:
        self._thread.start()

    def __call__(self) -> Facts:
        return self._facts

    def problem(self) -> str:
        """Why no pod can be judged yet, or ""."""
        return "" if self._facts.version else "the API server's version is not known yet"

    def _run(self) -> None:
        pause = threading.Event()
        while True:
            pause.wait(_FRESH_SECONDS if self._look() else _AGAIN_SECONDS)

    def _look(self) -> bool:
        try:
            version = parse_version(self._client.request("GET", "/version"))
        except KubeError as error:
            logger.warning("version not known error=%s", error)
            return False
        if version:
            self._facts = Facts(version)
        return bool(version)


def serve_webhook(environ: Mapping[str, str] = os.environ) -> int:
    """Serve until told to end. Raises ConfigError, NotConfigured."""
    settings = Settings.from_env(environ)
    access = load_access(environ)

    def compose(certificate: ServedCertificate) -> flask.Flask:
        """In the process that serves: neither threads nor connections live through a fork."""
        facts = ClusterFacts(Client(access, agent="phjob-artifacts-webhook", connections=1))
        facts.start()
        metrics = WebhookMetrics(CollectorRegistry(), certificate.expires_at)
        return create_app(settings, facts, metrics, lambda: certificate.problem() or facts.problem())

    Server(settings.webhook_listen, settings.webhook_threads, settings.webhook_certificates, compose).run()
    return 0
