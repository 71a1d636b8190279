"""Pods that the API server refuses because of the sidecar, the job or the controller."""

from collections.abc import Iterator

import pytest

from tests.controller.fake_cluster import PODS, fake_cluster
from tests.controller.test_reconcile import running_controller, samples
from tests.kube.apiserver import ApiServer
from tests.kube.informers import until
from tests.kube.objectstore import ApiError, Document


@pytest.fixture
def server() -> Iterator[ApiServer]:
    with ApiServer() as api_server:
        yield api_server


@pytest.mark.parametrize(
    ("code", "message", "reason"),
    [
        (403, "exceeded quota: q, requested: limits.memory=256Mi", "quota"),
        (403, "failed quota: q: must specify limits.cpu for: phjob-artifacts", "refused"),
        (403, "maximum memory usage per Container is 128Mi, but limit is 256Mi", "refused"),
        (422, "spec.initContainers[0].image: only images of registry.example", "refused"),
    ],
)
def test_a_pod_refused_with_its_sidecar_runs_without(server: ApiServer, code: int, message: str, reason: str) -> None:
    def refuse(pod: Document) -> None:
        if pod["metadata"]["annotations"].get("primehub.io/artifact-enabled") != "false":
            raise ApiError(code, "Forbidden" if code == 403 else "Invalid", f'pods "job" is forbidden: {message}')

    with fake_cluster(server) as (cluster, _), running_controller(server) as controller:
        cluster.refuse = refuse
        cluster.add_job("job")
        until(lambda: cluster.phase("job") == ("Succeeded", "not-injected"), "the end")
        assert cluster.artifact("job")["reason"] == reason
        until(lambda: cluster.events("job") == ["ArtifactsNotCollected"], "the event")
        assert samples(controller, "phjob_artifact_results_total") == {f"not-injected,{reason}": 1.0}


def test_a_webhook_that_does_not_answer_is_named_until_it_does(server: ApiServer) -> None:
    message = 'failed calling webhook "other.example.com": connection refused'

    def refuse(_: Document) -> None:
        raise ApiError(500, "InternalError", f"Internal error occurred: {message}")

    with fake_cluster(server) as (cluster, _), running_controller(server):
        cluster.refuse = refuse
        cluster.add_job("job")
        until(lambda: message in cluster.status("job").get("message", ""), "the message")
        assert (cluster.phase("job")[0], cluster.status("job")["reason"]) == ("Pending", "PodPending")
        until(lambda: cluster.events("job") == ["PodDelayed"], "the event")
        assert message in cluster.message("job", "PodDelayed")
        cluster.refuse = lambda _: None
        until(lambda: cluster.phase("job") == ("Succeeded", "sealed"), "the end")
        assert cluster.status("job")["message"] == "Job completed"


@pytest.mark.parametrize("message", ["exceeded quota: q", "status unknown for quota: q, resources: pods"])
def test_a_job_over_its_quota_waits(server: ApiServer, message: str) -> None:
    def refuse(_: Document) -> None:
        raise ApiError(403, "Forbidden", f'pods "job" is forbidden: {message}')

    with fake_cluster(server) as (cluster, _), running_controller(server):
        cluster.refuse = refuse
        cluster.add_job("job")
        until(lambda: cluster.status("job").get("reason") == "OverQuota", "the job waits")
        assert (cluster.phase("job")[0], cluster.status("job")["requeued"]) == ("Pending", 1)
        creations = [request for request in server.requests if request.method == "POST" and request.path == PODS]
        assert len(creations) == 2  # with and without the sidecar; the retry comes later


def test_a_pod_of_another_owner_with_the_name_is_reported_and_waited_for(server: ApiServer) -> None:
    with fake_cluster(server) as (cluster, _), running_controller(server):
        other = {"metadata": {"labels": {"other": "pod"}}, "spec": {}, "status": {"phase": "Succeeded"}}
        server.put(f"{PODS}/job", other)
        cluster.add_job("job")
        until(lambda: "another pod has the name" in cluster.status("job").get("message", ""), "the status")
        assert cluster.phase("job")[0] == "Pending"
        creations = [request for request in server.requests if request.method == "POST" and request.path == PODS]
        assert len(creations) == 1  # the retry comes later


@pytest.mark.parametrize(
    ("message", "fails"),
    [
        ('pods is forbidden: User "x" cannot create resource "pods" in API group ""', False),
        ('pods "job" is forbidden: violates PodSecurity "restricted:latest"', True),
    ],
)
def test_a_missing_right_does_not_fail_a_job_but_a_forbidden_pod_does(
    server: ApiServer, message: str, fails: bool
) -> None:
    def refuse(_: Document) -> None:
        raise ApiError(403, "Forbidden", message)

    with fake_cluster(server) as (cluster, _), running_controller(server) as controller:
        cluster.refuse = refuse
        cluster.add_job("job")
        until(lambda: samples(controller, "phjob_artifact_kubernetes_errors_total").get("Forbidden"), "the refusal")
        if fails:
            until(lambda: cluster.status("job").get("reason") == "PodCreationFailed", "the end")
            assert message in cluster.status("job")["message"]
        else:
            cluster.refuse = lambda _: None
            until(lambda: cluster.phase("job") == ("Succeeded", "sealed"), "the end")
