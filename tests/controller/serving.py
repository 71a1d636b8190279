"""The webhook as a process, for tests that speak TLS with it: `python -m tests.controller.serving FOLDER PORT`."""

import logging
import sys

import flask
from prometheus_client import CollectorRegistry

from controller.metrics import WebhookMetrics
from controller.server import Server
from controller.tls import ServedCertificate
from controller.webhook import create_app
from tests.controller.pods import NEW, SETTINGS


def compose(certificate: ServedCertificate) -> flask.Flask:
    metrics = WebhookMetrics(CollectorRegistry(), certificate.expires_at)
    return create_app(SETTINGS, lambda: NEW, metrics, certificate.problem)


if __name__ == "__main__":
    logging.basicConfig(level="WARNING")
    folder, port = sys.argv[1:]
    Server(("127.0.0.1", int(port)), SETTINGS.webhook_threads, folder, compose).run()
