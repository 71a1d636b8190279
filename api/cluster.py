"""Creates the service for a cluster: jobs, the cleanup lock and users' tokens come from Kubernetes."""

from dataclasses import dataclass, replace

from kubernetes.client import Configuration
from prometheus_client import CollectorRegistry

from api.auth.kubernetes import KubernetesAuthenticator
from api.auth.tokens import Authenticators, make_authenticators
from api.cleanup.lease_lock import LeaseLock
from api.compose import ApiComponents, compose
from api.definitions.kubernetes import KubernetesDefinitions
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
class ClusterApi:
    """The API's components in a cluster. Jobs are watched from `start` to `stop`."""

    components: ApiComponents
    jobs: KubernetesJobs
    authenticators: Authenticators

    def start(self) -> None:
        """Start watching jobs, and the scheduled cleanup."""
        self.jobs.start()
        self.components.start()

    def stop(self) -> None:
        """Stop both."""
        self.components.stop()
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


def compose_cluster(settings: ApiSettings, configuration: Configuration, namespace: str) -> ClusterApi:
    """Create the components for the cluster."""
    agent = f"phjob-artifacts-api/{__version__}"
    client = Client(configuration, agent=agent)
    reviews = Client(configuration, agent=agent)  # its own connections: a flood of tokens must not delay the Lease
    registry = CollectorRegistry()
    metrics = KubeMetrics(registry, PREFIX)
    for observed in (client, reviews):
        observed.observe(metrics.observe_request)
    jobs = KubernetesJobs(client, namespace)
    metrics.export_ages({"phjobs": lambda: jobs.seconds_since_activity})
    authenticator = KubernetesAuthenticator(reviews, namespace, settings.token_audiences, settings.group_prefix)
    components = compose(settings, jobs, LeaseLock(client, namespace), registry=registry)
    services = replace(components.services, definitions=KubernetesDefinitions(client, namespace))
    components = replace(components, services=services)
    return ClusterApi(components, jobs, make_authenticators(settings, authenticator))
