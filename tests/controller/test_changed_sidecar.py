"""Pods whose sidecar another webhook has changed or removed after injection: every job ends and is reported."""

import time
from collections.abc import Iterator
from dataclasses import replace
from typing import Any

import pytest

from controller.reconcile.artifact_status import ArtifactStatus, is_new_outcome
from controller.reconcile.outcome import next_artifact_status
from controller.reconcile.pod import Pod, read_pod
from controller.reconcile.pod_builder import is_refused_for_sidecar
from controller.reconcile.sidecar_health import (
    change_reason,
    crash_reason,
    has_worked,
    is_recent,
    next_sidecar_check,
    start_failure,
)
from controller.reconcile.status_plan import CreatePod, DeletePod, plan_status
from tests.controller.fake_cluster import PHJOBS, PODS, fake_cluster
from tests.controller.objects import (
    NOW,
    POD_UID,
    SETTINGS,
    Document,
    ended,
    job,
    pod_document,
    rfc3339,
    running,
    summary,
    waiting,
)
from tests.controller.pod_samples import injected, make_pod
from tests.controller.test_reconcile import running_controller, samples
from tests.fellow_changes import DAMAGE
from tests.kube.apiserver import ApiServer
from tests.kube.informers import until
from tests.kube.objectstore import ApiError

BLOCKING, REMOVING = DAMAGE["drop-restart-policy-and-lifecycle"], DAMAGE["drop-sidecar"]


@pytest.fixture
def server() -> Iterator[ApiServer]:
    with ApiServer() as api_server:
        yield api_server


def changed_pod(change: str, **fields: Any) -> Pod:
    document = pod_document(**{"sidecar": {}} | fields)
    document["spec"]["volumes"] = []
    DAMAGE[change](document)
    return read_pod(document)


# For each change: whether the pod has the sidecar, whether it is changed, and whether main waits for the sidecar.
TABLE = {
    "none": (True, False, False),
    "drop-restart-policy": (False, True, True),
    "drop-restart-policy-and-lifecycle": (False, True, True),
    "change-restart-policy": (False, True, True),
    "drop-lifecycle": (True, False, False),
    "drop-sidecar": (False, True, False),
    "drop-init-containers": (False, True, False),
    "move-to-containers": (False, True, False),
    "rename-sidecar": (True, False, False),
    "drop-annotations": (True, False, False),
    "drop-everything-but-the-volume": (False, True, False),
    "add-first": (True, False, False),
}


@pytest.mark.parametrize("change", TABLE)
def test_the_controller_sees_what_became_of_the_sidecar(change: str) -> None:
    document = injected(make_pod())
    if change != "none":
        DAMAGE[change](document)
    pod = read_pod(document)
    assert (pod.has_sidecar, pod.is_changed, pod.blocks_main) == TABLE[change]
    assert bool(change_reason(pod)) == pod.is_changed


def test_a_renamed_sidecar_is_read_under_its_new_name() -> None:
    document = pod_document(main=ended(), sidecar=ended(message=summary()), phase="Succeeded")
    document["spec"]["initContainers"][0] |= {"name": "a-copy", "env": [{"name": "PHJOB_ARTIFACT_POD_UID"}]}
    document["status"]["initContainerStatuses"][0]["name"] = "a-copy"
    status = next_artifact_status(None, read_pod(document), SETTINGS, NOW)
    assert (status and status.state, status and status.files) == ("sealed", 2)


@pytest.mark.parametrize("scheduled", [None, NOW])
def test_main_that_waits_for_the_sidecars_end_is_a_failed_start_at_once(scheduled: float | None) -> None:
    pod = changed_pod("drop-restart-policy", scheduled=scheduled)
    assert "without restartPolicy: Always" in start_failure(pod, SETTINGS, NOW)
    assert next_sidecar_check(pod, SETTINGS, NOW) is None
    assert not start_failure(changed_pod("drop-restart-policy", main=running()), SETTINGS, NOW)
    assert not start_failure(changed_pod("drop-restart-policy", main=ended(), phase="Failed"), SETTINGS, NOW)


def test_a_probe_that_another_webhook_adds_is_a_failed_start_if_it_does_not_succeed() -> None:
    document = pod_document(sidecar=running())
    document["status"]["initContainerStatuses"][0]["started"] = False
    pod = read_pod(document)
    assert [bool(start_failure(pod, SETTINGS, NOW + seconds)) for seconds in (30, 119, 120)] == [False, False, True]
    assert next_sidecar_check(pod, SETTINGS, NOW + 60) == NOW + 120
    document["status"]["initContainerStatuses"][0]["started"] = True  # main waits for something else
    assert not start_failure(read_pod(document), SETTINGS, NOW + 3600)


def test_a_missing_sidecar_does_not_prevent_main_from_starting() -> None:
    pod = changed_pod("drop-sidecar")
    assert not start_failure(pod, SETTINGS, NOW + 3600)
    assert change_reason(pod) == "the container is missing"


def test_a_changed_sidecar_has_neither_worked_nor_crashed() -> None:
    for change in ("drop-restart-policy", "drop-sidecar"):
        pod = changed_pod(change, main=running(), sidecar=ended(3))
        assert not has_worked(pod, SETTINGS, NOW + 3600)
        assert not crash_reason(pod)
        assert [is_recent(pod, SETTINGS, NOW + seconds) for seconds in (0, 900, 3600)] == [True, True, False]


@pytest.mark.parametrize("change", ["drop-restart-policy", "drop-sidecar"])
@pytest.mark.parametrize(
    "states", [{}, {"main": running()}, {"main": ended(), "sidecar": ended(message=summary("empty"))}]
)
def test_the_status_states_the_change(change: str, states: dict[str, Any]) -> None:
    pod = changed_pod(change, **states)
    status = next_artifact_status(None, pod, SETTINGS, NOW)
    assert status
    assert (status.state, status.reason, status.pod_uid) == ("not-injected", "changed", POD_UID)
    assert (
        status.message == f"another webhook changed or removed the sidecar: ask an administrator: {change_reason(pod)}"
    )
    assert next_artifact_status(status, pod, SETTINGS, NOW + 3600) == status


def test_a_pod_that_waits_for_the_sidecars_end_is_recreated_without_it() -> None:
    phjob, pod = job({"phase": "Pending", "requeued": 0}), changed_pod("drop-restart-policy")
    plan = plan_status(phjob, pod, SETTINGS, NOW)
    assert plan.action == DeletePod(POD_UID, "9", 1)
    assert plan.artifact
    assert (plan.artifact.reason, plan.artifact.pod_uid) == ("changed", POD_UID)
    again = job({**plan.status, "artifact": {"state": "not-injected", "reason": "changed", "podUid": POD_UID}})
    assert plan_status(again, None, SETTINGS, NOW).action == CreatePod("changed")


def test_a_pod_recreated_because_of_a_change_is_reported_once() -> None:
    before = ArtifactStatus("not-injected", POD_UID, "why", reason="changed")
    annotations = {"primehub.io/artifact-enabled": "false", "primehub.io/without-artifact-sidecar": "changed"}
    after = next_artifact_status(before, read_pod(pod_document(uid="b", annotations=annotations)), SETTINGS, NOW)
    assert after == ArtifactStatus("not-injected", "b", "why", reason="changed")
    assert not is_new_outcome(before, after)


REFUSED = "spec.initContainers[0].lifecycle: Forbidden: may not be set for init containers without restartPolicy=Always"


@pytest.mark.parametrize(
    ("phase", "reason", "message", "expected"),
    [
        ("Failed", "PodCreationFailed", f'Pod "job" is invalid: {REFUSED}', True),
        (
            "Failed",
            "PodCreationFailed",
            'Pod "job" is invalid: spec.initContainers[0].volumeMounts[2].name: Not found: "phjob-artifacts-no-token"',
            True,
        ),
        ("Failed", "PodCreationFailed", "spec.containers[0].lifecycle.preStop: Required value", False),
        ("Failed", "PodCreationFailed", "spec.containers[0].image: Required value", False),
        ("Failed", "PodFailed", REFUSED, False),
        ("Pending", "PodCreationFailed", REFUSED, False),
    ],
)
def test_a_refusal_because_of_the_sidecar_is_recognized(phase: str, reason: str, message: str, expected: bool) -> None:
    assert is_refused_for_sidecar(job({"phase": phase, "reason": reason, "message": message})) == expected


def test_the_name_of_a_job_is_not_taken_for_the_sidecars() -> None:
    message = 'Pod "phjob-artifacts-1" is invalid: spec.containers[0].image: Required value'
    status = {"phase": "Failed", "reason": "PodCreationFailed", "message": message}
    assert not is_refused_for_sidecar(replace(job(status), name="phjob-artifacts-1"))
    assert is_refused_for_sidecar(job(status))


def test_jobs_end_with_an_event_if_the_sidecar_is_removed_or_blocks_main(server: ApiServer) -> None:
    with fake_cluster(server) as (cluster, _), running_controller(server, breaker_failures=0) as controller:
        cluster.change = REMOVING
        cluster.add_job("removed")
        until(lambda: cluster.phase("removed") == ("Succeeded", "not-injected"), "the end")
        cluster.change = BLOCKING
        cluster.add_job("blocked")
        until(lambda: cluster.phase("blocked") == ("Succeeded", "not-injected"), "the end")
        for name, pods in (("removed", 1), ("blocked", 2)):
            until(lambda name=name: cluster.events(name) == ["ArtifactsNotCollected"], name)  # type: ignore[misc]
            assert cluster.artifact(name)["reason"] == "changed"
            assert len(cluster.created[name]) == pods
        assert samples(controller, "phjob_artifact_results_total") == {"not-injected,changed": 2.0}
        assert samples(controller, "phjob_artifact_sidecar_start_failures_total") == {"": 2.0}


@pytest.mark.parametrize(("change", "paused"), [("drop-sidecar", {}), ("drop-restart-policy-and-lifecycle", {"": 1.0})])
def test_sidecars_that_another_webhook_made_block_main_pause_injection(
    server: ApiServer, change: str, paused: dict[str, float]
) -> None:
    """A removed sidecar does not block main, and is no evidence: users can create pods with our annotation alone."""
    with fake_cluster(server) as (cluster, _), running_controller(server) as controller:
        cluster.change = DAMAGE[change]
        for name in ("a", "b", "c"):
            cluster.add_job(name)
            until(lambda name=name: cluster.phase(name) == ("Succeeded", "not-injected"), name)  # type: ignore[misc]
        until(lambda: samples(controller, "phjob_artifact_sidecar_start_failures_total") == {"": 3.0}, "failures")
        until(lambda: samples(controller, "phjob_artifact_injection_paused_users") == paused, "the pause")
        assert samples(controller, "phjob_artifact_injection_off") == {}  # they are all of one user


def test_beside_another_controller_a_blocked_job_has_events_and_counts(server: ApiServer) -> None:
    with fake_cluster(server) as (cluster, _), running_controller(server, reconcile=False) as controller:
        for name in ("a", "b", "c"):
            cluster.add_job(name)
            document = pod_document(main=None, sidecar=waiting("PodInitializing"), created=time.time())
            document["metadata"] |= {"name": name, "uid": f"pod-{name}"}
            document["metadata"]["ownerReferences"][0]["uid"] = cluster.job(name)["metadata"]["uid"]
            document["status"]["phase"] = "Pending"
            BLOCKING(document)
            cluster.put_pod(document)
            until(lambda name=name: "CollectorFailed" in cluster.events(name), name)  # type: ignore[misc]
            assert "without restartPolicy: Always" in cluster.message(name, "CollectorFailed")
            until(lambda name=name: cluster.result(name).get("reason") == "changed", name)  # type: ignore[misc]
        assert samples(controller, "phjob_artifact_sidecar_start_failures_total") == {"": 3.0}
        until(lambda: samples(controller, "phjob_artifact_injection_paused_users") == {"": 1.0}, "the pause")
        assert not any(request.method == "DELETE" and request.path.startswith(PODS) for request in server.requests)


def test_beside_another_controller_refused_pods_have_events_and_count(server: ApiServer) -> None:
    status = {"phase": "Failed", "reason": "PodCreationFailed", "message": REFUSED}
    with fake_cluster(server) as (cluster, _), running_controller(server, reconcile=False) as controller:
        for name in ("a", "b", "c"):
            cluster.add_job(name, status=status | {"finishTime": rfc3339(time.time())})
            until(lambda name=name: "CollectorFailed" in cluster.events(name), name)  # type: ignore[misc]
            assert "may not be set for init containers" in cluster.message(name, "CollectorFailed")
        cluster.add_job("old", status=status | {"finishTime": rfc3339(time.time() - 3600)})
        until(lambda: samples(controller, "phjob_artifact_injection_paused_users") == {"": 1.0}, "the pause")
        assert samples(controller, "phjob_artifact_sidecar_start_failures_total") == {"": 3.0}
        assert cluster.events("old") == []
        assert not any(
            request.method == "PATCH" and request.path.startswith(f"{PHJOBS}/") and request.path.endswith("/status")
            for request in server.requests
        )


def test_a_refused_pod_runs_without_the_sidecar_at_once(server: ApiServer) -> None:
    def refuse(pod: Document) -> None:
        if pod["metadata"]["annotations"].get("primehub.io/artifact-enabled") != "false":
            raise ApiError(422, "Invalid", f'Pod "job" is invalid: {REFUSED}')

    with fake_cluster(server) as (cluster, _), running_controller(server):
        cluster.refuse = refuse
        cluster.add_job("job")
        until(lambda: cluster.phase("job") == ("Succeeded", "not-injected"), "the end")
        assert cluster.artifact("job")["reason"] == "refused"
