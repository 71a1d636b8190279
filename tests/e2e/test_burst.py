"""Many pods at once while a webhook pod is killed: all get their sidecar. Figures are printed."""

import json
import time
from concurrent.futures import ThreadPoolExecutor

import pytest

from kube.client import Client
from kube.objects import Resource, ResourceClient
from tests.e2e.kubectl import kubectl
from tests.e2e.system import SIDECAR, Document, System

PODS, CONNECTIONS, RUNS = 500, 50, 3
KILL_AFTER_SECONDS = 0.8  # from the first request
# Runs on the node: at the time argv[2] (UNIX seconds), sends SIGKILL to the processes in the pod with the uid argv[1].
KILL = """
import glob, os, signal, sys, time
found = []
for folder in glob.glob("/proc/[0-9]*"):
    try:
        words = open(folder + "/cmdline").read().split(chr(0))
        in_pod = sys.argv[1].replace("-", "_") in open(folder + "/cgroup").read().replace("-", "_")
    except OSError:
        continue
    if in_pod and "webhook" in words:
        found.append(int(folder.rpartition("/")[2]))
time.sleep(max(0, float(sys.argv[2]) - time.time()))
for pid in sorted(found):
    try:
        os.kill(pid, signal.SIGKILL)
        print("killed", pid)
    except ProcessLookupError:
        pass
"""


@pytest.mark.timeout(900)
def test_a_burst_of_pods_gets_sidecars_while_a_webhook_pod_is_killed(
    system: System, namespace: str, capsys: pytest.CaptureFixture[str]
) -> None:
    """The pods are never scheduled. Like those of PrimeHub, they have no reconciler that replaces missed ones."""
    missed = []
    for run in range(RUNS):
        victim = system.pods()[system.pods_of("webhook")[0]]["metadata"]["uid"]
        start_at = time.time() + 20  # for the killer to start
        kill_at(system, namespace, f"killer-{run}", victim, start_at + KILL_AFTER_SECONDS)
        time.sleep(max(0.0, start_at - time.time()))
        client = Client(system.access, max_connections=CONNECTIONS)
        pods = ResourceClient(client, Resource("", "v1", "pods", system.namespace))

        def create(number: int, pods: ResourceClient = pods, run: int = run) -> tuple[float, bool]:
            created = pods.create(gated_pod(system, f"burst-{run}-{number}"))
            return time.time(), any(c["name"] == SIDECAR for c in created["spec"].get("initContainers", []))

        try:
            with ThreadPoolExecutor(CONNECTIONS) as pool:
                results = list(pool.map(create, range(PODS)))
        finally:
            client.close()
        without = [at for at, has_sidecar in results if not has_sidecar]
        missed.append(len(without))
        kubectl(
            "-n", namespace, "wait", f"pod/killer-{run}", "--for=jsonpath={.status.phase}=Succeeded", "--timeout=60s"
        )
        killed = kubectl("-n", namespace, "logs", f"killer-{run}")
        with capsys.disabled():
            seconds = max(at for at, _ in results) - start_at
            times = ", ".join(f"{at - start_at:.2f}" for at in sorted(without)[:10])
            print(
                f"\nrun {run}: {PODS} pods in {seconds:.1f} s, {len(without)} without a sidecar ({times})",
                killed.split(),
            )
        assert "killed" in killed
        kubectl("-n", system.namespace, "delete", "pods", "-l", "burst=true", "--grace-period=0", "--wait=false")
        # The kubelet restarts a container that was killed again after 10 s, then after 20 s.
        system.wait(lambda: ready_webhooks(system) == 2, "two webhook pods are ready", seconds=120)
        time.sleep(5)
    # The API server fails open for requests that were under way on a connection to the killed process, and then may
    # send the second one there as well: 2 of 1,500 pods in one measurement, 9 of 1,500 without the second entry.
    assert sum(missed) <= RUNS * PODS // 200, missed


def ready_webhooks(system: System) -> int:
    """Return the number of webhook pods that are ready."""
    pods = system.pods()
    conditions = [each for name in system.pods_of("webhook") for each in pods[name]["status"].get("conditions", [])]
    return sum(each["type"] == "Ready" and each["status"] == "True" for each in conditions)


def gated_pod(system: System, name: str) -> Document:
    """Return a pod that is never scheduled."""
    pod = system.pod(name)
    pod["metadata"]["labels"]["burst"] = "true"
    pod["spec"]["schedulingGates"] = [{"name": "e2e.example/never"}]
    return pod


def kill_at(system: System, namespace: str, name: str, pod_uid: str, at: float) -> None:
    """Start a pod that kills another pod's processes at the time `at` in UNIX seconds."""
    container = {
        "name": "killer",
        "image": system.image,
        "imagePullPolicy": "IfNotPresent",
        "command": ["python3", "-c", KILL, pod_uid, str(at)],
        "securityContext": {"privileged": True},
    }
    pod = {
        "apiVersion": "v1",
        "kind": "Pod",
        "metadata": {"name": name, "namespace": namespace},
        "spec": {"hostPID": True, "restartPolicy": "Never", "containers": [container]},
    }
    kubectl("create", "-f", "-", stdin=json.dumps(pod))
