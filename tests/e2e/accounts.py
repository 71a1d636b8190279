"""Creates service accounts on a real cluster, with roles and tokens."""

import uuid
from collections.abc import Sequence
from typing import Any

from kubernetes.client import Configuration

from kube.client import Client
from kube.objects import Resource, ResourceClient

RBAC = ("rbac.authorization.k8s.io", "v1")


def create_service_account(admin: Client, namespace: str, name: str) -> None:
    """Create a service account without rights."""
    ResourceClient(admin, Resource("", "v1", "serviceaccounts", namespace)).create({"metadata": {"name": name}})


def create_token(admin: Client, namespace: str, name: str, audiences: Sequence[str] = ()) -> str:
    """Return a new token of the account. Without audiences, it is for the API server."""
    path = Resource("", "v1", "serviceaccounts", namespace).path(name, "token")
    spec = {"audiences": list(audiences) or None, "expirationSeconds": 600}
    body = {"apiVersion": "authentication.k8s.io/v1", "kind": "TokenRequest", "spec": spec}
    token: str = admin.request("POST", path, body=body)["status"]["token"]
    return token


def grant_role(admin: Client, namespace: str, account: str, rules: list[dict[str, Any]]) -> str:
    """Grant the account `rules` in its namespace. Returns the name of the binding."""
    name = f"{account}-{uuid.uuid4().hex[:6]}"
    ResourceClient(admin, Resource(*RBAC, "roles", namespace)).create({"metadata": {"name": name}, "rules": rules})
    return _bind(
        ResourceClient(admin, Resource(*RBAC, "rolebindings", namespace)), name, "Role", name, (namespace, account)
    )


def bind_cluster_role(admin: Client, namespace: str, account: str, role: str) -> str:
    """Bind the account to a cluster role. Returns the name of the binding, which the caller must delete."""
    bindings = ResourceClient(admin, Resource(*RBAC, "clusterrolebindings"))
    return _bind(bindings, f"{namespace}-{account}", "ClusterRole", role, (namespace, account))


def _bind(bindings: ResourceClient, name: str, kind: str, role: str, account: tuple[str, str]) -> str:
    subject = {"kind": "ServiceAccount", "namespace": account[0], "name": account[1]}
    reference = {"apiGroup": RBAC[0], "kind": kind, "name": role}
    bindings.create({"metadata": {"name": name}, "roleRef": reference, "subjects": [subject]})
    return name


def client_with_token(access: Configuration, token: str) -> Client:
    """Return a client that authenticates only with this token."""
    configuration = Configuration(host=access.host, ssl_ca_cert=access.ssl_ca_cert)
    configuration.api_key["BearerToken"] = f"Bearer {token}"
    return Client(configuration)
