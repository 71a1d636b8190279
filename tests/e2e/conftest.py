"""What the tests on a real cluster share: its API server as an administrator, a namespace of their own, the product.

They run where KUBECONFIG names a cluster that may be used so; plain `pytest` leaves this folder alone. The product is
installed when the first test asks for it, and removed at the end. With KEEP set one that is there is used, and stays.
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
from tests.e2e import hub
from tests.e2e.diagnosis import diagnose
from tests.e2e.installation import NAMESPACE, ROOT, end_jobs, install, leftovers, remove, write_overlay
from tests.e2e.kubectl import kubectl
from tests.e2e.service import Service, make_token, reach
from tests.e2e.store import READER, Store, reader
from tests.e2e.system import System
from tests.machine import require

NAMESPACES = Resource("", "v1", "namespaces")
CRDS = Resource("apiextensions.k8s.io", "v1", "customresourcedefinitions")
PATIENCE_SECONDS = 60.0
TEST_SECONDS = 420  # a test's own time, its fixtures' included: pods take theirs
IMAGE = os.environ.get("JOB_IMAGE") or "docker.io/library/python:3.11-slim"
NAMESPACES_OF = {"system": NAMESPACE, "hub": hub.NAMESPACE}  # by the fixture that installs the product there


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Those first that need a cluster without the product."""
    items.sort(key=lambda item: "hub" not in getattr(item, "fixturenames", ()))
    for item in items:
        if not item.get_closest_marker("timeout"):
            item.add_marker(pytest.mark.timeout(TEST_SECONDS))


@pytest.hookimpl(wrapper=True)
def pytest_runtest_makereport(item: pytest.Item) -> Generator[None, pytest.TestReport, pytest.TestReport]:
    """What the cluster looks like when a test fails goes into its report."""
    report = yield
    for fixture in NAMESPACES_OF.keys() & getattr(item, "fixturenames", ()):
        if report.failed:
            report.sections.append(("the cluster", diagnose(NAMESPACES_OF[fixture], report.longreprtext)))
    return report


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
    definitions, name = ResourceClient(client, CRDS), definition["metadata"]["name"]
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
def access() -> Configuration:
    require(os.environ.get("KUBECONFIG"), "KUBECONFIG, naming a cluster for tests")
    return load_configuration()


@pytest.fixture
def admin(access: Configuration) -> Iterator[Client]:
    client = Client(access)
    yield client
    client.close()


@pytest.fixture
def namespace(admin: Client) -> Iterator[str]:
    """A new namespace, removed at the end with all in it."""
    name = f"e2e-{uuid.uuid4().hex[:8]}"
    namespaces = ResourceClient(admin, NAMESPACES)
    namespaces.create({"metadata": {"name": name}})
    until(lambda: exists(admin, Resource("", "v1", "serviceaccounts", name), "default"), "a default account")
    yield name
    namespaces.delete(name)


def exists(client: Client, resource: Resource, name: str) -> bool:
    try:
        ResourceClient(client, resource).get(name)
    except errors.NotFound:
        return False
    return True


@pytest.fixture
def phjobs(admin: Client) -> None:
    """PhJobs are served. They stay so: others may use them."""
    establish(admin, crd("primehub.io", "phjobs", "PhJob"))


@pytest.fixture
def authority(access: Configuration) -> Path:
    """The file that the API server's certificate is checked against."""
    assert access.ssl_ca_cert
    return Path(access.ssl_ca_cert)


@pytest.fixture(scope="session")
def system(access: Configuration, tmp_path_factory: pytest.TempPathFactory) -> Iterator[System]:
    """The product, installed and working."""
    keep = os.environ.get("KEEP")
    folder = tmp_path_factory.mktemp("overlay")
    overlay = write_overlay(folder, ROOT / "tests/e2e/overlay", "localhost", os.environ)
    if not keep:
        assert f"namespace/{NAMESPACE}" not in leftovers(), f"there is a namespace {NAMESPACE}: remove it, or set KEEP"
    install(overlay)
    group = NAMESPACE  # so its service accounts are members
    kubectl("-n", NAMESPACE, "apply", "-f", "-", given=json.dumps(reader(IMAGE)))
    kubectl("-n", NAMESPACE, "wait", f"pod/{READER}", "--for=condition=Ready", "--timeout=60s", seconds=70)
    with reach(NAMESPACE) as url:
        service = Service(url, make_token(NAMESPACE, "phjob-artifacts-admin"))
        system = System(access, overlay, NAMESPACE, IMAGE, group, Store(NAMESPACE, group), service)
        system.wait(system.injects, "a pod gets its sidecar")
        system.wait(system.store.is_open_to_all, "PHFS may be written to")
        yield system
    if keep:
        return
    end_jobs(NAMESPACE)
    system.store.empty()
    remove(overlay)
    assert leftovers() == []
