"""What the tests on a real cluster share: its API server as an administrator, and a namespace of their own.

They run where KUBECONFIG names a cluster that may be used so; plain `pytest` leaves this folder alone.
"""

import os
import time
import uuid
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from kube import errors
from kube.access import Access, load_access
from kube.client import Client
from kube.objects import Objects, Resource
from tests.machine import require

NAMESPACES = Resource("", "v1", "namespaces")
CRDS = Resource("apiextensions.k8s.io", "v1", "customresourcedefinitions")
PATIENCE_SECONDS = 60.0


def until(holds: Callable[[], object], what: str) -> None:
    """Return once `holds()`; fail, naming `what`, when it does not in good time."""
    deadline = time.monotonic() + PATIENCE_SECONDS
    while not holds():
        assert time.monotonic() < deadline, f"not within {PATIENCE_SECONDS:g} s: {what}"
        time.sleep(0.05)


def crd(group: str, plural: str, kind: str) -> dict[str, Any]:
    """A resource with a status of its own that takes any field."""
    schema = {"openAPIV3Schema": {"type": "object", "x-kubernetes-preserve-unknown-fields": True}}
    version = {"served": True, "storage": True, "schema": schema, "subresources": {"status": {}}}
    names = {"plural": plural, "singular": kind.lower(), "kind": kind}
    return {
        "apiVersion": "apiextensions.k8s.io/v1",
        "kind": "CustomResourceDefinition",
        "metadata": {"name": f"{plural}.{group}"},
        "spec": {"group": group, "scope": "Namespaced", "names": names, "versions": [{"name": "v1alpha1", **version}]},
    }


def establish(client: Client, definition: dict[str, Any]) -> bool:
    """Have the resource served; tells whether it was made for that."""
    definitions, name = Objects(client, CRDS), definition["metadata"]["name"]
    try:
        definitions.create(definition)
        made = True
    except errors.AlreadyExists:
        made = False
    until(lambda: "Established" in _true_conditions(definitions.get(name)), f"{name} is served")
    return made


def _true_conditions(document: dict[str, Any]) -> list[str]:
    conditions = document.get("status", {}).get("conditions") or []
    return [each["type"] for each in conditions if each["status"] == "True"]


@pytest.fixture(scope="session")
def access() -> Access:
    require(os.environ.get("KUBECONFIG"), "KUBECONFIG, naming a cluster for tests")
    return load_access(os.environ)


@pytest.fixture
def admin(access: Access) -> Iterator[Client]:
    client = Client(access)
    yield client
    client.close()


@pytest.fixture
def namespace(admin: Client) -> Iterator[str]:
    """A new namespace, removed at the end with all in it."""
    name = f"e2e-{uuid.uuid4().hex[:8]}"
    namespaces = Objects(admin, NAMESPACES)
    namespaces.create({"metadata": {"name": name}})
    yield name
    namespaces.delete(name)


@pytest.fixture
def phjobs(admin: Client) -> None:
    """PhJobs are served. They stay so: others may use them."""
    establish(admin, crd("primehub.io", "phjobs", "PhJob"))


@pytest.fixture
def authority(access: Access) -> Path:
    """The file that the API server's certificate is checked against."""
    assert access.ca_file
    return Path(access.ca_file)
