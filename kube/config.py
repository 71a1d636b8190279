"""Finds the cluster and the credentials, as the `kubernetes` package reads them."""

import os
from pathlib import Path

from kubernetes import config
from kubernetes.client import Configuration

from kube.errors import NotConfigured

NAMESPACE_FILE = Path("/var/run/secrets/kubernetes.io/serviceaccount/namespace")


def load_configuration() -> Configuration:
    """Load the cluster of KUBECONFIG, or the pod's service account if KUBECONFIG is not set.

    Raises:
        NotConfigured: neither exists, or it cannot be used.
    """
    configuration = Configuration()
    path = os.environ.get("KUBECONFIG")
    try:
        if path:
            config.load_kube_config(path, client_configuration=configuration, persist_config=False)
        else:
            config.load_incluster_config(configuration)
    except Exception as error:  # the package's parsers and plugins raise errors of any kind
        problem = f"{type(error).__name__}: {error}"
        if path:
            raise NotConfigured(f"KUBECONFIG={path} cannot be used: {problem}") from error
        raise NotConfigured(
            f"no cluster is configured ({problem}): run in a pod that mounts its service account, or set KUBECONFIG"
        ) from error
    return configuration


def own_namespace(file: Path = NAMESPACE_FILE) -> str:
    """Return the namespace of this pod.

    Raises:
        NotConfigured: this process is not in a pod that mounts its service account.
    """
    try:
        namespace = file.read_text("ascii").strip()
    except (OSError, UnicodeDecodeError) as error:
        raise NotConfigured(f"{file} cannot be read: the pod must mount its service account") from error
    if not namespace:
        raise NotConfigured(f"{file} is empty: the pod must mount its service account")
    return namespace
