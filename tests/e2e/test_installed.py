"""The installation on a cluster: the restrictions of its pods, and upgrades."""

import json
import time
from pathlib import Path
from typing import Any

import pytest

from kube import errors
from kube.client import Client
from kube.objects import Resource, ResourceClient
from tests.e2e.conftest import NAMESPACES
from tests.e2e.installation import DEPLOYMENTS, wait_for_rollout, write_kustomization
from tests.e2e.kubectl import kubectl
from tests.e2e.system import Document, System

WRITE_FILE = "mkdir artifacts; echo kept > artifacts/f"
WAIT = "until test -e /phfs/upgraded; do sleep 0.2; done"
RESTRICTED = {"pod-security.kubernetes.io/enforce": "restricted"}
# Has the same effect on the Deployments as a newer image: their pods are replaced.
NEWER = """patches:
  - target: {kind: Deployment}
    patch: '[{"op": "add", "path": "/spec/template/metadata/annotations", "value": {"upgraded": "yes"}}]'"""


@pytest.fixture
def restricted(admin: Client, namespace: str) -> ResourceClient:
    """A client for the pods of a namespace that enforces the Pod Security level "restricted"."""
    ResourceClient(admin, NAMESPACES).merge(namespace, {"metadata": {"labels": RESTRICTED}})
    return ResourceClient(admin, Resource("", "v1", "pods", namespace))


def test_own_pods_meet_the_restricted_level_and_jobs_do_not(system: System, restricted: ResourceClient) -> None:
    for name in DEPLOYMENTS:
        spec = deployment(system, name)["spec"]["template"]["spec"]
        del spec["serviceAccountName"], spec["serviceAccount"]  # they do not exist in that namespace
        restricted.create({"metadata": {"name": name}, "spec": spec})
    with pytest.raises(errors.Forbidden, match="PodSecurity"):
        restricted.create({"metadata": {"name": "job"}, "spec": system.pod("job")["spec"]})


def test_upgrade_keeps_state_and_injects_every_job(system: System, tmp_path: Path) -> None:
    before = system.create_job("upgrade-before", WRITE_FILE)
    assert system.wait_ended(before)["artifact"]["state"] == "sealed"
    names = [system.create_job("upgrade-long", f"{WRITE_FILE}; {WAIT}")]
    state = runtime_state(system)
    kubectl("apply", "-k", str(write_kustomization(tmp_path, system.overlay, NEWER)), timeout_seconds=120)

    def is_over() -> bool:
        names.append(system.create_job(f"upgrade-{len(names)}", WRITE_FILE))
        time.sleep(1)
        return all(is_rolled_out(deployment(system, name)) for name in DEPLOYMENTS)

    system.wait(is_over, "the upgrade")
    for name in DEPLOYMENTS:
        wait_for_rollout(name)
    system.wait_ended(system.create_job("upgrade-end", "touch /phfs/upgraded"))
    assert {status["artifact"]["state"] for status in system.wait_all_ended(names).values()} == {"sealed"}
    assert runtime_state(system) == state
    assert system.api.names(before) == {"f"}


def deployment(system: System, name: str) -> Document:
    """Return a Deployment of the product."""
    document: Document = json.loads(
        kubectl("-n", system.namespace, "get", "deployment", f"phjob-artifacts-{name}", "-o", "json")
    )
    return document


def is_rolled_out(document: Document) -> bool:
    """Whether all pods of the Deployment are updated and available."""
    status, replicas = document["status"], document["spec"]["replicas"]
    counts = [status.get(field) for field in ("replicas", "updatedReplicas", "availableReplicas")]
    return status["observedGeneration"] == document["metadata"]["generation"] and counts == [replicas] * 3


def runtime_state(system: System) -> list[Any]:
    """Return what applying the manifests again could overwrite: keys, certificates, the CA bundle, the CRD's uid."""
    names = ("phjob-artifacts-webhook", "phjob-artifacts-link-key")
    with system.objects("secrets") as secrets:
        data = [secrets.get(name)["data"] for name in names]
    path = "jsonpath={.webhooks[0].clientConfig.caBundle}"
    ca_bundle = kubectl("get", "mutatingwebhookconfiguration", "phjob-artifacts", "-o", path)
    definition = kubectl("get", "crd", "phjobs.primehub.io", "-o", "jsonpath={.metadata.uid}")
    assert ca_bundle
    return [data, ca_bundle, definition]
