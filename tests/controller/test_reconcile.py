"""The reconciler against a fake API server over HTTP, with faults: every job ends and is reported once."""

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
from controller.reconcile.status_plan import plan_status
from kube.client import Client
from tests.controller.fake_cluster import PAUSES, PHJOBS, PODS, fake_cluster
from tests.controller.objects import SETTINGS, rfc3339, waiting
from tests.kube.apiserver import ApiServer, parse_path
from tests.kube.faults import Request
from tests.kube.informers import until

LEASE = "/apis/coordination.k8s.io/v1/namespaces/ns/leases/phjob-artifacts-controller"
QUICK = replace(SETTINGS, lease_seconds=1.0, resync_seconds=0.2)


@pytest.fixture
def server() -> Iterator[ApiServer]:
    with ApiServer() as api_server:
        yield api_server


@contextmanager
def running_controller(server: ApiServer, **settings: Any) -> Iterator[Controller]:
    client: Client = server.client()
    controller = Controller(client, replace(QUICK, **settings), "a")
    controller.start()
    try:
        yield controller
    finally:
        controller.stop()
        client.close()


def samples(controller: Controller, name: str) -> dict[str, float]:
    """Return the metric's values that are not 0, by the values of its labels."""
    values = {}
    for family in controller.registry.collect():
        for sample in family.samples:
            if sample.name == name and sample.value:
                values[",".join(sample.labels.values())] = sample.value
    return values


def test_jobs_end_and_are_reported_once(server: ApiServer) -> None:
    with fake_cluster(server) as (cluster, _), running_controller(server) as controller:
        cluster.add_job("ok")
        cluster.add_job("seven", "exit 7")
        cluster.add_job("long", "sleep")
        cluster.add_job("overdue", "sleep", spec={"activeDeadlineSeconds": 1})
        until(lambda: cluster.phase("long") == ("Running", "syncing"), "the job runs")
        cluster.change_job("long", cancel=True)
        ends = {"ok": "Succeeded", "seven": "Failed", "long": "Cancelled", "overdue": "Failed"}
        for name, phase in ends.items():
            until(lambda name=name, phase=phase: cluster.phase(name) == (phase, "sealed"), name)  # type: ignore[misc]
        assert cluster.status("seven")["exitCode"] == 7
        assert cluster.status("overdue")["reason"] == "OverActivateDeadline"
        assert {name: len(uids) for name, uids in cluster.created.items()} == dict.fromkeys(ends, 1)
        until(lambda: all("ArtifactsCollected" in cluster.events(name) for name in ends), "events")
        assert cluster.events("ok") == ["ArtifactsCollected"]
        assert cluster.events("overdue") == ["ArtifactsCollected", "OverActivateDeadline"]
        assert samples(controller, "phjob_artifact_results_total") == {"sealed,none": 4.0}
        assert samples(controller, "phjob_artifact_collected_files_total") == {"": 8.0}
        requests = [request for request in server.requests if request.path.startswith(f"{PHJOBS}/ok")]
        writes = [request for request in requests if request.method != "GET"]
        assert len(writes) <= 6


def test_faults_of_the_api_server_only_delay_jobs(server: ApiServer) -> None:
    """500s, refusals, lost responses, conflicts, closed watches and expired versions, while 20 jobs run."""
    names = [f"job-{number}" for number in range(20)]

    def is_write(request: Request) -> bool:
        return request.method in ("POST", "PATCH", "DELETE") and "leases" not in request.path

    with fake_cluster(server) as (cluster, _), running_controller(server, workers=3) as controller:
        for number, name in enumerate(names):
            cluster.add_job(name, "sleep" if number % 5 == 0 else "exit 1" if number % 5 == 1 else "true")
            kind = ("status", "truncated", "reset", "status")[number % 4]
            server.script.add(kind, is_write, code=(500, 409, 503, 429)[number % 4])
            if number % 7 == 6:
                server.objects.compact()
                server.cut()
        for name in names[::5]:
            until(lambda name=name: cluster.phase(name)[0] == "Running", name)  # type: ignore[misc]
            cluster.change_job(name, cancel=True)
        for name in names:
            until(lambda name=name: cluster.phase(name)[1] not in (None, "syncing", "collecting"), name)  # type: ignore[misc]
        phases = [cluster.phase(name)[0] for name in names]
        assert phases == ["Cancelled", "Failed", "Succeeded", "Succeeded", "Succeeded"] * 4
        assert {len(uids) for uids in cluster.created.values()} == {1}
        counted = sum(samples(controller, "phjob_artifact_results_total").values())
        assert 16 <= counted <= 20  # a write whose response was lost is not counted a second time


@pytest.mark.parametrize("missed", [1, 2])
def test_a_pod_that_the_webhook_did_not_review_is_replaced_before_it_starts(server: ApiServer, missed: int) -> None:
    with fake_cluster(server) as (cluster, kubelet), running_controller(server) as controller:
        kubelet.starts_pods = False
        cluster.missed_reviews = missed
        cluster.add_job("job")
        until(lambda: len(cluster.created.get("job", [])) == missed + 1, "the replacement")
        kubelet.starts_pods = True
        until(lambda: cluster.phase("job") == ("Succeeded", "sealed"), "the end")
        until(lambda: samples(controller, "phjob_artifact_results_total") == {"sealed,none": 1.0}, "the count")
        assert len(cluster.created["job"]) == missed + 1


def test_replacing_pods_ends_if_the_webhook_stays_down(server: ApiServer) -> None:
    with fake_cluster(server) as (cluster, kubelet), running_controller(server) as controller:
        kubelet.starts_pods = False
        cluster.missed_reviews = 100
        cluster.add_job("first")
        until(lambda: len(cluster.created.get("first", [])) == 3, "two replacements")
        cluster.add_job("second")
        until(lambda: "second" in cluster.created, "the second job's pod")
        kubelet.starts_pods = True
        for name in ("first", "second"):
            until(lambda name=name: cluster.phase(name) == ("Succeeded", "not-injected"), name)  # type: ignore[misc]
        assert [len(cluster.created[name]) for name in ("first", "second")] == [3, 1]
        counted = {"not-injected,webhook": 2.0}
        until(lambda: samples(controller, "phjob_artifact_results_total") == counted, "the count")


def test_a_pod_that_already_has_a_node_is_not_replaced(server: ApiServer) -> None:
    with fake_cluster(server) as (cluster, _), running_controller(server):
        cluster.missed_reviews = 1
        server.script.add("status", lambda request: request.method == "DELETE", code=409, message="version")
        cluster.add_job("job")
        until(lambda: cluster.phase("job") == ("Succeeded", "not-injected"), "the end")
        assert len(cluster.created["job"]) == 1


def test_jobs_run_without_a_webhook_and_report_missing_artifacts(server: ApiServer) -> None:
    with fake_cluster(server) as (cluster, _), running_controller(server) as controller:
        cluster.inject = False
        cluster.add_job("job")
        until(lambda: cluster.phase("job") == ("Succeeded", "not-injected"), "the end")
        assert cluster.status("job")["artifact"]["reason"] == "webhook"
        until(lambda: cluster.events("job") == ["ArtifactsNotCollected"], "the event")
        assert samples(controller, "phjob_artifact_results_total") == {"not-injected,webhook": 1.0}


def test_pods_are_recreated_without_failing_sidecars_and_failures_of_three_users_pause_injection(
    server: ApiServer,
) -> None:
    with fake_cluster(server) as (cluster, kubelet), running_controller(server) as controller:
        kubelet.starts_pods = False
        names = ["a", "b", "c"]
        for name in names:
            cluster.add_job(name, spec={"userName": f"user-{name}"})
        until(lambda: len(cluster.pods()) == 3, "pods")
        for pod in cluster.pods():
            condition = {"type": "PodScheduled", "status": "True", "lastTransitionTime": rfc3339(time.time() - 60)}
            states = [{"name": "phjob-artifacts", "state": waiting("ImagePullBackOff", "no such image")}]
            cluster.put_pod(
                {**pod, "status": {"phase": "Pending", "conditions": [condition], "initContainerStatuses": states}}
            )
        until(lambda: all(len(cluster.created[name]) == 2 for name in names), "recreated pods")
        kubelet.starts_pods = True
        for name in names:
            until(lambda name=name: cluster.phase(name) == ("Succeeded", "not-injected"), name)  # type: ignore[misc]
            assert "no such image" in cluster.status(name)["artifact"]["message"]
            until(lambda name=name: "ArtifactsNotCollected" in cluster.events(name), name)  # type: ignore[misc]
        others = [event for name in names for event in cluster.events(name) if event != "ArtifactsNotCollected"]
        assert others == ["CollectorSwitchedOff"]  # on the job of the last failure
        assert samples(controller, "phjob_artifact_results_total") == {"not-injected,start": 3.0}
        assert samples(controller, "phjob_artifact_sidecar_start_failures_total") == {"": 3.0}
        assert server.objects.get(parse_path(PAUSES))["data"].keys() == {"all"}
        assert samples(controller, "phjob_artifact_injection_off") == {"": 1.0}


def test_a_replica_that_does_not_lead_does_nothing(server: ApiServer) -> None:
    lease = {"holderIdentity": "b", "leaseDurationSeconds": 3600, "leaseTransitions": 1}
    server.put(LEASE, {"metadata": {}, "spec": lease})
    with fake_cluster(server) as (cluster, _), running_controller(server) as controller:
        cluster.add_job("job")
        until(lambda: controller.readiness_problem() == "", "the job is listed")
        until(lambda: [request.path for request in server.requests].count(LEASE) > 1, "two attempts to lead")
        assert {request.method for request in server.requests} <= {"GET", "PUT"}
        assert cluster.status("job") == {}
        assert samples(controller, "phjob_artifact_reconciles_total") == {}


def test_only_artifacts_are_reported_if_another_controller_runs_jobs(server: ApiServer) -> None:
    with fake_cluster(server) as (cluster, _), running_controller(server, reconcile=False) as controller:
        cluster.add_job("job", status={"phase": "Running", "reason": "PodRunning"})
        owner = {"kind": "PhJob", "name": "job", "uid": cluster.job("job")["metadata"]["uid"]}
        client = server.client()
        spec = {"containers": [{"name": "main", "command": ["true"]}]}
        labels = {"app": "primehub-job"}
        metadata = {"name": "job", "labels": labels, "annotations": {}, "ownerReferences": [owner]}
        client.request("POST", PODS, body={"metadata": metadata, "spec": spec})
        client.close()

        until(lambda: cluster.result("job").get("state") == "sealed", "the annotation")
        assert cluster.result("job")["files"] == 2
        assert cluster.status("job") == {"phase": "Running", "reason": "PodRunning"}
        until(lambda: cluster.events("job") == ["ArtifactsCollected"], "the event")
        assert samples(controller, "phjob_artifact_results_total") == {"sealed,none": 1.0}


def test_a_pod_deleted_while_no_controller_runs_is_unknown(server: ApiServer) -> None:
    with fake_cluster(server) as (cluster, _):
        artifact = {"state": "syncing", "podUid": "gone"}
        status = {"phase": "Running", "startTime": rfc3339(time.time()), "requeued": 0, "artifact": artifact}
        cluster.add_job("job", status=status)
        with running_controller(server) as controller:
            until(lambda: cluster.phase("job") == ("Failed", "unknown"), "the end")
            until(lambda: cluster.events("job") == ["ArtifactsUnknown", "PodUnknown"], "events")
            assert samples(controller, "phjob_artifact_results_total") == {"unknown,vanished": 1.0}
        with running_controller(server) as controller:
            until(lambda: controller.registry.get_sample_value("phjob_artifact_leader"), "the controller leads")
            cluster.add_job("other")
            until(lambda: cluster.events("other") == ["ArtifactsCollected"], "the end of another job")
            assert samples(controller, "phjob_artifact_results_total") == {"sealed,none": 1.0}


def test_finished_jobs_cause_no_requests(server: ApiServer) -> None:
    with fake_cluster(server) as (cluster, _):
        done = {"phase": "Succeeded", "finishTime": rfc3339(time.time()), "requeued": 0}
        for number in range(300):
            artifact = {"state": "sealed", "podUid": "x"}
            cluster.add_job(f"job-{number}", status=done | {"artifact": artifact})
        with running_controller(server, resync_seconds=0.05) as controller:
            until(
                lambda: samples(controller, "phjob_artifact_reconciles_total").get("done", 0) >= 300,
                "all jobs reconciled",
            )
            cluster.add_job("last")
            until(lambda: cluster.phase("last") == ("Succeeded", "sealed"), "the end of a new job")
        paths = [request.path for request in server.requests]
        assert [path for path in paths if "/phjobs/job-" in path or "/pods/job-" in path] == []


def test_an_ignored_instance_type_has_one_event(server: ApiServer) -> None:
    with fake_cluster(server) as (cluster, _), running_controller(server, main_cpu="2"):
        cluster.add_job("job", spec={"instanceType": "gpu-1"})
        until(lambda: cluster.phase("job") == ("Succeeded", "sealed"), "the end")
        until(lambda: len(cluster.events("job")) == 2, "events")
        assert cluster.events("job") == ["ArtifactsCollected", "InstanceTypeIgnored"]
        assert cluster.message("job", "InstanceTypeIgnored") == (
            "spec.instanceType gpu-1 is ignored: this installation gives every main the same resources (CPU 2, no GPU)"
        )


MALFORMED: list[dict[str, Any]] = [
    {"spec": {"groupName": "../other"}},
    {"spec": {"groupName": ["x"], "command": {"x": 1}}},
    {"spec": {"image": ""}},
    {"status": {"phase": 7, "requeued": "many", "artifact": [1], "startTime": "soon"}},
    {"metadata": {"annotations": {"primehub.io/artifact-expired-at": "x" * 1000, "primehub.io/artifact-result": "["}}},
]


def test_malformed_objects_do_not_affect_others(server: ApiServer) -> None:
    with fake_cluster(server) as (cluster, _):
        for number, fields in enumerate(MALFORMED):
            cluster.add_job(f"malformed-{number}", **fields)
        server.put(f"{PHJOBS}/none", {"spec": None, "status": 7})
        with running_controller(server, workers=1):
            cluster.add_job("job")
            until(lambda: cluster.phase("job") == ("Succeeded", "sealed"), "the end")
            until(
                lambda: cluster.status("malformed-0").get("reason") == "PodCreationFailed", "the end of a malformed job"
            )
            assert "is not a valid group name" in cluster.status("malformed-0")["message"]
            until(lambda: cluster.phase("malformed-4") == ("Succeeded", "sealed"), "the end of another one")


def test_an_internal_error_affects_one_job(server: ApiServer, monkeypatch: pytest.MonkeyPatch) -> None:
    def fail(job: Any, *arguments: Any) -> Any:
        if job.name == "bad":
            raise KeyError("fault")
        return plan_status(job, *arguments)

    monkeypatch.setattr(reconciler, "plan_status", fail)
    with fake_cluster(server) as (cluster, _), running_controller(server, workers=1) as controller:
        cluster.add_job("bad")
        cluster.add_job("good")
        until(lambda: cluster.phase("good") == ("Succeeded", "sealed"), "the end of the good job")
        assert samples(controller, "phjob_artifact_reconciles_total")["error"] >= 1


def test_health_reports_a_silent_watch(server: ApiServer, monkeypatch: pytest.MonkeyPatch) -> None:
    with running_controller(server, listen=("127.0.0.1", 0)) as controller:
        until(lambda: controller.readiness_problem() == "", "the controller is ready")
        root = f"http://127.0.0.1:{controller.port}"
        for path, content in (("/healthz", "ok"), ("/readyz", "ok"), ("/metrics", "phjob_artifact_build_info")):
            with urllib.request.urlopen(root + path) as response:
                assert content in response.read().decode()
        monkeypatch.setattr(run, "STALE_SECONDS", -1.0)
        with pytest.raises(urllib.error.HTTPError, match="503") as caught:
            urllib.request.urlopen(root + "/healthz")
        caught.value.close()
