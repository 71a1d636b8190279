"""PhJobs of a user who may also patch their status: nothing is reported or written without bound."""

import dataclasses
import sys
from collections.abc import Iterator
from typing import Any

import pytest

from controller.reconcile.outcome_limit import MAX_OUTCOMES
from controller.reconcile.phjob import read_phjob
from controller.reconcile.pod import read_pod
from tests.controller.fake_cluster import PHJOBS, fake_cluster
from tests.controller.objects import NOW, ended, job_document, pod_document, rfc3339
from tests.controller.test_reconcile import running_controller, samples
from tests.kube.apiserver import ApiServer
from tests.kube.informers import until

MAX_PHJOB_BYTES = MAX_POD_BYTES = 64 * 1024
LONG = "\U0001f600" * 300_000  # 4 bytes for each character, in memory too


@pytest.fixture
def server() -> Iterator[ApiServer]:
    with ApiServer() as api_server:
        yield api_server


def memory_bytes(value: Any) -> int:
    """Return the size of a value with everything that it contains."""
    size = sys.getsizeof(value)
    if dataclasses.is_dataclass(value):
        return size + sum(memory_bytes(getattr(value, field.name)) for field in dataclasses.fields(value))
    if isinstance(value, dict):
        return size + sum(memory_bytes(part) for item in value.items() for part in item)
    return size


def test_a_phjob_in_memory_is_small_however_large_the_resource_is() -> None:
    texts = ("displayName", "userId", "userName", "groupId", "groupName", "image", "instanceType", "command")
    document = job_document()
    document["spec"] = dict.fromkeys(texts, LONG)
    document["metadata"] |= {"labels": {LONG: LONG}, "annotations": {f"primehub.io/{LONG}": LONG}}
    document["metadata"]["annotations"] |= {"primehub.io/artifact-result": LONG, "primehub.io/artifact-include": LONG}
    document["status"] = dict.fromkeys(("phase", "reason", "message", "podName", "startTime", "finishTime"), LONG)
    document["status"] |= {"other": {LONG: LONG}, "requeued": {LONG: LONG}, "exitCode": [LONG]}
    document["status"]["artifact"] = {"state": "sealed", "message": LONG, "reason": LONG, "podUid": LONG}
    assert memory_bytes(read_phjob(document)) < MAX_PHJOB_BYTES


def test_a_pod_in_memory_is_small_however_large_the_resource_is() -> None:
    state = ended(message=LONG, reason=LONG)
    document = pod_document(main=state, sidecar=state, phase=LONG, annotations={LONG: LONG, "a": LONG})
    document["status"] |= {"message": LONG, "reason": LONG}
    document["status"]["conditions"][0] |= {"status": "False", "message": LONG}
    assert memory_bytes(read_pod(document)) < MAX_POD_BYTES


def test_a_rewritten_artifact_status_is_reported_a_limited_number_of_times(server: ApiServer) -> None:
    with fake_cluster(server) as (cluster, _), running_controller(server) as controller:
        cluster.add_job("job")
        until(lambda: cluster.phase("job") == ("Succeeded", "sealed"), "the end")
        for number in range(3 * MAX_OUTCOMES):
            job = cluster.job("job")
            forged = {"state": "syncing", "podUid": f"forged-{number}"}
            server.put(f"{PHJOBS}/job", {**job, "status": {**job["status"], "artifact": forged}})
            until(lambda: cluster.phase("job")[1] != "syncing", "the controller corrects the status")
        assert sum(samples(controller, "phjob_artifact_results_total").values()) <= MAX_OUTCOMES
        assert len(cluster.events("job")) <= MAX_OUTCOMES


def test_cancelling_on_and_off_writes_no_more_than_the_user(server: ApiServer) -> None:
    flips = 60
    with fake_cluster(server) as (cluster, kubelet), running_controller(server):
        cluster.add_job("job", "sleep")
        until(lambda: cluster.phase("job") == ("Running", "syncing"), "the job runs")
        before = len(server.requests)
        kubelet.pause()
        for number in range(flips):
            cluster.change_job("job", cancel=number % 2 == 0)
            reason = "Cancelled" if number % 2 == 0 else "PodRunning"
            until(lambda reason=reason: cluster.status("job")["reason"] == reason, "the controller follows")  # type: ignore[misc]
        writes = [r for r in server.requests[before:] if r.method != "GET" and "leases" not in r.path]
        assert (
            len(writes) <= flips + 10
        )  # one status for each change, the deletion of the pod, repetitions after conflicts
        kubelet.resume()
        until(lambda: cluster.phase("job")[0] == "Failed", "main's own end: exit code 143")
        assert len(cluster.created["job"]) == 1


def test_a_finalizer_does_not_keep_a_deleted_job_running(server: ApiServer) -> None:
    with fake_cluster(server) as (cluster, _), running_controller(server):
        cluster.add_job("job", "sleep")
        cluster.add_job("new", "sleep", metadata={"finalizers": ["user/hold"], "deletionTimestamp": rfc3339(NOW)})
        until(lambda: cluster.phase("job") == ("Running", "syncing"), "the job runs")
        job = cluster.job("job")
        server.put(f"{PHJOBS}/job", {**job, "metadata": {**job["metadata"], "finalizers": ["user/hold"]}})
        server.remove(f"{PHJOBS}/job")
        until(lambda: cluster.phase("job") == ("Cancelled", "sealed"), "the job ends")
        assert cluster.status("job")["message"] == "Cancelled because the PhJob was deleted"
        until(lambda: cluster.phase("new")[0] == "Cancelled", "the job that was never started")
        assert "new" not in cluster.created


def test_annotations_that_do_not_fit_into_the_pod_are_left_out_with_an_event(server: ApiServer) -> None:
    long, short = "primehub.io/artifact-note", "primehub.io/artifact-limit-files"
    with fake_cluster(server) as (cluster, _), running_controller(server):
        cluster.add_job("job", metadata={"annotations": {long: "a" * 262_000, short: "5"}})
        until(lambda: cluster.phase("job") == ("Succeeded", "sealed"), "the end")
        (pod,) = (change.after for change in server.objects.history if change.key[1] == "pods" and not change.before)
        assert pod
        assert pod["metadata"]["annotations"][short] == "5"
        assert long not in pod["metadata"]["annotations"]
        until(lambda: "AnnotationsIgnored" in cluster.events("job"), "the event")
        assert long in cluster.message("job", "AnnotationsIgnored")


@pytest.mark.parametrize(
    ("name", "command", "message"),
    [
        ("j" * 216, "true", "metadata.name has 216 characters, but no pod in the namespace ns can start with more"),
        ("job", "a" * 131_072, "spec.command has 131072 bytes, but Linux accepts at most 131071"),
        ("job", "é" * 65_536, "spec.command has 131072 bytes"),
        ("job", "a\0b", "spec.command must not contain null characters"),
    ],
)
def test_a_job_that_can_never_run_fails_with_the_reason(
    server: ApiServer, name: str, command: str, message: str
) -> None:
    with fake_cluster(server) as (cluster, _), running_controller(server):
        cluster.add_job(name, command)
        until(lambda: cluster.phase(name)[0] == "Failed", "the end")
        assert message in cluster.status(name)["message"]
        assert cluster.status(name)["reason"] == "PodCreationFailed"
        assert name not in cluster.created


@pytest.mark.parametrize(("name", "command"), [("j" * 215, "true"), ("job", "#" * 131_071)])
def test_the_longest_names_and_commands_run(server: ApiServer, name: str, command: str) -> None:
    with fake_cluster(server) as (cluster, _), running_controller(server):
        cluster.add_job(name, command)
        until(lambda: cluster.phase(name) == ("Succeeded", "sealed"), "the end")
