"""What a PhJob's status becomes, and what is done about its pod: tables of what may be seen."""

from dataclasses import replace
from typing import Any

import pytest

from controller.reconcile.artifact import Artifact
from controller.reconcile.documents import text
from controller.reconcile.phjob import PhJob
from controller.reconcile.pod import Pod, read_pod
from controller.reconcile.status import CreatePod, DeletePhJob, DeletePod, decide
from tests.controller.cluster import (
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

RUNNING = {"phase": "Running", "reason": "PodRunning", "startTime": rfc3339(NOW), "requeued": 0}
PREPARING = {"phase": "Preparing", "reason": "PodPending", "requeued": 0}
DONE = {"phase": "Succeeded", "reason": "PodSucceeded", "finishTime": rfc3339(NOW), "requeued": 0}


def seen(found: PhJob, of: Pod | None, now: float = NOW + 20) -> tuple[str, str, Any]:
    """Phase, reason, action."""
    decision = decide(found, of, SETTINGS, now)
    return text(decision.status, "phase"), text(decision.status, "reason"), decision.action


GONE = replace(pod(main=running(), sidecar=running()), gone=True)

TABLE = {
    "new": (job(), None, ("Pending", "PodPending", CreatePod())),
    "its pod waits": (job(), pod(), ("Preparing", "PodPending", None)),
    "main runs": (job(PREPARING), pod(main=running()), ("Running", "PodRunning", None)),
    "main ended well, its sidecar collects": (
        job(RUNNING),
        pod(main=ended(), sidecar=running(), phase="Running"),
        ("Succeeded", "PodSucceeded", None),
    ),
    "main ended badly": (job(RUNNING), pod(main=ended(7), phase="Failed"), ("Failed", "PodFailed", None)),
    "evicted with no word of main": (job(RUNNING), pod(phase="Failed"), ("Failed", "PodFailed", None)),
    "cancelled before its pod was made": (job(cancel=True), None, ("Cancelled", "Cancelled", None)),
    "cancelled while it prepares": (job(PREPARING, cancel=True), pod(), ("Preparing", "Cancelled", DeletePod(POD_UID))),
    "cancelled with main's own grace": (
        job(RUNNING, cancel=True),
        pod(main=running(), sidecar=running()),
        ("Running", "Cancelled", DeletePod(POD_UID, grace_seconds=30)),
    ),
    "cancelled, main has still time": (
        job(RUNNING | {"reason": "Cancelled"}, cancel=True),
        pod(main=running(), deleting=NOW + 40),
        ("Running", "Cancelled", None),
    ),
    "cancelled, main obeys with 0": (
        job(RUNNING | {"reason": "Cancelled"}, cancel=True),
        pod(main=ended(), deleting=NOW + 40),
        ("Cancelled", "Cancelled", None),
    ),
    "cancelled too late": (job(RUNNING, cancel=True), pod(main=ended()), ("Succeeded", "PodSucceeded", None)),
    "cancelled, its node is dead": (
        job(RUNNING | {"reason": "Cancelled"}, cancel=True),
        pod(main=running(), deleting=NOW - 200),
        ("Cancelled", "Cancelled", None),
    ),
    "over its deadline": (
        job(RUNNING, activeDeadlineSeconds=5),
        pod(main=running()),
        ("Running", "OverActivateDeadline", DeletePod(POD_UID, grace_seconds=120)),
    ),
    "over the installation's deadline": (
        job(RUNNING),
        pod(main=running(NOW - 86400)),
        ("Running", "OverActivateDeadline", DeletePod(POD_UID, grace_seconds=120)),
    ),
    "over its deadline, cancelled later": (
        job(RUNNING | {"reason": "OverActivateDeadline"}, activeDeadlineSeconds=5, cancel=True),
        pod(main=ended(143), deleting=NOW),
        ("Failed", "OverActivateDeadline", None),
    ),
    "a deadline of 0 is none": (
        job(RUNNING, activeDeadlineSeconds=0),
        pod(main=running(NOW - 10**9)),
        ("Running", "PodRunning", None),
    ),
    "its running pod is gone": (job(RUNNING), None, ("Failed", "PodUnknown", None)),
    "its running pod is gone, and was seen": (job(RUNNING), GONE, ("Failed", "PodUnknown", None)),
    "its waiting pod is gone": (job(PREPARING), None, ("Preparing", "PodPending", CreatePod())),
    "somebody deleted its pod": (
        job(RUNNING),
        pod(main=ended(143), deleting=NOW, phase="Failed"),
        ("Failed", "PodFailed", None),
    ),
    "deleted before main ran, kubelet tells an end": (
        job(PREPARING),
        pod(main=ended(137, since=None), deleting=NOW, phase="Failed"),
        ("Preparing", "PodPending", None),
    ),
    "lost sight of a main that ran": (
        job(RUNNING),
        pod(main=ended(137, since=None), deleting=NOW, phase="Failed"),
        ("Failed", "PodFailed", None),
    ),
    "main's command cannot be started": (
        job(PREPARING),
        pod(main=ended(128, since=0.0), phase="Failed"),
        ("Failed", "PodFailed", None),
    ),
    "prepares too long": (
        job(PREPARING),
        pod(created=NOW - 170),
        ("Pending", "PodPending", DeletePod(POD_UID, version="9")),
    ),
    "queued again too often": (
        job(PREPARING | {"requeued": 3}, requeueLimit=2),
        None,
        ("Failed", "OverRequeueLimit", None),
    ),
    "queued again as often as it may be": (
        job(PREPARING | {"requeued": 2}, requeueLimit=2),
        None,
        ("Preparing", "PodPending", CreatePod()),
    ),
    "another's pod is in the way": (job(), pod(owner="other"), ("Pending", "PodPending", None)),
    "its sidecar's image is missing": (
        job(PREPARING),
        pod(scheduled=NOW - 20, sidecar=waiting("ImagePullBackOff")),
        ("Preparing", "PodPending", DeletePod(POD_UID, "9", 1)),
    ),
    "its sidecar's image is missing since a moment": (
        job(PREPARING),
        pod(scheduled=NOW, sidecar=waiting("ErrImagePull")),
        ("Preparing", "PodPending", None),
    ),
    "its sidecar is pulled": (
        job(PREPARING),
        pod(scheduled=NOW - 80, sidecar=waiting("PodInitializing")),
        ("Preparing", "PodPending", None),
    ),
    "its sidecar's volume does not come": (
        job(PREPARING),
        pod(scheduled=NOW - 110, created=NOW - 110, sidecar=waiting("ContainerCreating")),
        ("Preparing", "PodPending", DeletePod(POD_UID, "9", 1)),
    ),
    "its sidecar crashes after main has started": (
        job(RUNNING),
        pod(main=running(), scheduled=NOW - 100, sidecar=waiting("CrashLoopBackOff")),
        ("Running", "PodRunning", None),
    ),
    "an ended job's sidecar holds its pod": (
        job(DONE),
        pod(main=ended(at=NOW - 170), sidecar=running(), phase="Running"),
        ("Succeeded", "PodSucceeded", DeletePod(POD_UID, grace_seconds=1)),
    ),
    "an ended job's main goes on": (
        job(DONE),
        pod(main=running(), sidecar=running()),
        ("Succeeded", "PodSucceeded", DeletePod(POD_UID, grace_seconds=30)),
    ),
    "an ended job": (job(DONE), pod(main=ended(), phase="Succeeded"), ("Succeeded", "PodSucceeded", None)),
    "its time is over": (job(DONE, ttlSecondsAfterFinished=10), None, ("Succeeded", "PodSucceeded", DeletePhJob())),
    "a time of 0 is never over": (job(DONE, ttlSecondsAfterFinished=0), None, ("Succeeded", "PodSucceeded", None)),
}


@pytest.mark.parametrize("case", TABLE)
def test_status_follows_from_what_is_seen(case: str) -> None:
    found, of, expected = TABLE[case]
    assert seen(found, of) == expected


def test_finish_time_exit_code_and_reason_are_mains_while_the_sidecar_collects() -> None:
    decision = decide(
        job(RUNNING), pod(main=ended(7, at=NOW + 5), sidecar=running(), phase="Running"), SETTINGS, NOW + 60
    )
    assert decision.status == {
        "phase": "Failed",
        "reason": "PodFailed",
        "message": "main ended: exit code 7",
        "startTime": rfc3339(NOW),
        "finishTime": rfc3339(NOW + 5),
        "exitCode": 7,
        "podName": "job",
        "requeued": 0,
    }
    assert decision.artifact == Artifact("collecting", POD_UID)


def test_of_an_evicted_main_that_was_lost_sight_of_nothing_is_made_up() -> None:
    document = pod_document(main=lost(), sidecar=ended(message=summary()), phase="Failed")
    document["status"] |= {"reason": "Evicted", "message": "Usage of EmptyDir volume exceeds the limit"}
    status = decide(job(RUNNING), read_pod(document), SETTINGS, NOW + 20).status
    assert (status["phase"], status["reason"], status["startTime"]) == ("Failed", "PodFailed", rfc3339(NOW))
    assert status["message"] == "main ended: exit code unknown; Evicted: Usage of EmptyDir volume exceeds the limit"
    assert "exitCode" not in status


MEMORY = "killed, often for want of memory"


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
def test_why_main_ended_is_told_where_anything_is_known(
    code: int, reason: str, status: dict[str, str], message: str
) -> None:
    document = pod_document(main=ended(code, reason=reason), phase="Failed")
    document["status"] |= status
    assert decide(job(RUNNING), read_pod(document), SETTINGS, NOW + 20).status["message"] == message


def test_a_main_that_its_deleted_pod_killed_is_not_said_to_want_memory() -> None:
    deleted = pod(main=ended(137), phase="Failed", deleting=NOW + 30)
    message = decide(job(RUNNING), deleted, SETTINGS, NOW + 20).status["message"]
    assert message == "main ended: exit code 137; its pod was deleted"


def test_once_the_collector_is_switched_on_nothing_is_told_of_jobs_that_ended_before() -> None:
    old = pod(main=ended(), phase="Succeeded")
    assert decide(job(DONE), old, replace(SETTINGS, collects=False), NOW + 3600).artifact is None
    assert decide(job(DONE), old, SETTINGS, NOW + 3600).artifact is None


def test_when_a_sidecar_has_run_for_a_while_it_is_looked_at() -> None:
    both = pod(main=running(), sidecar=running(), phase="Running")
    assert decide(job(RUNNING, activeDeadlineSeconds=0), both, SETTINGS, NOW + 20).look_at == NOW + 30
    assert decide(job(RUNNING, activeDeadlineSeconds=25), both, SETTINGS, NOW + 20).look_at == NOW + 25
    assert decide(job(RUNNING, activeDeadlineSeconds=0), both, SETTINGS, NOW + 40).look_at is None


def test_a_job_without_its_sidecar_is_made_anew_without_it() -> None:
    stuck = pod(scheduled=NOW - 20, sidecar=waiting("ImagePullBackOff", "no such image"))
    first = decide(job(PREPARING), stuck, SETTINGS, NOW + 20)
    assert first.artifact is not None
    assert (first.artifact.state, first.artifact.reason) == ("not-injected", "start")
    assert "no such image" in first.artifact.message
    told = replace(job(PREPARING), artifact=first.artifact)
    again = decide(told, stuck, SETTINGS, NOW + 21)
    assert (again.artifact, again.action) == (first.artifact, first.action)
    assert decide(told, None, SETTINGS, NOW + 22).action == CreatePod("start")


def test_a_requeue_is_counted_once() -> None:
    first = decide(job(PREPARING), pod(created=NOW - 170), SETTINGS, NOW + 20)
    assert first.status["requeued"] == 1
    after = replace(job(PREPARING), status=first.status)
    again = decide(after, pod(created=NOW - 170), SETTINGS, NOW + 21)
    assert (again.status, again.action) == (first.status, first.action)


@pytest.mark.parametrize(
    ("noted", "told", "removed_at"),
    [
        (0, 0, NOW + 100),
        (0, NOW + 500, NOW + 500),
        (NOW + 700, NOW + 500, NOW + 700),
        (NOW + 300, NOW + 500, NOW + 500),  # decided while the job ran
        (NOW + 50, 0, NOW + 100),
        (-(NOW + 60), NOW + 500, NOW + 100),  # removed
        (-(NOW - 3600), NOW + 500, NOW + 500),  # the note of another PhJob, which was copied
    ],
)
def test_the_phjob_waits_for_its_artifacts_expiry_and_its_pod_does_not(
    noted: float, told: float, removed_at: float
) -> None:
    artifact = Artifact("sealed", POD_UID, expired_at=int(told))
    found = replace(job(DONE, ttlSecondsAfterFinished=100), artifact=artifact, annotated_expiry=int(noted))
    finished = pod(main=ended(), sidecar=ended(message=summary()), phase="Succeeded")
    before = decide(found, finished, SETTINGS, removed_at - 1)
    assert before.action == (DeletePod(POD_UID) if removed_at > NOW + 101 else None)
    assert decide(found, None, SETTINGS, removed_at).action == DeletePhJob()


def test_the_phjob_stays_while_its_artifacts_are_collected() -> None:
    found = replace(job(DONE, ttlSecondsAfterFinished=1), artifact=Artifact("syncing", POD_UID))
    collecting = pod(main=ended(at=NOW), sidecar=running(), phase="Running")
    assert decide(found, collecting, SETTINGS, NOW + 60).action is None
