"""Plans for a PhJob's status and the action on its pod: tables of observed states."""

from dataclasses import replace
from typing import Any

import pytest

from controller.documents import text_field
from controller.reconcile.artifact_status import ArtifactStatus
from controller.reconcile.phjob import PhJob
from controller.reconcile.pod import Pod, read_pod
from controller.reconcile.status_plan import CreatePod, DeletePhJob, DeletePod, plan_status
from tests.controller.objects import (
    NOW,
    POD_UID,
    SETTINGS,
    ended,
    job,
    lost,
    pod,
    pod_document,
    rfc3339,
    running,
    summary,
    waiting,
)

LATE = NOW - 8 * 86400  # now, by a clock that is 8 days behind
RUNNING = {"phase": "Running", "reason": "PodRunning", "startTime": rfc3339(NOW), "requeued": 0}
PREPARING = {"phase": "Preparing", "reason": "PodPending", "requeued": 0}
DONE = {"phase": "Succeeded", "reason": "PodSucceeded", "finishTime": rfc3339(NOW), "requeued": 0}


def planned(phjob: PhJob, current: Pod | None, now: float = NOW + 20) -> tuple[str, str, Any]:
    """Return the planned phase, reason and action."""
    plan = plan_status(phjob, current, SETTINGS, now)
    return text_field(plan.status, "phase"), text_field(plan.status, "reason"), plan.action


def deleting(phjob: PhJob) -> PhJob:
    """Return the PhJob while it is being deleted, held by a finalizer."""
    return replace(phjob, is_deleting=True)


def created(phjob: PhJob, at: float) -> PhJob:
    """Return the PhJob with this creation time."""
    return replace(phjob, created_at=at)


DELETED = replace(pod(main=running(), sidecar=running()), is_gone=True)

TABLE = {
    "new": (job(), None, ("Pending", "PodPending", CreatePod())),
    "its pod waits": (job(), pod(), ("Preparing", "PodPending", None)),
    "main runs": (job(PREPARING), pod(main=running()), ("Running", "PodRunning", None)),
    "main succeeded, its sidecar collects": (
        job(RUNNING),
        pod(main=ended(), sidecar=running(), phase="Running"),
        ("Succeeded", "PodSucceeded", None),
    ),
    "main runs on a node whose clock is 8 days behind": (
        job(PREPARING, activeDeadlineSeconds=3600),
        pod(main=running(LATE), sidecar=running(LATE), accepted=LATE),
        ("Running", "PodRunning", None),
    ),
    "main failed": (job(RUNNING), pod(main=ended(7), phase="Failed"), ("Failed", "PodFailed", None)),
    "evicted, no state of main": (job(RUNNING), pod(phase="Failed"), ("Failed", "PodFailed", None)),
    "being deleted before its pod was created": (deleting(job()), None, ("Cancelled", "Cancelled", None)),
    "being deleted while it prepares": (
        deleting(job(PREPARING)),
        pod(),
        ("Preparing", "Cancelled", DeletePod(POD_UID)),
    ),
    "being deleted, main runs": (
        deleting(job(RUNNING)),
        pod(main=running(), sidecar=running()),
        ("Running", "Cancelled", DeletePod(POD_UID, grace_seconds=30)),
    ),
    "being deleted, over its deadline": (
        deleting(job(RUNNING | {"reason": "OverActivateDeadline"})),
        pod(main=ended(137), deleting=NOW + 10, phase="Failed"),
        ("Failed", "OverActivateDeadline", None),
    ),
    "being deleted, past its ttl": (
        deleting(job(DONE, ttlSecondsAfterFinished=5)),
        None,
        ("Succeeded", "PodSucceeded", None),
    ),
    "a forged end before its creation": (
        created(job(DONE | {"finishTime": "0001-01-01T00:00:00Z"}, ttlSecondsAfterFinished=5), NOW - 60),
        None,
        ("Succeeded", "PodSucceeded", None),
    ),
    "a forged end before main's end": (
        created(job(DONE | {"finishTime": rfc3339(NOW - 60)}, ttlSecondsAfterFinished=15), NOW - 60),
        pod(main=ended(at=NOW + 10), phase="Succeeded"),
        ("Succeeded", "PodSucceeded", None),
    ),
    "cancelled before its pod was created": (job(cancel=True), None, ("Cancelled", "Cancelled", None)),
    "cancelled while it prepares": (job(PREPARING, cancel=True), pod(), ("Preparing", "Cancelled", DeletePod(POD_UID))),
    "cancelled with main's own grace": (
        job(RUNNING, cancel=True),
        pod(main=running(), sidecar=running()),
        ("Running", "Cancelled", DeletePod(POD_UID, grace_seconds=30)),
    ),
    "cancelled, main has time left": (
        job(RUNNING | {"reason": "Cancelled"}, cancel=True),
        pod(main=running(), deleting=NOW + 40),
        ("Running", "Cancelled", None),
    ),
    "cancelled, main exits with 0": (
        job(RUNNING | {"reason": "Cancelled"}, cancel=True),
        pod(main=ended(), deleting=NOW + 40),
        ("Cancelled", "Cancelled", None),
    ),
    "cancelled too late": (job(RUNNING, cancel=True), pod(main=ended()), ("Succeeded", "PodSucceeded", None)),
    "cancelled, its node is lost": (
        job(RUNNING | {"reason": "Cancelled"}, cancel=True),
        pod(main=running(), deleting=NOW - 200),
        ("Cancelled", "Cancelled", None),
    ),
    "over its deadline": (
        job(RUNNING, activeDeadlineSeconds=5),
        pod(main=running()),
        ("Running", "OverActivateDeadline", DeletePod(POD_UID, grace_seconds=120)),
    ),
    "over the default deadline": (
        job(RUNNING),
        pod(main=running(NOW - 86400)),
        ("Running", "OverActivateDeadline", DeletePod(POD_UID, grace_seconds=120)),
    ),
    "over its deadline, cancelled later": (
        job(RUNNING | {"reason": "OverActivateDeadline"}, activeDeadlineSeconds=5, cancel=True),
        pod(main=ended(143), deleting=NOW),
        ("Failed", "OverActivateDeadline", None),
    ),
    "a deadline of 0 means no deadline": (
        job(RUNNING, activeDeadlineSeconds=0),
        pod(main=running(NOW - 10**9)),
        ("Running", "PodRunning", None),
    ),
    "its running pod is deleted": (job(RUNNING), None, ("Failed", "PodUnknown", None)),
    "its running pod is deleted, and its last state is known": (job(RUNNING), DELETED, ("Failed", "PodUnknown", None)),
    "its waiting pod is deleted": (job(PREPARING), None, ("Preparing", "PodPending", CreatePod())),
    "somebody deleted its pod": (
        job(RUNNING),
        pod(main=ended(143), deleting=NOW, phase="Failed"),
        ("Failed", "PodFailed", None),
    ),
    "deleted before main ran, the kubelet reports an end": (
        job(PREPARING),
        pod(main=ended(137, since=None), deleting=NOW, phase="Failed"),
        ("Preparing", "PodPending", None),
    ),
    "the status of a main that ran is lost": (
        job(RUNNING),
        pod(main=ended(137, since=None), deleting=NOW, phase="Failed"),
        ("Failed", "PodFailed", None),
    ),
    "main's command cannot be started": (
        job(PREPARING),
        pod(main=ended(128, since=0.0), phase="Failed"),
        ("Failed", "PodFailed", None),
    ),
    "preparing too long": (
        job(PREPARING),
        pod(created=NOW - 170),
        ("Pending", "PodPending", DeletePod(POD_UID, resource_version="9")),
    ),
    "requeued too often": (
        job(PREPARING | {"requeued": 3}, requeueLimit=2),
        None,
        ("Failed", "OverRequeueLimit", None),
    ),
    "requeued as often as allowed": (
        job(PREPARING | {"requeued": 2}, requeueLimit=2),
        None,
        ("Preparing", "PodPending", CreatePod()),
    ),
    "another pod has the name": (job(), pod(owner="other"), ("Pending", "PodPending", None)),
    "its sidecar's image is missing": (
        job(PREPARING),
        pod(scheduled=NOW - 20, sidecar=waiting("ImagePullBackOff")),
        ("Preparing", "PodPending", DeletePod(POD_UID, "9", 1)),
    ),
    "its sidecar's image has just failed": (
        job(PREPARING),
        pod(scheduled=NOW, sidecar=waiting("ErrImagePull")),
        ("Preparing", "PodPending", None),
    ),
    "its sidecar's image is being pulled": (
        job(PREPARING),
        pod(scheduled=NOW - 80, sidecar=waiting("PodInitializing")),
        ("Preparing", "PodPending", None),
    ),
    "its sidecar's volume is not mounted": (
        job(PREPARING),
        pod(scheduled=NOW - 110, created=NOW - 110, sidecar=waiting("ContainerCreating")),
        ("Preparing", "PodPending", DeletePod(POD_UID, "9", 1)),
    ),
    "its sidecar crashes after main has started": (
        job(RUNNING),
        pod(main=running(), scheduled=NOW - 100, sidecar=waiting("CrashLoopBackOff")),
        ("Running", "PodRunning", None),
    ),
    "the sidecar of an ended job does not end": (
        job(DONE),
        pod(main=ended(at=NOW - 170), sidecar=running(), phase="Running"),
        ("Succeeded", "PodSucceeded", DeletePod(POD_UID, grace_seconds=1)),
    ),
    "the main of an ended job does not end": (
        job(DONE),
        pod(main=running(), sidecar=running()),
        ("Succeeded", "PodSucceeded", DeletePod(POD_UID, grace_seconds=30)),
    ),
    "an ended job": (job(DONE), pod(main=ended(), phase="Succeeded"), ("Succeeded", "PodSucceeded", None)),
    "its ttl has passed": (job(DONE, ttlSecondsAfterFinished=10), None, ("Succeeded", "PodSucceeded", DeletePhJob())),
    "a ttl of 0 means no ttl": (job(DONE, ttlSecondsAfterFinished=0), None, ("Succeeded", "PodSucceeded", None)),
}


@pytest.mark.parametrize("case", TABLE)
def test_the_plan_follows_from_the_observed_state(case: str) -> None:
    phjob, current, expected = TABLE[case]
    assert planned(phjob, current) == expected


def test_the_job_ends_with_main_while_the_sidecar_collects() -> None:
    plan = plan_status(
        job(RUNNING), pod(main=ended(7, at=NOW + 5), sidecar=running(), phase="Running"), SETTINGS, NOW + 60
    )
    assert plan.status == {
        "phase": "Failed",
        "reason": "PodFailed",
        "message": "main ended: exit code 7",
        "startTime": rfc3339(NOW),
        "finishTime": rfc3339(NOW + 5),
        "exitCode": 7,
        "podName": "job",
        "requeued": 0,
    }
    assert plan.artifact == ArtifactStatus("collecting", POD_UID)


@pytest.mark.parametrize(
    ("accepted", "since", "at", "times"),
    [
        (NOW, NOW + 1, NOW + 5, (NOW + 1, NOW + 5)),
        (LATE, LATE + 1, LATE + 5, (NOW + 1, NOW + 5)),  # the kubelet's clock is behind
        (LATE, LATE + 1, NOW + 5, (NOW + 1, NOW + 60)),  # and was set while main ran
        (NOW - 30, NOW - 29, NOW - 25, (NOW - 29, NOW - 25)),  # within the tolerance
        (NOW + 999, NOW + 1000, NOW + 1005, (NOW + 1000, NOW + 60)),  # ahead: the end is not in the future
    ],
)
def test_times_of_a_kubelet_with_a_wrong_clock_are_corrected(
    accepted: float, since: float, at: float, times: tuple[float, float]
) -> None:
    main_ended = pod(main=ended(at=at, since=since), sidecar=running(), phase="Running", accepted=accepted)
    plan = plan_status(job(), main_ended, SETTINGS, NOW + 60)
    assert (plan.status["startTime"], plan.status["finishTime"]) == tuple(map(rfc3339, times))


def test_nothing_is_made_up_for_an_evicted_main_with_a_lost_status() -> None:
    document = pod_document(main=lost(), sidecar=ended(message=summary()), phase="Failed")
    document["status"] |= {"reason": "Evicted", "message": "Usage of EmptyDir volume exceeds the limit"}
    status = plan_status(job(RUNNING), read_pod(document), SETTINGS, NOW + 20).status
    assert (status["phase"], status["reason"], status["startTime"]) == ("Failed", "PodFailed", rfc3339(NOW))
    assert status["message"] == "main ended: exit code unknown; Evicted: Usage of EmptyDir volume exceeds the limit"
    assert "exitCode" not in status


MEMORY = "killed, probably out of memory"


@pytest.mark.parametrize(
    ("code", "reason", "status", "message"),
    [
        (137, "OOMKilled", {}, "main ended: exit code 137 (OOMKilled)"),
        (137, "Error", {}, f"main ended: exit code 137 ({MEMORY})"),
        (137, "Error", {"reason": "Evicted", "message": "full"}, "main ended: exit code 137; Evicted: full"),
        (143, "Error", {}, "main ended: exit code 143"),
        (1, "ContainerCannotRun", {}, "main ended: exit code 1 (ContainerCannotRun)"),
    ],
)
def test_the_reason_of_mains_end_is_in_the_message(
    code: int, reason: str, status: dict[str, str], message: str
) -> None:
    document = pod_document(main=ended(code, reason=reason), phase="Failed")
    document["status"] |= status
    assert plan_status(job(RUNNING), read_pod(document), SETTINGS, NOW + 20).status["message"] == message


def test_a_main_killed_by_the_pods_deletion_is_not_reported_as_out_of_memory() -> None:
    deleted = pod(main=ended(137), phase="Failed", deleting=NOW + 30)
    message = plan_status(job(RUNNING), deleted, SETTINGS, NOW + 20).status["message"]
    assert message == "main ended: exit code 137; the pod was deleted"


def test_enabling_collection_does_not_report_jobs_that_ended_before() -> None:
    old = pod(main=ended(), phase="Succeeded")
    assert plan_status(job(DONE), old, replace(SETTINGS, collects=False), NOW + 3600).artifact is None
    assert plan_status(job(DONE), old, SETTINGS, NOW + 3600).artifact is None


def test_a_running_sidecar_is_checked_after_a_while() -> None:
    both = pod(main=running(), sidecar=running(), phase="Running")
    assert plan_status(job(RUNNING, activeDeadlineSeconds=0), both, SETTINGS, NOW + 20).check_at == NOW + 30
    assert plan_status(job(RUNNING, activeDeadlineSeconds=25), both, SETTINGS, NOW + 20).check_at == NOW + 25
    assert plan_status(job(RUNNING, activeDeadlineSeconds=0), both, SETTINGS, NOW + 40).check_at is None


def test_a_pod_whose_sidecar_fails_is_recreated_without_it() -> None:
    stuck = pod(scheduled=NOW - 20, sidecar=waiting("ImagePullBackOff", "no such image"))
    first = plan_status(job(PREPARING), stuck, SETTINGS, NOW + 20)
    assert first.artifact is not None
    assert (first.artifact.state, first.artifact.reason) == ("not-injected", "start")
    assert "no such image" in first.artifact.message
    reported = replace(job(PREPARING), status_artifact=first.artifact)
    again = plan_status(reported, stuck, SETTINGS, NOW + 21)
    assert (again.artifact, again.action) == (first.artifact, first.action)
    assert plan_status(reported, None, SETTINGS, NOW + 22).action == CreatePod("start")


def test_a_requeue_is_counted_once() -> None:
    first = plan_status(job(PREPARING), pod(created=NOW - 170), SETTINGS, NOW + 20)
    assert first.status["requeued"] == 1
    after = replace(job(PREPARING), status=first.status)
    again = plan_status(after, pod(created=NOW - 170), SETTINGS, NOW + 21)
    assert (again.status, again.action) == (first.status, first.action)


@pytest.mark.parametrize(
    ("annotated", "reported", "removed_at"),
    [
        (0, 0, NOW + 100),
        (0, NOW + 500, NOW + 500),
        (NOW + 700, NOW + 500, NOW + 700),
        (NOW + 300, NOW + 500, NOW + 500),  # annotated while the job ran
        (NOW + 50, 0, NOW + 100),
        (-(NOW + 60), NOW + 500, NOW + 100),  # removed
        (-(NOW - 3600), NOW + 500, NOW + 500),  # copied from another PhJob
    ],
)
def test_the_phjob_but_not_its_pod_waits_for_the_artifacts_expiry(
    annotated: float, reported: float, removed_at: float
) -> None:
    artifact = ArtifactStatus("sealed", POD_UID, expired_at=int(reported))
    phjob = replace(job(DONE, ttlSecondsAfterFinished=100), status_artifact=artifact, annotated_expiry=int(annotated))
    finished = pod(main=ended(), sidecar=ended(message=summary()), phase="Succeeded")
    before = plan_status(phjob, finished, SETTINGS, removed_at - 1)
    assert before.action == (DeletePod(POD_UID) if removed_at > NOW + 101 else None)
    assert plan_status(phjob, None, SETTINGS, removed_at).action == DeletePhJob()


@pytest.mark.parametrize(("other", "grace_seconds"), [(running(), 30), (None, 1)])
def test_a_pod_that_does_not_end_is_deleted_before_its_outcome_is_given_up(
    other: dict[str, Any] | None, grace_seconds: int
) -> None:
    artifact = ArtifactStatus("collecting", POD_UID)
    phjob = replace(job(DONE), status_artifact=artifact)
    stuck = pod(main=ended(at=NOW), sidecar=running(), phase="Running", other=other)
    plan = plan_status(phjob, stuck, SETTINGS, NOW + 1000)
    assert plan.action == DeletePod(POD_UID, grace_seconds=grace_seconds)
    assert plan.artifact is not None
    assert plan.artifact.state == "collecting"

    deleted = replace(stuck, deletion_at=NOW + 1030)
    waiting_for_end = plan_status(replace(phjob, status_artifact=plan.artifact), deleted, SETTINGS, NOW + 1001)
    assert (waiting_for_end.action, waiting_for_end.check_at) == (None, NOW + 1150)
    last = replace(deleted, sidecar=read_pod(pod_document(sidecar=ended(message=summary()))).sidecar, is_gone=True)
    sealed = plan_status(replace(phjob, status_artifact=plan.artifact), last, SETTINGS, NOW + 1031)
    assert sealed.artifact is not None
    assert (sealed.artifact.state, sealed.artifact.files) == ("sealed", 2)
    given_up = plan_status(replace(phjob, status_artifact=plan.artifact), deleted, SETTINGS, NOW + 1150)
    assert given_up.artifact is not None
    assert given_up.artifact.state == "unknown"


def test_the_phjob_stays_while_its_artifacts_are_collected() -> None:
    artifact = ArtifactStatus("syncing", POD_UID)
    phjob = replace(job(DONE, ttlSecondsAfterFinished=1), status_artifact=artifact)
    collecting = pod(main=ended(at=NOW), sidecar=running(), phase="Running")
    assert plan_status(phjob, collecting, SETTINGS, NOW + 60).action is None


@pytest.mark.parametrize("forged", ["0001-01-01T00:00:00Z", "9999-12-31T23:59:59Z", "soon"])
def test_a_forged_end_is_replaced_by_the_current_time(forged: str) -> None:
    plan = plan_status(created(job(DONE | {"finishTime": forged}), NOW), None, SETTINGS, NOW + 20)
    assert plan.status["finishTime"] == rfc3339(NOW + 20)
    assert plan.check_at == NOW + 20 + SETTINGS.ttl_seconds
