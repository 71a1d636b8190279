"""Fixtures of the tests on a real cluster: clients as administrator, a namespace, and the installed product.

The tests require KUBECONFIG with a cluster for tests; plain `pytest` does not collect this folder. The product is
installed for the first test that uses it and removed at the end. With KEEP set, an existing installation is used and
not removed.
"""

import json
import os
import time
import uuid
from collections.abc import Callable, Generator, Iterator
from pathlib import Path
from typing import Any

import pytest
from kubernetes.client import Configuration

from kube import errors
from kube.client import Client
from kube.config import load_configuration
from kube.objects import Resource, ResourceClient
from tests.e2e import fake_primehub
from tests.e2e.api_client import E2eApiClient, create_api_token, reachable_api
from tests.e2e.diagnosis import diagnose
from tests.e2e.installation import NAMESPACE, ROOT, install, kill_jobs, leftovers, uninstall, write_overlay
from tests.e2e.kubectl import kubectl
from tests.e2e.store import READER_POD, StoreReader, reader_pod
from tests.e2e.system import System
from tests.machine import require

NAMESPACES = Resource("", "v1", "namespaces")
CRDS = Resource("apiextensions.k8s.io", "v1", "customresourcedefinitions")
TIMEOUT_SECONDS = 60.0
TEST_TIMEOUT_SECONDS = 420  # includes the fixtures, which wait for pods
IMAGE = os.environ.get("JOB_IMAGE") or "docker.io/library/python:3.11-slim"
# Namespaces of the product, by the fixture that installs it.
FIXTURE_NAMESPACES = {"system": NAMESPACE, "hub": fake_primehub.NAMESPACE}


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Run the tests first that need a cluster without the product, and set timeouts."""
    items.sort(key=lambda item: "hub" not in getattr(item, "fixturenames", ()))
    for item in items:
        if not item.get_closest_marker("timeout"):
            item.add_marker(pytest.mark.timeout(TEST_TIMEOUT_SECONDS))


@pytest.hookimpl(wrapper=True)
def pytest_runtest_makereport(item: pytest.Item) -> Generator[None, pytest.TestReport, pytest.TestReport]:
    """Add a diagnosis of the cluster to the report of a failed test."""
    report = yield
    for fixture in FIXTURE_NAMESPACES.keys() & getattr(item, "fixturenames", ()):
        if report.failed:
            report.sections.append(("the cluster", diagnose(FIXTURE_NAMESPACES[fixture], report.longreprtext)))
    return report


def wait_until(condition: Callable[[], object], description: str) -> None:
    """Wait until `condition()` is true; fail with the description after a timeout."""
    deadline = time.monotonic() + TIMEOUT_SECONDS
    while not condition():
        assert time.monotonic() < deadline, f"not within {TIMEOUT_SECONDS:g} s: {description}"
        time.sleep(0.05)


def crd(group: str, plural: str, kind: str) -> dict[str, Any]:
    """Return a CRD with a status subresource and without a schema for its fields."""
    schema = {"openAPIV3Schema": {"type": "object", "x-kubernetes-preserve-unknown-fields": True}}
    version = {"served": True, "storage": True, "schema": schema, "subresources": {"status": {}}}
    names = {"plural": plural, "singular": kind.lower(), "kind": kind}
    return {
        "apiVersion": "apiextensions.k8s.io/v1",
        "kind": "CustomResourceDefinition",
        "metadata": {"name": f"{plural}.{group}"},
        "spec": {"group": group, "scope": "Namespaced", "names": names, "versions": [{"name": "v1alpha1", **version}]},
    }


def ensure_crd(client: Client, definition: dict[str, Any]) -> bool:
    """Create the CRD if necessary and wait until it is served. Returns whether it was created."""
    definitions, name = ResourceClient(client, CRDS), definition["metadata"]["name"]
    try:
        definitions.create(definition)
        created = True
    except errors.AlreadyExists:
        created = False
    wait_until(lambda: "Established" in _true_conditions(definitions.get(name)), f"{name} is served")
    return created


def _true_conditions(document: dict[str, Any]) -> list[str]:
    conditions = document.get("status", {}).get("conditions") or []
    return [condition["type"] for condition in conditions if condition["status"] == "True"]


@pytest.fixture(scope="session")
def access() -> Configuration:
    """The cluster of KUBECONFIG."""
    require(os.environ.get("KUBECONFIG"), "KUBECONFIG, naming a cluster for tests")
    return load_configuration()


@pytest.fixture
def admin(access: Configuration) -> Iterator[Client]:
    """A client with the rights of KUBECONFIG."""
    client = Client(access)
    yield client
    client.close()


@pytest.fixture
def namespace(admin: Client) -> Iterator[str]:
    """A new namespace, deleted at the end."""
    name = f"e2e-{uuid.uuid4().hex[:8]}"
    namespaces = ResourceClient(admin, NAMESPACES)
    namespaces.create({"metadata": {"name": name}})
    wait_until(lambda: exists(admin, Resource("", "v1", "serviceaccounts", name), "default"), "a default account")
    yield name
    namespaces.delete(name)


def exists(client: Client, resource: Resource, name: str) -> bool:
    """Whether the object exists."""
    try:
        ResourceClient(client, resource).get(name)
    except errors.NotFound:
        return False
    return True


@pytest.fixture
def phjobs(admin: Client) -> None:
    """Make sure that the CRD of PhJobs exists. It is not deleted, because other tests may use it."""
    ensure_crd(admin, crd("primehub.io", "phjobs", "PhJob"))


@pytest.fixture
def authority(access: Configuration) -> Path:
    """The CA file of the API server."""
    assert access.ssl_ca_cert
    return Path(access.ssl_ca_cert)


@pytest.fixture(scope="session")
def system(access: Configuration, tmp_path_factory: pytest.TempPathFactory) -> Iterator[System]:
    """The installed product, after its first injection has succeeded."""
    keep = os.environ.get("KEEP")
    folder = tmp_path_factory.mktemp("overlay")
    overlay = write_overlay(folder, ROOT / "tests/e2e/overlay", "localhost", os.environ)
    if not keep:
        assert f"namespace/{NAMESPACE}" not in leftovers(), f"the namespace {NAMESPACE} exists: delete it, or set KEEP"
    install(overlay)
    group = NAMESPACE  # service accounts of the namespace are members of this group
    kubectl("-n", NAMESPACE, "apply", "-f", "-", stdin=json.dumps(reader_pod(IMAGE)))
    kubectl("-n", NAMESPACE, "wait", f"pod/{READER_POD}", "--for=condition=Ready", "--timeout=60s", timeout_seconds=70)
    with reachable_api(NAMESPACE) as url:
        api = E2eApiClient(url, create_api_token(NAMESPACE, "phjob-artifacts-admin"))
        system = System(access, overlay, NAMESPACE, IMAGE, group, StoreReader(NAMESPACE, group), api)
        system.wait(system.is_injecting, "a new pod gets a sidecar")
        system.wait(system.store.is_writable_by_all, "PHFS is writable")
        yield system
    if keep:
        return
    kill_jobs(NAMESPACE)
    system.store.clear()
    uninstall(overlay)
    assert leftovers() == []
