"""Beside a PrimeHub, whose controller runs the PhJobs: the product adds its sidecar, notes what became of artifacts on
PhJobs whose status it leaves alone, serves them from the bucket, and goes without taking anything of PrimeHub's along.

Runs before the product is installed for the other tests: there is one in a cluster.
"""

import json
import os
from collections.abc import Iterator
from pathlib import Path

import pytest
from kubernetes.client import Configuration

from kube.client import Client
from kube.objects import Resource
from tests.e2e import hub as primehub
from tests.e2e.conftest import CRDS, IMAGE, NAMESPACES, crd, establish
from tests.e2e.hub import NAMESPACE
from tests.e2e.installation import ROOT, install, leftovers, remove, write_overlay
from tests.e2e.kubectl import kubectl
from tests.e2e.service import Service, make_token, reach
from tests.e2e.store import READER, Store, reader
from tests.e2e.system import PENDING, System
from tests.machine import require

LEAVE = "mkdir -p artifacts/sub; echo kept > artifacts/f; echo $PHJOB_ARTIFACT_ENABLED > artifacts/sub/enabled"
FILES = {"f": "kept\n", "sub/enabled": "false\n"}
PHJOBS = "customresourcedefinition.apiextensions.k8s.io/phjobs.primehub.io"


@pytest.fixture(scope="module")
def overlay(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("primehub")
    return write_overlay(folder, ROOT / "tests/e2e/primehub", "registry.example.com", os.environ)


@pytest.fixture(scope="module")
def hub(access: Configuration, overlay: Path) -> Iterator[System]:
    """The product beside PrimeHub, installed and working."""
    s3_image = os.environ.get("S3_IMAGE", "")
    require(s3_image, "S3_IMAGE, an image of an S3 server: make e2e-images")
    require(not leftovers(), f"a cluster without the product: there is {', '.join(leftovers())}")
    admin = Client(access)
    establish(admin, crd("primehub.io", "phjobs", "PhJob"))
    try:
        with primehub.given(admin, s3_image):
            yield from installed(access, overlay)
    finally:
        kubectl("delete", PHJOBS)
        admin.close()
    assert leftovers() == []


def installed(access: Configuration, overlay: Path) -> Iterator[System]:
    install(overlay, NAMESPACE)
    kubectl("-n", NAMESPACE, "apply", "-f", "-", given=json.dumps(reader(IMAGE, primehub.CLAIM)))
    kubectl("-n", NAMESPACE, "wait", f"pod/{READER}", "--for=condition=Ready", "--timeout=60s", seconds=70)
    store = Store(NAMESPACE, NAMESPACE)
    with reach(NAMESPACE) as url:
        service = Service(url, make_token(NAMESPACE, primehub.ADMINISTRATOR))
        system = System(access, overlay, NAMESPACE, IMAGE, NAMESPACE, store, service, primehub.CLAIM)
        system.wait(system.injects, "a pod gets its sidecar")
        yield system
    store.empty()
    remove(overlay)


def told(hub: System, name: str) -> dict[str, object]:
    """What is noted on the PhJob once nothing more is to come."""
    hub.wait(lambda: primehub.note(hub, name).get("state") not in PENDING, f"what became of {name}'s artifacts")
    return primehub.note(hub, name)


@pytest.fixture(scope="module")
def hello(hub: System) -> str:
    primehub.start(hub, "hub-hello", LEAVE)
    hub.pod_ended("hub-hello")
    primehub.tell(hub, "hub-hello", phase="Succeeded", reason="PodSucceeded")
    return "hub-hello"


def test_what_became_of_artifacts_is_noted_on_a_phjob_whose_status_is_left_alone(hub: System, hello: str) -> None:
    noted = told(hub, hello)
    assert (noted["state"], noted["files"], noted["bytes"]) == ("sealed", 2, 11)
    assert "2 files" in hub.events(hello)["ArtifactsCollected"]
    assert hub.job(hello)["status"] == {"phase": "Succeeded", "reason": "PodSucceeded", "podName": hello}
    assert hub.store.files(hello) == FILES


def test_a_job_that_primehub_kills_keeps_what_had_been_copied(hub: System) -> None:
    primehub.start(hub, "hub-cancelled", f"{LEAVE}; sleep 1000")
    hub.wait(lambda: hub.store.files("hub-cancelled") == FILES, "the first copy of hub-cancelled")
    primehub.cancel(hub, "hub-cancelled")
    assert told(hub, "hub-cancelled")["state"] in ("unknown", "incomplete")
    assert hub.service.names("hub-cancelled") == FILES.keys()


def test_the_bucket_is_what_is_listed_served_and_cleaned(hub: System, hello: str) -> None:
    told(hub, hello)
    artifact = hub.service.as_account(NAMESPACE, "default").artifact(hello)
    assert {item["name"]: item["size"] for item in artifact["items"]} == {"f": 5, "sub/enabled": 6}
    assert artifact["state"] == "sealed"
    assert hub.service.download(f"{artifact['prefix']}/sub/enabled") == b"false\n"
    hub.store.expire(hello)
    assert hub.service.ask("mutation { cleanupPhJobArtifact }") == {"cleanupPhJobArtifact": 1}
    assert hub.store.tree(hello) == {}
    volumes = kubectl("-n", NAMESPACE, "get", "deployment", "phjob-artifacts-api", "-o", "jsonpath={..claimName}")
    assert volumes == ""


def test_metrics_are_where_the_annotations_say(hub: System) -> None:
    for part in ("webhook", "controller", "api"):
        [pod, *_] = hub.pods_of(part)
        notes = hub.pods()[pod]["metadata"]["annotations"]
        scheme, port = notes.get("prometheus.io/scheme", "http"), notes["prometheus.io/port"]
        assert notes["prometheus.io/scrape"] == "true"
        path = f"/api/v1/namespaces/{NAMESPACE}/pods/{scheme}:{pod}:{port}/proxy/metrics"
        assert "phjob_artifact_" in kubectl("get", "--raw", path)


def test_nothing_of_primehubs_goes_with_the_product(hub: System, admin: Client, hello: str, overlay: Path) -> None:
    noted, jobs = told(hub, hello), hub.jobs().keys()
    remove(overlay)
    assert leftovers() == [PHJOBS]
    assert primehub.is_there(admin, NAMESPACES, NAMESPACE)
    assert primehub.is_there(admin, CRDS, "phjobs.primehub.io")
    assert primehub.is_there(admin, Resource("", "v1", "persistentvolumeclaims", NAMESPACE), primehub.CLAIM)
    assert hub.jobs().keys() == jobs
    assert primehub.note(hub, hello) == noted
    hub.wait(lambda: ours() == ["secret/phjob-artifacts-s3"], lambda: f"the end of {ours()}")  # the Secret is people's


def ours() -> list[str]:
    kinds = "all,configmaps,secrets,leases,serviceaccounts,roles,rolebindings,networkpolicies,poddisruptionbudgets"
    found = kubectl("-n", NAMESPACE, "get", kinds, "-o", "name").split()
    return [each for each in found if "phjob-artifacts" in each]
