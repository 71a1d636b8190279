"""Composes the webhook's process: settings, cluster version, application and server."""

import os
from collections.abc import Callable, Mapping

import flask
from prometheus_client import CollectorRegistry

from artifacts import __version__
from artifacts.environment import configured_settings
from artifacts.log import get_logger
from controller.injection_pauses import CONFIG_MAP, Pauses, read_pauses
from controller.metrics import PREFIX, WebhookMetrics
from controller.pause_gate import PauseGate
from controller.server import WebhookServer
from controller.settings import DEFAULTS_TABLE, SETTINGS_TABLE, WebhookSettings
from controller.tls import ServedCertificate
from controller.version_poller import ClusterVersionPoller
from controller.webhook import create_app
from kube.client import Client
from kube.config import load_configuration, own_namespace
from kube.errors import NotConfigured
from kube.informer import Informer
from kube.metrics import KubeMetrics
from kube.objects import Resource, ResourceClient

logger = get_logger(__name__)


def serve_webhook(environ: Mapping[str, str] = os.environ) -> int:
    """Serve the webhook until SIGTERM or SIGINT.

    Raises:
        ConfigError: settings are invalid.
        NotConfigured: there is no access to a cluster.
    """
    settings = WebhookSettings.from_env(environ)
    logger.info("starting", version=__version__)
    for name, text in configured_settings(SETTINGS_TABLE + DEFAULTS_TABLE, environ):
        logger.info("setting", name=name, value=text)
    configuration = load_configuration()

    def create_worker_app(certificate: ServedCertificate) -> flask.Flask:
        """Create the application in the worker process: threads and connections do not survive a fork."""
        metrics = WebhookMetrics(CollectorRegistry(), certificate.expires_at)
        client = Client(configuration, agent="phjob-artifacts-webhook", max_connections=1)
        client.observe(KubeMetrics(metrics.registry, PREFIX).observe_request)
        poller = ClusterVersionPoller(client)
        poller.start()
        gate = PauseGate(_watched_pauses(client))
        return create_app(settings, poller, metrics, lambda: certificate.problem() or poller.problem(), gate.may_inject)

    WebhookServer(
        settings.webhook_listen, settings.webhook_threads, settings.webhook_certificates, create_worker_app
    ).run()
    return 0


def _watched_pauses(client: Client) -> Callable[[], Pauses]:
    """Watch the ConfigMap in the pod's own namespace. Until it has been read, injection is on."""
    try:
        namespace = own_namespace()
    except NotConfigured:
        return dict
    config_maps = ResourceClient(client, Resource("", "v1", "configmaps", namespace))
    informer = Informer(config_maps, read_pauses, selectors={"fieldSelector": f"metadata.name={CONFIG_MAP}"})
    informer.start()
    return lambda: informer.objects.get(f"{namespace}/{CONFIG_MAP}") or {}
