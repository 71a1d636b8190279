"""Service accounts on a real cluster: rights and tokens."""

import uuid
from collections.abc import Sequence
from typing import Any

from kubernetes.client import Configuration

from kube.client import Client
from kube.objects import Resource, ResourceClient

RBAC = ("rbac.authorization.k8s.io", "v1")


def make_account(admin: Client, namespace: str, name: str) -> None:
    ResourceClient(admin, Resource("", "v1", "serviceaccounts", namespace)).create({"metadata": {"name": name}})


def token_of(admin: Client, namespace: str, name: str, audiences: Sequence[str] = ()) -> str:
    """A new token of the account; for the API server itself where no audience is named."""
    path = Resource("", "v1", "serviceaccounts", namespace).path(name, "token")
    spec = {"audiences": list(audiences) or None, "expirationSeconds": 600}
    body = {"apiVersion": "authentication.k8s.io/v1", "kind": "TokenRequest", "spec": spec}
    token: str = admin.request("POST", path, body=body)["status"]["token"]
    return token


def grant(admin: Client, namespace: str, account: str, rules: list[dict[str, Any]]) -> str:
    """Let the account do what `rules` say in its namespace; gives the binding's name."""
    name = f"{account}-{uuid.uuid4().hex[:6]}"
    ResourceClient(admin, Resource(*RBAC, "roles", namespace)).create({"metadata": {"name": name}, "rules": rules})
    return _bind(
        ResourceClient(admin, Resource(*RBAC, "rolebindings", namespace)), name, "Role", name, (namespace, account)
    )


def grant_cluster_role(admin: Client, namespace: str, account: str, role: str) -> str:
    """Let the account do what the cluster's `role` says, everywhere; gives the binding's name, to be removed."""
    bindings = ResourceClient(admin, Resource(*RBAC, "clusterrolebindings"))
    return _bind(bindings, f"{namespace}-{account}", "ClusterRole", role, (namespace, account))


def _bind(bindings: ResourceClient, name: str, kind: str, role: str, account: tuple[str, str]) -> str:
    subject = {"kind": "ServiceAccount", "namespace": account[0], "name": account[1]}
    reference = {"apiGroup": RBAC[0], "kind": kind, "name": role}
    bindings.create({"metadata": {"name": name}, "roleRef": reference, "subjects": [subject]})
    return name


def client_of(access: Configuration, token: str) -> Client:
    """A client that shows that token and nothing else."""
    configuration = Configuration(host=access.host, ssl_ca_cert=access.ssl_ca_cert)
    configuration.api_key["BearerToken"] = f"Bearer {token}"
    return Client(configuration)
