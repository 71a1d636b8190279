"""The reconciler against an API server over real HTTP, with faults: every job comes to its end, and is told of once."""

import time
import urllib.error
import urllib.request
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from typing import Any

import pytest

from controller.reconcile import reconciler, run
from controller.reconcile.run import Controller
from controller.reconcile.status import decide
from kube.client import Client
from tests.controller.cluster import SETTINGS, rfc3339, waiting
from tests.controller.kubelet import NAMESPACE, PHJOBS, PODS, world
from tests.kube.apiserver import ApiServer, parse_path
from tests.kube.faults import Request
from tests.kube.informers import until

LEASE = "/apis/coordination.k8s.io/v1/namespaces/ns/leases/phjob-artifacts-controller"
QUICK = replace(SETTINGS, lease_seconds=1.0, resync_seconds=0.2)


@pytest.fixture
def server() -> Iterator[ApiServer]:
    with ApiServer() as found:
        yield found


@contextmanager
def controlling(server: ApiServer, **given: Any) -> Iterator[Controller]:
    client: Client = server.client()
    found = Controller(client, replace(QUICK, **given), "a")
    found.start()
    try:
        yield found
    finally:
        found.stop()
        client.close()


def samples(controller: Controller, name: str) -> dict[str, float]:
    """The counter's values by the value of its label, or by ""; without those that are 0."""
    found = {}
    for family in controller.registry.collect():
        for sample in family.samples:
            if sample.name == name and sample.value:
                found[",".join(sample.labels.values())] = sample.value
    return found


def test_jobs_come_to_their_ends_and_are_told_of_once(server: ApiServer) -> None:
    with world(server) as (found, _), controlling(server) as controller:
        found.add_job("ok")
        found.add_job("seven", "exit 7")
        found.add_job("long", "sleep")
        found.add_job("overdue", "sleep", spec={"activeDeadlineSeconds": 1})
        until(lambda: found.phase("long") == ("Running", "syncing"), "it runs")
        found.change_job("long", cancel=True)
        ends = {"ok": "Succeeded", "seven": "Failed", "long": "Cancelled", "overdue": "Failed"}
        for name, phase in ends.items():
            until(lambda name=name, phase=phase: found.phase(name) == (phase, "sealed"), name)  # type: ignore[misc]
        assert found.status("seven")["exitCode"] == 7
        assert found.status("overdue")["reason"] == "OverActivateDeadline"
        assert {name: len(uids) for name, uids in found.made.items()} == dict.fromkeys(ends, 1)
        until(lambda: all("ArtifactsCollected" in found.events(name) for name in ends), "events")
        assert found.events("ok") == ["ArtifactsCollected"]
        assert found.events("overdue") == ["ArtifactsCollected", "OverActivateDeadline"]
        assert samples(controller, "phjob_artifact_results_total") == {"sealed,none": 4.0}
        assert samples(controller, "phjob_artifact_collected_files_total") == {"": 8.0}
        writes = [each for each in server.requests if each.path.startswith(f"{PHJOBS}/ok") and each.method != "GET"]
        assert len(writes) <= 6


def test_faults_of_every_kind_delay_jobs_and_change_nothing_else(server: ApiServer) -> None:
    """500s, refusals, lost answers, conflicts, cut watches, forgotten versions: all while 20 jobs run."""
    names = [f"job-{number}" for number in range(20)]

    def is_write(request: Request) -> bool:
        return request.method in ("POST", "PATCH", "DELETE") and "leases" not in request.path

    with world(server) as (found, _), controlling(server, workers=3) as controller:
        for number, name in enumerate(names):
            found.add_job(name, "sleep" if number % 5 == 0 else "exit 1" if number % 5 == 1 else "true")
            kind = ("status", "truncated", "reset", "status")[number % 4]
            server.script.add(kind, is_write, code=(500, 409, 503, 429)[number % 4])
            if number % 7 == 6:
                server.objects.compact()
                server.cut()
        for name in names[::5]:
            until(lambda name=name: found.phase(name)[0] == "Running", name)  # type: ignore[misc]
            found.change_job(name, cancel=True)
        for name in names:
            until(lambda name=name: found.phase(name)[1] not in (None, "syncing", "collecting"), name)  # type: ignore[misc]
        phases = [found.phase(name)[0] for name in names]
        assert phases == ["Cancelled", "Failed", "Succeeded", "Succeeded", "Succeeded"] * 4
        assert {len(uids) for uids in found.made.values()} == {1}
        told = sum(samples(controller, "phjob_artifact_results_total").values())
        assert 16 <= told <= 20  # a write whose answer was lost is not counted a second time


def test_without_a_webhook_jobs_run_and_their_users_are_told(server: ApiServer) -> None:
    with world(server) as (found, _), controlling(server) as controller:
        found.inject = False
        found.add_job("job")
        until(lambda: found.phase("job") == ("Succeeded", "not-injected"), "its end")
        assert found.status("job")["artifact"]["reason"] == "webhook"
        until(lambda: found.events("job") == ["ArtifactsNotCollected"], "its event")
        assert samples(controller, "phjob_artifact_results_total") == {"not-injected,webhook": 1.0}


def test_a_sidecar_that_cannot_start_is_left_out_and_after_three_none_is_injected(server: ApiServer) -> None:
    with world(server) as (found, kubelet), controlling(server) as controller:
        kubelet.lively = False
        names = ["a", "b", "c"]
        for name in names:
            found.add_job(name)
        until(lambda: len(found.pods()) == 3, "pods")
        for pod in found.pods():
            since = {"type": "PodScheduled", "status": "True", "lastTransitionTime": rfc3339(time.time() - 60)}
            state = [{"name": "phjob-artifacts", "state": waiting("ImagePullBackOff", "no such image")}]
            found.put_pod(
                {**pod, "status": {"phase": "Pending", "conditions": [since], "initContainerStatuses": state}}
            )
        until(lambda: all(len(found.made[name]) == 2 for name in names), "pods made anew")
        kubelet.lively = True
        for name in names:
            until(lambda name=name: found.phase(name) == ("Succeeded", "not-injected"), name)  # type: ignore[misc]
            assert "no such image" in found.status(name)["artifact"]["message"]
            until(lambda name=name: "ArtifactsNotCollected" in found.events(name), name)  # type: ignore[misc]
        told = [event for name in names for event in found.events(name) if event != "ArtifactsNotCollected"]
        assert told == ["CollectorSwitchedOff"]  # on the last of them
        assert samples(controller, "phjob_artifact_results_total") == {"not-injected,start": 3.0}
        assert samples(controller, "phjob_artifact_sidecar_start_failures_total") == {"": 3.0}
        labels = server.objects.get(parse_path(NAMESPACE))["metadata"]["labels"]
        assert labels == {"team": "a", "primehub.io/artifact-injection": "off"}
        assert samples(controller, "phjob_artifact_injection_off") == {"": 1.0}


def test_who_does_not_lead_does_nothing(server: ApiServer) -> None:
    lease = {"holderIdentity": "b", "leaseDurationSeconds": 3600, "leaseTransitions": 1}
    server.put(LEASE, {"metadata": {}, "spec": lease})
    with world(server) as (found, _), controlling(server) as controller:
        found.add_job("job")
        until(lambda: controller.not_ready() == "", "it knows the job")
        until(lambda: len([each for each in server.requests if each.path == LEASE]) > 1, "it has tried to lead twice")
        assert [each.method for each in server.requests if each.method not in ("GET", "PUT")] == []
        assert found.status("job") == {}
        assert samples(controller, "phjob_artifact_reconciles_total") == {}


def test_beside_another_controller_only_artifacts_are_told_of(server: ApiServer) -> None:
    with world(server) as (found, _), controlling(server, reconcile=False) as controller:
        found.add_job("job", status={"phase": "Running", "reason": "PodRunning"})
        owner = {"kind": "PhJob", "name": "job", "uid": found.job("job")["metadata"]["uid"]}
        client = server.client()
        spec = {"containers": [{"name": "main", "command": ["true"]}]}
        labels = {"app": "primehub-job"}
        metadata = {"name": "job", "labels": labels, "annotations": {}, "ownerReferences": [owner]}
        client.request("POST", PODS, body={"metadata": metadata, "spec": spec})
        client.close()

        until(lambda: found.result("job").get("state") == "sealed", "the annotation")
        assert found.result("job")["files"] == 2
        assert found.status("job") == {"phase": "Running", "reason": "PodRunning"}
        until(lambda: found.events("job") == ["ArtifactsCollected"], "its event")
        assert samples(controller, "phjob_artifact_results_total") == {"sealed,none": 1.0}


def test_a_pod_that_vanished_while_nobody_looked_is_unknown(server: ApiServer) -> None:
    with world(server) as (found, _):
        artifact = {"state": "syncing", "podUid": "gone"}
        status = {"phase": "Running", "startTime": rfc3339(time.time()), "requeued": 0, "artifact": artifact}
        found.add_job("job", status=status)
        with controlling(server) as controller:
            until(lambda: found.phase("job") == ("Failed", "unknown"), "its end")
            until(lambda: found.events("job") == ["ArtifactsUnknown", "PodUnknown"], "events")
            assert samples(controller, "phjob_artifact_results_total") == {"unknown,vanished": 1.0}
        with controlling(server) as controller:
            until(lambda: controller.registry.get_sample_value("phjob_artifact_leader"), "it leads")
            found.add_job("other")
            until(lambda: found.events("other") == ["ArtifactsCollected"], "another's end")
            assert samples(controller, "phjob_artifact_results_total") == {"sealed,none": 1.0}


def test_finished_jobs_cost_no_request(server: ApiServer) -> None:
    with world(server) as (found, _):
        done = {"phase": "Succeeded", "finishTime": rfc3339(time.time()), "requeued": 0}
        for number in range(300):
            artifact = {"state": "sealed", "podUid": "x"}
            found.add_job(f"job-{number}", status=done | {"artifact": artifact})
        with controlling(server, resync_seconds=0.05) as controller:
            until(lambda: samples(controller, "phjob_artifact_reconciles_total").get("done", 0) >= 300, "all looked at")
            found.add_job("last")
            until(lambda: found.phase("last") == ("Succeeded", "sealed"), "a job among them")
        asked = [each.path for each in server.requests if "/phjobs/job-" in each.path or "/pods/job-" in each.path]
        assert asked == []


def test_that_an_instance_type_sets_no_resources_is_told_once(server: ApiServer) -> None:
    with world(server) as (found, _), controlling(server, main_cpu="2"):
        found.add_job("job", spec={"instanceType": "gpu-1"})
        until(lambda: found.phase("job") == ("Succeeded", "sealed"), "its end")
        until(lambda: len(found.events("job")) == 2, "events")
        assert found.events("job") == ["ArtifactsCollected", "InstanceTypeIgnored"]
        assert found.message("job", "InstanceTypeIgnored") == (
            "spec.instanceType gpu-1 sets no resources here: main gets CPU 2, no GPU"
        )


ODD: list[dict[str, Any]] = [
    {"spec": {"groupName": "../other"}},
    {"spec": {"groupName": ["x"], "command": {"x": 1}}},
    {"spec": {"image": ""}},
    {"status": {"phase": 7, "requeued": "many", "artifact": [1], "startTime": "soon"}},
    {"metadata": {"annotations": {"primehub.io/artifact-expired-at": "x" * 1000, "primehub.io/artifact-result": "["}}},
]


def test_odd_objects_stop_nothing(server: ApiServer) -> None:
    with world(server) as (found, _):
        for number, odd in enumerate(ODD):
            found.add_job(f"odd-{number}", **odd)
        server.put(f"{PHJOBS}/none", {"spec": None, "status": 7})
        with controlling(server, workers=1):
            found.add_job("job")
            until(lambda: found.phase("job") == ("Succeeded", "sealed"), "its end")
            until(lambda: found.status("odd-0").get("reason") == "PodCreationFailed", "an end")
            assert "no valid group name" in found.status("odd-0")["message"]
            until(lambda: found.phase("odd-4") == ("Succeeded", "sealed"), "an odd one's end")


def test_a_fault_of_our_own_holds_up_one_job(server: ApiServer, monkeypatch: pytest.MonkeyPatch) -> None:
    def fail(job: Any, *given: Any) -> Any:
        if job.name == "bad":
            raise KeyError("fault")
        return decide(job, *given)

    monkeypatch.setattr(reconciler, "decide", fail)
    with world(server) as (found, _), controlling(server, workers=1) as controller:
        found.add_job("bad")
        found.add_job("good")
        until(lambda: found.phase("good") == ("Succeeded", "sealed"), "the good one's end")
        assert samples(controller, "phjob_artifact_reconciles_total")["error"] >= 1


def test_health_tells_of_a_watch_that_is_silent(server: ApiServer, monkeypatch: pytest.MonkeyPatch) -> None:
    with controlling(server, listen=("127.0.0.1", 0)) as controller:
        until(lambda: controller.not_ready() == "", "it is ready")
        root = f"http://127.0.0.1:{controller.port}"
        for path, holds in (("/healthz", "ok"), ("/readyz", "ok"), ("/metrics", "phjob_artifact_build_info")):
            with urllib.request.urlopen(root + path) as answer:
                assert holds in answer.read().decode()
        monkeypatch.setattr(run, "STALE_SECONDS", -1.0)
        with pytest.raises(urllib.error.HTTPError, match="503") as caught:
            urllib.request.urlopen(root + "/healthz")
        caught.value.close()
