"""Faults of the product while jobs run: no job fails, and missing artifacts are reported."""

import base64
import json
import time
from collections.abc import Iterator
from typing import Any

import pytest

from tests.e2e.installation import wait_for_rollout
from tests.e2e.kubectl import kubectl
from tests.e2e.pauses import paused
from tests.e2e.system import System

WRITE_FILE = "mkdir artifacts; echo kept > artifacts/f"
FILES = {"f": "kept\n"}
WEBHOOK, CONTROLLER = "deployment/phjob-artifacts-webhook", "deployment/phjob-artifacts-controller"
SECRET = "phjob-artifacts-webhook"
EXPIRY = "phjob_artifact_webhook_certificate_expiry_timestamp_seconds"
PAUSES = "phjob-artifacts-pauses"
# Runs on the node: sends SIGKILL to the reconciler's process in the pod with the uid in argv[1].
KILL = """
import glob, os, signal, sys
for folder in glob.glob("/proc/[0-9]*"):
    try:
        words = open(folder + "/cmdline").read().split(chr(0))
        in_pod = sys.argv[1].replace("-", "_") in open(folder + "/cgroup").read().replace("-", "_")
    except OSError:
        continue
    if in_pod and "reconcile" in words:
        os.kill(int(folder.rpartition("/")[2]), signal.SIGKILL)
        print("killed", words)
"""


def test_jobs_run_without_sidecar_and_with_an_event_while_the_webhook_is_down(system: System) -> None:
    kubectl("-n", system.namespace, "scale", WEBHOOK, "--replicas=0")
    try:
        system.wait(lambda: not system.is_injecting(), "the webhook is down")
        status = system.wait_ended(system.create_job("fault-webhook", WRITE_FILE))
    finally:
        kubectl("-n", system.namespace, "scale", WEBHOOK, "--replicas=2")
    assert (status["phase"], status["artifact"]["state"]) == ("Succeeded", "not-injected")
    assert status["artifact"]["reason"] == "webhook"
    assert "webhook" in system.events("fault-webhook")["ArtifactsNotCollected"]
    assert system.metrics("controller")['phjob_artifact_results_total{reason="webhook",state="not-injected"}'] >= 1
    wait_for_rollout("webhook")
    system.wait(system.is_injecting, "the webhook is back")
    assert system.wait_ended(system.create_job("fault-webhook-back", WRITE_FILE))["artifact"]["state"] == "sealed"


def test_every_pod_gets_a_sidecar_while_the_certificate_is_replaced(system: System) -> None:
    before = certificates(system)
    with system.objects("secrets") as secrets:
        secrets.merge(SECRET, {"data": None})
    names: list[str] = []

    def is_replaced() -> bool:
        names.append(system.create_job(f"fault-certificate-{len(names)}", WRITE_FILE))
        time.sleep(2)
        now = certificates(system)
        return now.keys() == before.keys() and all(now[pod] != expiry for pod, expiry in before.items())

    system.wait(is_replaced, "every replica serves the new certificate", 300)
    names += [system.create_job(f"fault-certificate-{len(names) + n}", WRITE_FILE) for n in range(3)]
    statuses = system.wait_all_ended(names)
    assert {status["artifact"]["state"] for status in statuses.values()} == {"sealed"}
    with system.objects("secrets") as secrets:
        assert base64.b64decode(secrets.get(SECRET)["data"]["tls.crt"]).startswith(b"-----BEGIN CERTIFICATE")


def certificates(system: System) -> dict[str, float]:
    """Return the expiry of the certificate of each replica, by pod."""
    return {pod: system.metrics_of("webhook", pod)[EXPIRY] for pod in system.pods_of("webhook")}


def test_jobs_end_exactly_once_if_the_controller_is_killed(system: System, namespace: str) -> None:
    names = [f"fault-killed-{number}" for number in range(50)]
    for name in names:
        system.create_job(name, f"{WRITE_FILE}; sleep 2")
    system.wait(lambda: sum(has_succeeded(system.jobs()[name]) for name in names) >= 10, "the first ends")
    leader, before = leader_pod(system), lease_holder(system)
    kill(system, namespace, system.pods()[leader]["metadata"]["uid"])
    # Usually the other replica takes over, but the process restarted in the same pod may be faster.
    system.wait(lambda: lease_holder(system) not in ("", before) and leader_pod(system), "a new leader")
    statuses = system.wait_all_ended(names)
    assert {(status["phase"], status["artifact"]["state"]) for status in statuses.values()} == {("Succeeded", "sealed")}
    pods = system.pods()
    for name, status in statuses.items():
        assert status["artifact"]["podUid"] == pods[name]["metadata"]["uid"]
        assert status.get("requeued", 0) == 0
        assert list(system.events(name)) == ["ArtifactsCollected"]
    killed = pods[leader]["status"]["containerStatuses"][0]
    assert killed["restartCount"] == 1


def has_succeeded(job: dict[str, Any]) -> bool:
    """Whether the PhJob is in phase Succeeded."""
    phase = job.get("status", {}).get("phase")
    return bool(phase == "Succeeded")


def leader_pod(system: System) -> str:
    """Return the leader's pod, or "" if there is none."""
    leads_by_pod = {
        pod: system.metrics_of("controller", pod)["phjob_artifact_leader"] for pod in ready_pods(system, "controller")
    }
    return next((pod for pod, leads in leads_by_pod.items() if leads), "")


def lease_holder(system: System) -> str:
    """Return the holder of the controllers' Lease, which identifies a process, not a pod."""
    with system.objects("leases", "coordination.k8s.io") as leases:
        holder = leases.get("phjob-artifacts-controller")["spec"].get("holderIdentity", "")
    assert isinstance(holder, str)
    return holder


def ready_pods(system: System, part: str) -> list[str]:
    """Return the names of the part's pods whose containers are ready."""
    pods = system.pods()
    return [
        pod
        for pod in system.pods_of(part)
        if all(container["ready"] for container in pods[pod]["status"]["containerStatuses"])
    ]


def kill(system: System, namespace: str, pod_uid: str) -> None:
    """Kill the reconciler with SIGKILL, which reaches a container's first process only from the node."""
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
    kubectl("create", "-f", "-", stdin=json.dumps(pod))
    kubectl("-n", namespace, "wait", "pod/killer", "--for=jsonpath={.status.phase}=Succeeded", "--timeout=60s")
    assert "killed" in kubectl("-n", namespace, "logs", "killer")


@pytest.fixture
def sidecar_image(system: System) -> Iterator[Any]:
    """A function that sets the sidecar's image for new pods. The old image and injection are restored at the end."""
    name = "PHJOB_SIDECAR_IMAGE"
    path = '{.spec.template.spec.containers[0].env[?(@.name=="' + name + '")].value}'
    before = kubectl("-n", system.namespace, "get", WEBHOOK, "-o", f"jsonpath={path}")

    def use(image: str) -> None:
        for part, deployment in (("webhook", WEBHOOK), ("controller", CONTROLLER)):
            kubectl("-n", system.namespace, "set", "env", deployment, f"{name}={image}")
            wait_for_rollout(part)
        system.wait(lambda: leader_pod(system), "a leader")
        system.wait(lambda: system.injected_image() == image, f"pods get {image}")

    yield use
    kubectl("-n", system.namespace, "patch", "configmap", PAUSES, "--type=merge", "-p", '{"data":null}')
    use(before)


def test_crashing_sidecars_do_not_block_jobs_and_switch_injection_off(system: System, sidecar_image: Any) -> None:
    sidecar_image(system.image)  # an image without the sidecar
    names = [system.create_job(f"fault-crash-{number}", WRITE_FILE) for number in range(3)]  # of one user
    for name, status in system.wait_all_ended(names).items():
        assert status["phase"] == "Succeeded"
        # The sidecar may have run long enough for the kubelet to start main.
        assert status["artifact"]["state"] in ("not-injected", "unknown")
        assert {"ArtifactsNotCollected", "ArtifactsUnknown"} & system.events(name).keys()
    assert paused(system) == ["user.escaped-ann"]  # after three failures in a row
    events = [event for name in names for event in system.events(name).items() if event[0] == "CollectorSwitchedOff"]
    assert len(events) == 1
    assert f"kubectl -n {system.namespace} annotate configmap {PAUSES}" in events[0][1]


def test_missing_sidecar_image_does_not_block_jobs_and_switches_injection_off(
    system: System, sidecar_image: Any
) -> None:
    sidecar_image("localhost/no-such-image:1")
    names = [system.create_job(f"fault-no-image-{n}", WRITE_FILE, userName=f"user-{n}") for n in range(3)]
    for name, status in system.wait_all_ended(names).items():
        assert (status["phase"], status["artifact"]["state"]) == ("Succeeded", "not-injected")
        assert status["artifact"]["reason"] == "start"
        assert "the sidecar did not start" in system.events(name)["ArtifactsNotCollected"]
    assert paused(system) == ["all"]  # after failures of three users
    status = system.wait_ended(system.create_job("fault-off", WRITE_FILE))
    assert (status["phase"], status["artifact"]["reason"]) == ("Succeeded", "paused")
    metrics = system.metrics("controller")
    assert metrics["phjob_artifact_sidecar_start_failures_total"] >= 3
    assert metrics["phjob_artifact_injection_off"] == 1


def test_new_leader_does_not_switch_off_repaired_injection(system: System) -> None:
    """A new controller has not seen the failed pods of the tests above before."""
    kubectl("-n", system.namespace, "rollout", "restart", "deployment/phjob-artifacts-controller")
    wait_for_rollout("controller")
    system.wait(lambda: leader_pod(system), "a new leader")
    assert system.wait_ended(system.create_job("fault-repaired", WRITE_FILE))["artifact"]["state"] == "sealed"
    assert paused(system) == []


def test_imitated_sidecars_do_not_pause_injection(system: System) -> None:
    """A user creates pods with our annotation and a container of the sidecar's name that fails, named as own PhJobs.

    The pods lack the label when they are created, so the webhook does not review them.
    """
    names = [f"fault-imitated-{number}" for number in range(3)]
    for name in names:
        pod = system.pod(name, "sleep", "60")
        pod["metadata"] |= {"labels": {}, "annotations": {"primehub.io/artifact-sidecar": "injected"}}
        main = pod["spec"]["containers"][0]
        sidecar = {"name": "phjob-artifacts", "image": main["image"], "restartPolicy": "Always"}
        pod["spec"]["initContainers"] = [sidecar | {"command": ["sh", "-c", "exit 3"]}]
        system.create_pod(pod)
        uid = system.job(system.create_job(name, "true"))["metadata"]["uid"]
        owner = {"apiVersion": "primehub.io/v1alpha1", "kind": "PhJob", "name": name, "uid": uid}
        with system.objects("pods") as pods:
            pods.merge(name, {"metadata": {"labels": {"app": "primehub-job"}, "ownerReferences": [owner]}})
    before = system.metrics("controller")["phjob_artifact_sidecar_start_failures_total"]
    system.wait_all_ended(names)
    assert system.metrics("controller")["phjob_artifact_sidecar_start_failures_total"] >= before + 3
    assert paused(system) == []
    assert system.is_injecting()


def test_job_runs_without_sidecar_if_a_limit_range_rejects_the_sidecar(system: System) -> None:
    """The API server rejects a pod if any of its containers violates a LimitRange."""
    limit = {"type": "Container", "max": {"memory": "128Mi"}, "default": {"memory": "128Mi"}}
    with system.objects("limitranges") as ranges:
        ranges.create({"metadata": {"name": "small"}, "spec": {"limits": [limit]}})
        try:
            status = system.wait_ended(system.create_job("fault-limit", WRITE_FILE))
        finally:
            ranges.delete("small")
    assert (status["phase"], status["artifact"]["state"]) == ("Succeeded", "not-injected")
    assert status["artifact"]["reason"] == "refused"
    assert system.metrics("controller")['phjob_artifact_results_total{reason="refused",state="not-injected"}'] >= 1
