"""The product beside PrimeHub, whose controller runs the PhJobs.

The product injects the sidecar, annotates PhJobs with the result instead of changing their status, and serves artifacts
from the bucket. Uninstalling it does not affect PrimeHub. These tests run before the product is installed for the other
tests, because a cluster can have only one installation.
"""

import json
import os
from collections.abc import Iterator
from pathlib import Path

import pytest
from kubernetes.client import Configuration

from kube.client import Client
from kube.objects import Resource
from tests.e2e import fake_primehub as primehub
from tests.e2e.api_client import E2eApiClient, create_api_token, reachable_api
from tests.e2e.conftest import CRDS, IMAGE, NAMESPACES, crd, ensure_crd
from tests.e2e.fake_primehub import NAMESPACE
from tests.e2e.fellow_webhook import fellow_webhook
from tests.e2e.installation import ROOT, install, leftovers, uninstall, write_overlay
from tests.e2e.kubectl import kubectl
from tests.e2e.pauses import paused, resume
from tests.e2e.store import READER_POD, StoreReader, reader_pod
from tests.e2e.system import UNFINISHED_STATES, System
from tests.machine import require

WRITE_FILE = "mkdir -p artifacts/sub; echo kept > artifacts/f; echo $PHJOB_ARTIFACT_ENABLED > artifacts/sub/enabled"
FILES = {"f": "kept\n", "sub/enabled": "true\n"}
COLLECTOR_FILES = {f".primehub/metadata/{name}" for name in ("expiredAt", "manifest.jsonl", "report.json")}
PHJOBS = "customresourcedefinition.apiextensions.k8s.io/phjobs.primehub.io"
KINDS = {"phjobs": "PhJob", "instancetypes": "InstanceType", "images": "Image"}


@pytest.fixture(scope="module")
def overlay(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The overlay beside PrimeHub."""
    folder = tmp_path_factory.mktemp("primehub")
    return write_overlay(folder, ROOT / "tests/e2e/primehub", "registry.example.com", os.environ)


@pytest.fixture(scope="module")
def hub(access: Configuration, overlay: Path) -> Iterator[System]:
    """The product installed beside PrimeHub."""
    s3_image = os.environ.get("S3_IMAGE", "")
    require(s3_image, "S3_IMAGE, the image of an S3 server: make e2e-images")
    require(not leftovers(), f"a cluster without the product: found {', '.join(leftovers())}")
    admin = Client(access)
    for plural, kind in KINDS.items():
        ensure_crd(admin, crd("primehub.io", plural, kind))
    try:
        with primehub.fake_primehub(admin, s3_image):
            yield from installed(access, overlay)
    finally:
        kubectl("delete", "customresourcedefinitions", *(f"{plural}.primehub.io" for plural in KINDS))
        admin.close()
    assert leftovers() == []


def installed(access: Configuration, overlay: Path) -> Iterator[System]:
    """Install the product and yield it; uninstall it at the end."""
    install(overlay, NAMESPACE)
    kubectl("-n", NAMESPACE, "apply", "-f", "-", stdin=json.dumps(reader_pod(IMAGE, primehub.CLAIM)))
    kubectl("-n", NAMESPACE, "wait", f"pod/{READER_POD}", "--for=condition=Ready", "--timeout=60s", timeout_seconds=70)
    store = StoreReader(NAMESPACE, NAMESPACE)
    with reachable_api(NAMESPACE) as url:
        api = E2eApiClient(url, create_api_token(NAMESPACE, primehub.ADMINISTRATOR))
        system = System(access, overlay, NAMESPACE, IMAGE, NAMESPACE, store, api, primehub.CLAIM)
        system.wait(system.is_injecting, "a new pod gets a sidecar")
        yield system
    store.clear()
    uninstall(overlay)


def wait_for_result(hub: System, name: str) -> dict[str, object]:
    """Wait until the PhJob is annotated with a final result, and return it."""
    hub.wait(
        lambda: primehub.result_annotation(hub, name).get("state") not in UNFINISHED_STATES,
        f"the result of {name}'s artifacts",
    )
    return primehub.result_annotation(hub, name)


@pytest.fixture(scope="module")
def hello(hub: System) -> str:
    """The name of a job that has succeeded."""
    primehub.start_job(hub, "hub-hello", WRITE_FILE)
    hub.wait_pod_ended("hub-hello")
    primehub.set_status(hub, "hub-hello", phase="Succeeded", reason="PodSucceeded")
    return "hub-hello"


def test_result_is_annotated_and_the_phjobs_status_is_not_changed(hub: System, hello: str) -> None:
    result = wait_for_result(hub, hello)
    assert (result["state"], result["files"], result["bytes"]) == ("sealed", 2, 10)
    assert "2 files" in hub.events(hello)["ArtifactsCollected"]
    assert hub.job(hello)["status"] == {"phase": "Succeeded", "reason": "PodSucceeded", "podName": hello}
    assert hub.store.files(hello) == FILES


def test_primehubs_monitoring_stays_on(hub: System, hello: str) -> None:
    """The job folder has the agent's file, and the wrapper copied nothing: FILES came from the sidecar."""
    paths = hub.store.tree(hello).keys()
    assert paths - FILES.keys() == {".metadata/expiredAt", ".metadata/monitoring", *COLLECTOR_FILES}
    [job] = hub.api.query(f'{{ phJob(where: {{id: "{hello}"}}) {{ monitoring }} }}').values()
    assert job["monitoring"]["spec"] == {"mem_total": 2097152, "GPU": []}


def test_job_killed_by_primehub_keeps_the_files_copied_before(hub: System) -> None:
    primehub.start_job(hub, "hub-cancelled", f"{WRITE_FILE}; sleep 1000")
    hub.wait(lambda: hub.store.files("hub-cancelled") == FILES, "the first copy of hub-cancelled")
    primehub.cancel(hub, "hub-cancelled")
    result = wait_for_result(hub, "hub-cancelled")
    assert result["state"] in ("unknown", "incomplete")
    artifact = hub.api.artifact("hub-cancelled")
    assert {file["name"] for file in artifact["items"]} == FILES.keys()
    if result["state"] == "unknown":
        assert str(result["message"]).startswith("the job was cancelled: ")
        assert "the job was cancelled" in hub.events("hub-cancelled")["ArtifactsUnknown"]
        assert artifact["statusState"] == "unknown"
        assert "the report in the store says: " in artifact["message"]


def test_outcome_of_a_pod_with_a_container_that_never_ends_is_read_at_its_deletion(hub: System) -> None:
    hub.create_job("hub-held", WRITE_FILE)
    job = hub.job("hub-held")
    pod = primehub.make_pod(hub, job)
    [main] = pod["spec"]["containers"]
    proxy = {"name": "proxy", "image": main["image"], "command": ["sleep", "1000"], "imagePullPolicy": "IfNotPresent"}
    pod["spec"]["containers"].append(proxy)
    hub.create_pod(pod)
    primehub.set_status(hub, "hub-held", phase="Running", podName="hub-held")
    hub.wait(lambda: primehub.result_annotation(hub, "hub-held").get("state") == "collecting", "the end of main")
    hub.wait(lambda: hub.store.files("hub-held") == FILES, "the files of hub-held")
    kubectl("-n", NAMESPACE, "delete", "pod", "hub-held", "--grace-period=5", timeout_seconds=60)
    assert wait_for_result(hub, "hub-held")["state"] == "sealed"
    assert "ArtifactsCollected" in hub.events("hub-held")


def test_files_in_the_bucket_are_listed_served_and_cleaned_up(hub: System, hello: str) -> None:
    wait_for_result(hub, hello)
    artifact = hub.api.as_account(NAMESPACE, "default").artifact(hello)
    assert {file["name"]: file["size"] for file in artifact["items"]} == {"f": 5, "sub/enabled": 5}
    assert artifact["state"] == "sealed"
    assert hub.api.download(f"{artifact['prefix']}/sub/enabled") == b"true\n"
    hub.store.expire(hello)
    assert hub.api.query("mutation { cleanupPhJobArtifact }") == {"cleanupPhJobArtifact": 1}
    assert hub.store.tree(hello) == {}
    volumes = kubectl("-n", NAMESPACE, "get", "deployment", "phjob-artifacts-api", "-o", "jsonpath={..claimName}")
    assert volumes == ""


def test_primehubs_instance_types_and_images_are_returned(hub: System) -> None:
    fields = "instanceTypes { name cpuLimit memoryLimit } images { name isReady }"
    me = hub.api.as_account(NAMESPACE, "default").query(f"{{ me {{ effectiveGroups {{ name {fields} }} }} }}")["me"]
    (group,) = (group for group in me["effectiveGroups"] if group["name"] == NAMESPACE)
    assert group["instanceTypes"] == [{"name": "cpu-1", "cpuLimit": 1.0, "memoryLimit": 2.0}]
    assert group["images"] == [{"name": "base", "isReady": True}]


def test_scrape_annotations_lead_to_the_metrics(hub: System) -> None:
    for part in ("webhook", "controller", "api"):
        [pod, *_] = hub.pods_of(part)
        annotations = hub.pods()[pod]["metadata"]["annotations"]
        scheme, port = annotations.get("prometheus.io/scheme", "http"), annotations["prometheus.io/port"]
        assert annotations["prometheus.io/scrape"] == "true"
        path = f"/api/v1/namespaces/{NAMESPACE}/pods/{scheme}:{pod}:{port}/proxy/metrics"
        assert "phjob_artifact_" in kubectl("get", "--raw", path)


@pytest.fixture(scope="module")
def fellow(hub: System) -> Iterator[None]:
    """A fellow webhook that the API server calls after the product's."""
    with fellow_webhook(hub):
        yield


PRIVATE_FILE = "mkdir -p artifacts; umask 077; echo kept > artifacts/f"


@pytest.mark.usefixtures("fellow")
def test_the_sidecar_is_repaired_after_a_fellow_webhook(hub: System) -> None:
    damage = ("drop-restart-policy", "drop-restart-policy-and-lifecycle", "drop-init-containers", "drop-volume")
    names = [f"fellow-{change}-once" for change in damage]
    for name in names:
        primehub.start_job(hub, name, PRIVATE_FILE)
    for name in names:
        hub.wait_pod_ended(name)
        primehub.set_status(hub, name, phase="Succeeded")
        assert wait_for_result(hub, name)["state"] == "sealed"
        assert hub.store.files(name) == {"f": "kept\n"}


@pytest.mark.usefixtures("fellow")
def test_jobs_that_a_fellow_webhook_prevents_are_reported_and_pause_injection(hub: System) -> None:
    refused, also_refused, blocked = (
        f"fellow-{change}-again"
        for change in ("drop-restart-policy", "drop-volume", "drop-restart-policy-and-lifecycle")
    )
    for name in (refused, also_refused, blocked):
        primehub.start_job(hub, name, PRIVATE_FILE)
    for name in (refused, also_refused):
        assert hub.job(name)["status"]["reason"] == "PodCreationFailed"
    for name in (refused, also_refused, blocked):
        hub.wait(lambda name=name: "CollectorFailed" in hub.events(name), f"the event on {name}")  # type: ignore[misc]
    assert wait_for_result(hub, blocked)["reason"] == "changed"
    hub.wait(lambda: paused(hub) == ["user.escaped-ann"], "the pause")
    primehub.requeue(hub, blocked)
    hub.wait_pod_ended(blocked)
    assert hub.store.files(blocked) == {"f": "kept\n"}  # copied by PrimeHub's wrapper


@pytest.mark.usefixtures("fellow")
def test_a_job_whose_sidecar_a_fellow_webhook_removes_runs_and_is_reported(hub: System) -> None:
    resume(hub)
    name = "fellow-drop-init-containers-again"
    primehub.start_job(hub, name, PRIVATE_FILE)
    hub.wait_pod_ended(name)
    assert wait_for_result(hub, name)["reason"] == "changed"
    assert "ArtifactsNotCollected" in hub.events(name)


def test_uninstalling_keeps_primehubs_objects(hub: System, admin: Client, hello: str, overlay: Path) -> None:
    result, jobs = wait_for_result(hub, hello), hub.jobs().keys()
    uninstall(overlay)
    assert leftovers() == [PHJOBS]
    assert primehub.is_present(admin, NAMESPACES, NAMESPACE)
    assert primehub.is_present(admin, CRDS, "phjobs.primehub.io")
    assert primehub.is_present(admin, Resource("", "v1", "persistentvolumeclaims", NAMESPACE), primehub.CLAIM)
    assert hub.jobs().keys() == jobs
    assert primehub.result_annotation(hub, hello) == result
    hub.wait(
        lambda: own_objects() == ["secret/phjob-artifacts-s3"], lambda: f"the end of {own_objects()}"
    )  # a user's Secret


def own_objects() -> list[str]:
    """Return the names of the product's objects in PrimeHub's namespace."""
    kinds = "all,configmaps,secrets,leases,serviceaccounts,roles,rolebindings,networkpolicies,poddisruptionbudgets"
    names = kubectl("-n", NAMESPACE, "get", kinds, "-o", "name").split()
    return [name for name in names if "phjob-artifacts" in name]
