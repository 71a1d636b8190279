"""The webhook as a process, for tests over TLS: `python -m tests.controller.webhook_process FOLDER PORT`."""

import logging
import sys

import flask
from prometheus_client import CollectorRegistry

from controller.metrics import WebhookMetrics
from controller.server import WebhookServer
from controller.tls import ServedCertificate
from controller.webhook import create_app
from tests.controller.pod_samples import NEW, SETTINGS


def create_worker_app(certificate: ServedCertificate) -> flask.Flask:
    metrics = WebhookMetrics(CollectorRegistry(), certificate.expires_at)
    return create_app(SETTINGS, lambda: NEW, metrics, certificate.problem, lambda _: True)


if __name__ == "__main__":
    logging.basicConfig(level="WARNING")
    folder, port = sys.argv[1:]
    WebhookServer(("127.0.0.1", int(port)), SETTINGS.webhook_threads, folder, create_worker_app).run()
