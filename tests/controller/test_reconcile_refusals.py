"""Pods that the API server refuses: whose fault it is, of the sidecar, of the job, or of the controller."""

from collections.abc import Iterator

import pytest

from tests.controller.kubelet import PODS, world
from tests.controller.test_reconcile import controlling, samples
from tests.kube.apiserver import ApiServer
from tests.kube.informers import until
from tests.kube.objectstore import ApiError, Document


@pytest.fixture
def server() -> Iterator[ApiServer]:
    with ApiServer() as found:
        yield found


@pytest.mark.parametrize(
    ("code", "message", "reason"),
    [
        (403, "exceeded quota: q, requested: limits.memory=256Mi", "quota"),
        (403, "failed quota: q: must specify limits.cpu for: phjob-artifacts", "refused"),
        (403, "maximum memory usage per Container is 128Mi, but limit is 256Mi", "refused"),
        (422, "spec.initContainers[0].image: only images of registry.example", "refused"),
    ],
)
def test_a_pod_that_may_not_be_with_its_sidecar_costs_the_artifacts_not_the_job(
    server: ApiServer, code: int, message: str, reason: str
) -> None:
    def refuse(pod: Document) -> None:
        if pod["metadata"]["annotations"].get("primehub.io/artifact-enabled") != "false":
            raise ApiError(code, "Forbidden" if code == 403 else "Invalid", f'pods "job" is forbidden: {message}')

    with world(server) as (found, _), controlling(server) as controller:
        found.refuse = refuse
        found.add_job("job")
        until(lambda: found.phase("job") == ("Succeeded", "not-injected"), "its end")
        assert found.artifact("job")["reason"] == reason
        until(lambda: found.events("job") == ["ArtifactsNotCollected"], "its event")
        assert samples(controller, "phjob_artifact_results_total") == {f"not-injected,{reason}": 1.0}


@pytest.mark.parametrize("words", ["exceeded quota: q", "status unknown for quota: q, resources: pods"])
def test_a_quota_that_the_job_breaks_itself_lets_it_wait_as_primehub_does(server: ApiServer, words: str) -> None:
    def refuse(_: Document) -> None:
        raise ApiError(403, "Forbidden", f'pods "job" is forbidden: {words}')

    with world(server) as (found, _), controlling(server):
        found.refuse = refuse
        found.add_job("job")
        until(lambda: found.status("job").get("reason") == "OverQuota", "it waits")
        assert (found.phase("job")[0], found.status("job")["requeued"]) == ("Pending", 1)
        asked = [each for each in server.requests if each.method == "POST" and each.path.endswith("/pods")]
        assert len(asked) == 2  # with the sidecar and without; not again for a while


def test_a_pod_in_the_way_that_the_watch_does_not_show_is_told_and_waited_for(server: ApiServer) -> None:
    with world(server) as (found, _), controlling(server):
        anothers = {"metadata": {"labels": {"other": "pod"}}, "spec": {}, "status": {"phase": "Succeeded"}}
        server.put(f"{PODS}/job", anothers)
        found.add_job("job")
        until(lambda: "is in the way" in found.status("job").get("message", ""), "it is told")
        assert found.phase("job")[0] == "Pending"
        asked = [each for each in server.requests if each.method == "POST" and each.path.endswith("/pods")]
        assert len(asked) == 1  # not again for a while


@pytest.mark.parametrize(
    ("message", "fails"),
    [
        ('pods is forbidden: User "x" cannot create resource "pods" in API group ""', False),
        ('pods "job" is forbidden: violates PodSecurity "restricted:latest"', True),
    ],
)
def test_a_right_that_we_lack_fails_no_job_but_a_pod_that_may_not_be_does(
    server: ApiServer, message: str, fails: bool
) -> None:
    def refuse(_: Document) -> None:
        raise ApiError(403, "Forbidden", message)

    with world(server) as (found, _), controlling(server) as controller:
        found.refuse = refuse
        found.add_job("job")
        until(lambda: samples(controller, "phjob_artifact_kubernetes_errors_total").get("Forbidden"), "it is refused")
        if fails:
            until(lambda: found.status("job").get("reason") == "PodCreationFailed", "its end")
            assert message in found.status("job")["message"]
        else:
            found.refuse = lambda _: None
            until(lambda: found.phase("job") == ("Succeeded", "sealed"), "its end")
