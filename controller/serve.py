"""The webhook as a process: its settings, what it knows of the cluster, its server. Its composition root."""

import os
from collections.abc import Mapping

import flask
from prometheus_client import CollectorRegistry

from controller.cluster import ClusterFacts
from controller.metrics import WebhookMetrics
from controller.server import Server
from controller.settings import Settings
from controller.tls import ServedCertificate
from controller.webhook import create_app
from kube.access import load_access
from kube.client import Client


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
