"""Parts of the product fail while jobs run: no job fails for it, and what was missed is said."""

import base64
import json
import time
from collections.abc import Iterator
from typing import Any

import pytest

from tests.e2e.installation import roll_out
from tests.e2e.kubectl import kubectl
from tests.e2e.system import System

LEAVE = "mkdir artifacts; echo kept > artifacts/f"
FILES = {"f": "kept\n"}
WEBHOOK = "deployment/phjob-artifacts-webhook"
SECRET = "phjob-artifacts-webhook"
EXPIRY = "phjob_artifact_webhook_certificate_expiry_timestamp_seconds"
BREAKER = "primehub.io/artifact-injection"
# Sends a signal that cannot be caught to the reconciler's process in the pod of that uid, from the node.
KILL = """
import glob, os, signal, sys
for folder in glob.glob("/proc/[0-9]*"):
    try:
        words = open(folder + "/cmdline").read().split(chr(0))
        ours = sys.argv[1].replace("-", "_") in open(folder + "/cgroup").read().replace("-", "_")
    except OSError:
        continue
    if ours and "reconcile" in words:
        os.kill(int(folder.rpartition("/")[2]), signal.SIGKILL)
        print("killed", words)
"""


def test_while_the_webhook_is_down_jobs_run_and_their_owners_are_told(system: System) -> None:
    kubectl("-n", system.namespace, "scale", WEBHOOK, "--replicas=0")
    try:
        system.wait(lambda: not system.injects(), "the webhook is down")
        status = system.ended(system.create_job("fault-webhook", LEAVE))
    finally:
        kubectl("-n", system.namespace, "scale", WEBHOOK, "--replicas=2")
    assert (status["phase"], status["artifact"]["state"]) == ("Succeeded", "not-injected")
    assert status["artifact"]["reason"] == "webhook"
    assert "webhook" in system.events("fault-webhook")["ArtifactsNotCollected"]
    assert system.metrics("controller")['phjob_artifact_results_total{reason="webhook",state="not-injected"}'] >= 1
    roll_out("webhook")
    system.wait(system.injects, "the webhook is back")
    assert system.ended(system.create_job("fault-webhook-back", LEAVE))["artifact"]["state"] == "sealed"


def test_no_pod_misses_its_sidecar_while_the_certificate_is_replaced(system: System) -> None:
    before = certificates(system)
    with system.objects("secrets") as secrets:
        secrets.merge(SECRET, {"data": None})
    names: list[str] = []

    def is_replaced() -> bool:
        names.append(system.create_job(f"fault-certificate-{len(names)}", LEAVE))
        time.sleep(2)
        now = certificates(system)
        return now.keys() == before.keys() and all(now[pod] != expiry for pod, expiry in before.items())

    system.wait(is_replaced, "every replica serves the new certificate", 300)
    names += [system.create_job(f"fault-certificate-{len(names) + n}", LEAVE) for n in range(3)]
    statuses = system.all_ended(names)
    assert {status["artifact"]["state"] for status in statuses.values()} == {"sealed"}
    with system.objects("secrets") as secrets:
        assert base64.b64decode(secrets.get(SECRET)["data"]["tls.crt"]).startswith(b"-----BEGIN CERTIFICATE")


def certificates(system: System) -> dict[str, float]:
    """When the certificate that each replica serves expires."""
    return {pod: system.metrics_of("webhook", pod)[EXPIRY] for pod in system.pods_of("webhook")}


def test_jobs_reach_their_end_once_although_the_controller_is_killed(system: System, namespace: str) -> None:
    names = [f"fault-killed-{number}" for number in range(50)]
    for name in names:
        system.create_job(name, f"{LEAVE}; sleep 2")
    system.wait(lambda: sum(is_succeeded(system.jobs()[name]) for name in names) >= 10, "the first ends")
    leader, before = leading(system), holder(system)
    kill(system, namespace, system.pods()[leader]["metadata"]["uid"])
    # Mostly the other replica; but the one that is started again in the same pod may be as quick.
    system.wait(lambda: holder(system) not in ("", before) and leading(system), "another one leads")
    statuses = system.all_ended(names)
    assert {(status["phase"], status["artifact"]["state"]) for status in statuses.values()} == {("Succeeded", "sealed")}
    pods = system.pods()
    for name, status in statuses.items():
        assert status["artifact"]["podUid"] == pods[name]["metadata"]["uid"]
        assert status.get("requeued", 0) == 0
        assert list(system.events(name)) == ["ArtifactsCollected"]
    killed = pods[leader]["status"]["containerStatuses"][0]
    assert killed["restartCount"] == 1


def is_succeeded(job: dict[str, Any]) -> bool:
    phase = job.get("status", {}).get("phase")
    return bool(phase == "Succeeded")


def leading(system: System) -> str:
    """The pod of the leader; "" where there is none."""
    found = {
        pod: system.metrics_of("controller", pod)["phjob_artifact_leader"] for pod in ready_pods(system, "controller")
    }
    return next((pod for pod, leads in found.items() if leads), "")


def holder(system: System) -> str:
    """Who holds the controllers' Lease: a process, not a pod."""
    with system.objects("leases", "coordination.k8s.io") as leases:
        found = leases.get("phjob-artifacts-controller")["spec"].get("holderIdentity", "")
    assert isinstance(found, str)
    return found


def ready_pods(system: System, part: str) -> list[str]:
    pods = system.pods()
    return [
        pod for pod in system.pods_of(part) if all(each["ready"] for each in pods[pod]["status"]["containerStatuses"])
    ]


def kill(system: System, namespace: str, pod_uid: str) -> None:
    """kill -9, which only the node can do to a container's first process."""
    container = {
        "name": "killer",
        "image": system.image,
        "imagePullPolicy": "IfNotPresent",
        "command": ["python3", "-c", KILL, pod_uid],
        "securityContext": {"privileged": True},
    }
    pod = {
        "apiVersion": "v1",
        "kind": "Pod",
        "metadata": {"name": "killer", "namespace": namespace},
        "spec": {"hostPID": True, "restartPolicy": "Never", "containers": [container]},
    }
    kubectl("create", "-f", "-", given=json.dumps(pod))
    kubectl("-n", namespace, "wait", "pod/killer", "--for=jsonpath={.status.phase}=Succeeded", "--timeout=60s")
    assert "killed" in kubectl("-n", namespace, "logs", "killer")


@pytest.fixture
def sidecar_image(system: System) -> Iterator[Any]:
    """Has new pods get another image as their sidecar's; at the end all is as it was."""
    name = "PHJOB_SIDECAR_IMAGE"
    path = '{.spec.template.spec.containers[0].env[?(@.name=="' + name + '")].value}'
    before = kubectl("-n", system.namespace, "get", WEBHOOK, "-o", f"jsonpath={path}")

    def use(image: str) -> None:
        kubectl("-n", system.namespace, "set", "env", WEBHOOK, f"{name}={image}")
        roll_out("webhook")
        system.wait(lambda: system.injected_image() == image, f"pods get {image}")

    yield use
    kubectl("label", "namespace", system.namespace, f"{BREAKER}-")
    use(before)


def test_sidecars_that_end_at_once_hold_no_job_for_long_and_are_switched_off(
    system: System, sidecar_image: Any
) -> None:
    sidecar_image(system.image)  # in which there is no sidecar
    names = [system.create_job(f"fault-crash-{number}", LEAVE) for number in range(3)]
    for name, status in system.all_ended(names).items():
        assert status["phase"] == "Succeeded"
        # It may have run just long enough for the kubelet to start main.
        assert status["artifact"]["state"] in ("not-injected", "unknown")
        assert {"ArtifactsNotCollected", "ArtifactsUnknown"} & system.events(name).keys()
    found = json.loads(kubectl("get", "namespace", system.namespace, "-o", "json"))
    assert found["metadata"]["labels"][BREAKER] == "off"  # three in a row
    told = [event for name in names for event in system.events(name).items() if event[0] == "CollectorSwitchedOff"]
    assert len(told) == 1
    assert f"kubectl label namespace {system.namespace} {BREAKER}-" in told[0][1]


def test_sidecars_whose_image_is_missing_hold_no_job_for_long_and_are_switched_off(
    system: System, sidecar_image: Any
) -> None:
    sidecar_image("localhost/no-such-image:1")
    names = [system.create_job(f"fault-no-image-{number}", LEAVE) for number in range(3)]
    for name, status in system.all_ended(names).items():
        assert (status["phase"], status["artifact"]["state"]) == ("Succeeded", "not-injected")
        assert status["artifact"]["reason"] == "start"
        assert "could not be started" in system.events(name)["ArtifactsNotCollected"]
    found = json.loads(kubectl("get", "namespace", system.namespace, "-o", "json"))
    assert found["metadata"]["labels"][BREAKER] == "off"  # three in a row
    status = system.ended(system.create_job("fault-off", LEAVE))
    assert (status["phase"], status["artifact"]["reason"]) == ("Succeeded", "webhook")
    counted = system.metrics("controller")
    assert counted["phjob_artifact_sidecar_start_failures_total"] >= 3
    assert counted["phjob_artifact_injection_off"] == 1


def test_what_was_mended_is_not_switched_off_by_who_comes_to_lead(system: System) -> None:
    """To a new controller all the pods above are new."""
    kubectl("-n", system.namespace, "rollout", "restart", "deployment/phjob-artifacts-controller")
    roll_out("controller")
    system.wait(lambda: leading(system), "a new one leads")
    assert system.ended(system.create_job("fault-mended", LEAVE))["artifact"]["state"] == "sealed"
    found = json.loads(kubectl("get", "namespace", system.namespace, "-o", "json"))
    assert BREAKER not in found["metadata"]["labels"]


def test_a_limit_that_the_sidecar_breaks_costs_the_artifacts_not_the_job(system: System) -> None:
    """The API server refuses a pod for any of its containers."""
    limit = {"type": "Container", "max": {"memory": "128Mi"}, "default": {"memory": "128Mi"}}
    with system.objects("limitranges") as ranges:
        ranges.create({"metadata": {"name": "small"}, "spec": {"limits": [limit]}})
        try:
            status = system.ended(system.create_job("fault-limit", LEAVE))
        finally:
            ranges.delete("small")
    assert (status["phase"], status["artifact"]["state"]) == ("Succeeded", "not-injected")
    assert status["artifact"]["reason"] == "refused"
    assert system.metrics("controller")['phjob_artifact_results_total{reason="refused",state="not-injected"}'] >= 1
