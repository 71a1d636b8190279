"""The service in a cluster: jobs, lock and users' tokens are Kubernetes'."""

from dataclasses import dataclass

from kubernetes.client import Configuration
from prometheus_client import CollectorRegistry

from api.auth.kubernetes import KubernetesAuthenticator
from api.auth.tokens import Authenticators, make_authenticators
from api.cleanup.lease_lock import LeaseLock
from api.compose import ApiComponents, compose
from api.jobs.kubernetes import KubernetesJobs
from api.metrics import PREFIX
from api.settings import ApiSettings
from artifacts import __version__
from artifacts.errors import ConfigError
from kube.client import Client
from kube.config import load_configuration, own_namespace
from kube.errors import NotConfigured
from kube.metrics import KubeMetrics


@dataclass(frozen=True)
class Cluster:
    """The parts in a cluster: jobs are watched from `start` to `stop`."""

    parts: ApiComponents
    jobs: KubernetesJobs
    authenticators: Authenticators

    def start(self) -> None:
        """Watch, and clean by schedule."""
        self.jobs.start()
        self.parts.start()

    def stop(self) -> None:
        """End both."""
        self.parts.stop()
        self.jobs.stop()


def find_cluster(settings: ApiSettings) -> tuple[Configuration, str]:
    """Return the access to the cluster and the PhJobs' namespace.

    Raises:
        ConfigError: no cluster is configured.
    """
    try:
        return load_configuration(), settings.namespace or own_namespace()
    except NotConfigured as error:
        raise ConfigError([str(error)]) from error


def compose_cluster(settings: ApiSettings, configuration: Configuration, namespace: str) -> Cluster:
    """The parts over a cluster."""
    agent = f"phjob-artifacts-api/{__version__}"
    client = Client(configuration, agent=agent)
    reviews = Client(configuration, agent=agent)  # its own connections: a flood of tokens must not delay the Lease
    registry = CollectorRegistry()
    metrics = KubeMetrics(registry, PREFIX)
    for each in (client, reviews):
        each.observe(metrics.observe_request)
    jobs = KubernetesJobs(client, namespace)
    metrics.export_ages({"phjobs": lambda: jobs.seconds_since_activity})
    authenticator = KubernetesAuthenticator(reviews, namespace, settings.token_audiences, settings.group_prefix)
    parts = compose(settings, jobs, LeaseLock(client, namespace), registry=registry)
    return Cluster(parts, jobs, make_authenticators(settings, authenticator))
