"""The webhook as a process: its settings, what it knows of the cluster, its server. Its composition root."""

import os
from collections.abc import Mapping

import flask
from prometheus_client import CollectorRegistry

from artifacts import __version__
from artifacts.environment import configured_settings
from artifacts.log import get_logger
from controller.cluster import ClusterFacts
from controller.metrics import PREFIX, WebhookMetrics
from controller.server import Server
from controller.settings import DEFAULTS_TABLE, TABLE, Settings
from controller.tls import ServedCertificate
from controller.webhook import create_app
from kube.client import Client
from kube.config import load_configuration
from kube.metrics import KubeMetrics

logger = get_logger(__name__)


def serve_webhook(environ: Mapping[str, str] = os.environ) -> int:
    """Serve until told to end. Raises ConfigError, NotConfigured."""
    settings = Settings.from_env(environ)
    logger.info("starting", version=__version__)
    for name, text in configured_settings(TABLE + DEFAULTS_TABLE, environ):
        logger.info("setting", name=name, value=text)
    configuration = load_configuration()

    def compose(certificate: ServedCertificate) -> flask.Flask:
        """In the process that serves: neither threads nor connections live through a fork."""
        metrics = WebhookMetrics(CollectorRegistry(), certificate.expires_at)
        client = Client(configuration, agent="phjob-artifacts-webhook", max_connections=1)
        client.observe(KubeMetrics(metrics.registry, PREFIX).observe_request)
        facts = ClusterFacts(client)
        facts.start()
        return create_app(settings, facts, metrics, lambda: certificate.problem() or facts.problem())

    Server(settings.webhook_listen, settings.webhook_threads, settings.webhook_certificates, compose).run()
    return 0
