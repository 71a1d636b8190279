"""What is installed on the cluster: what its pods may do, and that an upgrade loses nothing."""

import json
import time
from pathlib import Path
from typing import Any

import pytest

from kube import errors
from kube.client import Client
from kube.objects import Resource, ResourceClient
from tests.e2e.conftest import NAMESPACES
from tests.e2e.installation import DEPLOYMENTS, roll_out, write_layer
from tests.e2e.kubectl import kubectl
from tests.e2e.system import Document, System

LEAVE = "mkdir artifacts; echo kept > artifacts/f"
WAIT = "until test -e /phfs/upgraded; do sleep 0.2; done"
RESTRICTED = {"pod-security.kubernetes.io/enforce": "restricted"}
# What a newer image is to the Deployments: their pods are to be others.
NEWER = """patches:
  - target: {kind: Deployment}
    patch: '[{"op": "add", "path": "/spec/template/metadata/annotations", "value": {"upgraded": "yes"}}]'"""


@pytest.fixture
def restricted(admin: Client, namespace: str) -> ResourceClient:
    """The pods of a namespace that takes none above the restricted level."""
    ResourceClient(admin, NAMESPACES).merge(namespace, {"metadata": {"labels": RESTRICTED}})
    return ResourceClient(admin, Resource("", "v1", "pods", namespace))


def test_our_own_pods_meet_the_restricted_level_and_jobs_do_not(system: System, restricted: ResourceClient) -> None:
    for name in DEPLOYMENTS:
        spec = deployment(system, name)["spec"]["template"]["spec"]
        del spec["serviceAccountName"], spec["serviceAccount"]  # which are not in that namespace
        restricted.create({"metadata": {"name": name}, "spec": spec})
    with pytest.raises(errors.Forbidden, match="PodSecurity"):
        restricted.create({"metadata": {"name": "job"}, "spec": system.pod("job")["spec"]})


def test_an_upgrade_loses_nothing_and_no_job_misses_its_sidecar(system: System, tmp_path: Path) -> None:
    before = system.create_job("upgrade-before", LEAVE)
    assert system.ended(before)["artifact"]["state"] == "sealed"
    names = [system.create_job("upgrade-long", f"{LEAVE}; {WAIT}")]
    written = written_at_run_time(system)
    kubectl("apply", "-k", str(write_layer(tmp_path, system.overlay, NEWER)), seconds=120)

    def is_over() -> bool:
        names.append(system.create_job(f"upgrade-{len(names)}", LEAVE))
        time.sleep(1)
        return all(is_rolled_out(deployment(system, name)) for name in DEPLOYMENTS)

    system.wait(is_over, "the upgrade")
    for name in DEPLOYMENTS:
        roll_out(name)
    system.ended(system.create_job("upgrade-end", "touch /phfs/upgraded"))
    assert {status["artifact"]["state"] for status in system.all_ended(names).values()} == {"sealed"}
    assert written_at_run_time(system) == written
    assert system.service.names(before) == {"f"}


def deployment(system: System, name: str) -> Document:
    found: Document = json.loads(
        kubectl("-n", system.namespace, "get", "deployment", f"phjob-artifacts-{name}", "-o", "json")
    )
    return found


def is_rolled_out(found: Document) -> bool:
    status, wanted = found["status"], found["spec"]["replicas"]
    counts = [status.get(field) for field in ("replicas", "updatedReplicas", "availableReplicas")]
    return status["observedGeneration"] == found["metadata"]["generation"] and counts == [wanted] * 3


def written_at_run_time(system: System) -> list[Any]:
    """What applying the manifests anew could undo: keys, certificates, whom the API server trusts; and whose it is."""
    names = ("phjob-artifacts-webhook", "phjob-artifacts-link-key")
    with system.objects("secrets") as secrets:
        kept = [secrets.get(name)["data"] for name in names]
    path = "jsonpath={.webhooks[0].clientConfig.caBundle}"
    trusted = kubectl("get", "mutatingwebhookconfiguration", "phjob-artifacts", "-o", path)
    definition = kubectl("get", "crd", "phjobs.primehub.io", "-o", "jsonpath={.metadata.uid}")
    assert trusted
    return [kept, trusted, definition]
