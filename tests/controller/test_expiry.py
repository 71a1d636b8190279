"""The artifact status of PhJobs whose artifacts expire: an expiry is not a new outcome and is not checked again."""

from dataclasses import replace

import pytest

from controller.reconcile.artifact_status import (
    ArtifactStatus,
    format_artifact_status,
    is_new_outcome,
    read_artifact_status,
)
from controller.reconcile.expiry import apply_expiry
from controller.reconcile.phjob import PhJob
from controller.reconcile.status_plan import DeletePhJob, DeletePod, plan_status
from tests.controller.objects import NOW, POD_UID, SETTINGS, ended, job, pod, rfc3339, summary

END = int(NOW)
DONE = {"phase": "Succeeded", "reason": "PodSucceeded", "finishTime": rfc3339(END), "requeued": 0}
FOREVER = 253402300799

# State, expiry in the status, annotated expiry, now -> the state shown, the message.
TABLE = {
    "kept": ("sealed", END + 100, 0, END + 99, "sealed", "2 files"),
    "expired": ("sealed", END + 100, 0, END + 100, "expired", f"kept until {rfc3339(END + 100)}"),
    "expired, incomplete": ("incomplete", END + 100, 0, END + 200, "expired", f"kept until {rfc3339(END + 100)}"),
    "expired, only annotated": ("unknown", 0, END + 50, END + 200, "expired", f"kept until {rfc3339(END + 50)}"),
    "before the job's end, from a wrong clock": ("sealed", END - 100, 0, END + 200, "sealed", "2 files"),
    "no expiry": ("unknown", 0, 0, END + 10**6, "unknown", "2 files"),
    "extended": ("sealed", END + 100, END + 500, END + 200, "sealed", "2 files"),
    "pinned": ("sealed", END + 100, FOREVER, END + 10**9, "sealed", "2 files"),
    "annotated while it ran": ("sealed", END + 100, END + 50, END + 60, "sealed", "2 files"),
    "removed": ("sealed", END + 10**6, -(END + 60), END + 61, "expired", f"removed at {rfc3339(END + 60)}"),
    "annotation copied from another job": ("sealed", END + 10**6, -(END - 3600), END + 61, "sealed", "2 files"),
    "rejected": ("rejected", END + 100, 0, END + 200, "rejected", "2 files"),
    "empty": ("empty", END + 100, 0, END + 200, "empty", "2 files"),
    "no sidecar": ("not-injected", 0, -(END + 60), END + 200, "not-injected", "2 files"),
    "still collecting": ("collecting", 0, -(END + 60), END + 200, "collecting", "2 files"),
}


def ended_job(artifact: ArtifactStatus, annotated_expiry: int, **spec: int) -> PhJob:
    return replace(job(DONE, **spec), status_artifact=artifact, annotated_expiry=annotated_expiry)


@pytest.mark.parametrize("case", TABLE)
def test_artifacts_expire(case: str) -> None:
    state, status_expiry, annotated_expiry, now, expected, message = TABLE[case]
    before = ArtifactStatus(state, POD_UID, "2 files", 2, 300, status_expiry)
    after = apply_expiry(ended_job(before, annotated_expiry), before, now)
    assert after is not None
    assert (after.state, after.message) == (expected, message)
    assert not is_new_outcome(before, after)
    assert apply_expiry(ended_job(after, annotated_expiry), after, now) == after
    if expected == "expired":
        assert (after.files, after.bytes, after.reason) == (2, 300, state)
        assert read_artifact_status(format_artifact_status(after)) == after


def test_a_pin_during_the_removal_restores_the_status() -> None:
    """A pin is honoured even if it is set during the cleanup."""
    before = ArtifactStatus("incomplete", POD_UID, "2 of 3 files", 2, 300, END + 100)
    removed = apply_expiry(ended_job(before, -(END + 60)), before, END + 61)
    assert removed is not None
    pinned = apply_expiry(ended_job(removed, FOREVER), removed, END + 70)
    assert pinned is not None
    assert (pinned.state, pinned.reason, pinned.files, pinned.bytes) == ("incomplete", "", 2, 300)
    assert not is_new_outcome(removed, pinned)


def test_missing_artifacts_are_shown_until_they_are_back() -> None:
    before = ArtifactStatus("sealed", POD_UID, "2 files", 2, 300, END + 100)
    phjob = replace(ended_job(before, 0), missing_since=END + 5)
    missing = apply_expiry(phjob, before, END + 6)
    message = "2 files (300 bytes) were collected and are no longer in the store"
    assert missing == replace(before, state="expired", reason="sealed", message=message)
    assert apply_expiry(phjob, missing, END + 7) == missing
    back = apply_expiry(replace(phjob, missing_since=0), missing, END + 8)
    assert back == replace(before, message=f"kept until {rfc3339(END + 100)}")
    expired = apply_expiry(phjob, before, END + 100)
    assert expired is not None
    assert expired.message == f"kept until {rfc3339(END + 100)}"
    for other in (replace(phjob, missing_since=END - 3600), replace(phjob, status_artifact=replace(before, files=0))):
        assert apply_expiry(other, other.status_artifact, END + 6) == other.status_artifact


SEALED = ArtifactStatus("sealed", POD_UID, "2 files", 2, 300, END + 100)
FINISHED = pod(main=ended(at=END), sidecar=ended(message=summary()), phase="Succeeded")


def test_the_status_expires_in_time_and_a_phjob_past_its_ttl_is_deleted_without_a_status_change() -> None:
    finished_job = ended_job(SEALED, 0, ttlSecondsAfterFinished=1000)
    before = plan_status(finished_job, FINISHED, SETTINGS, END + 50)
    assert (before.artifact, before.check_at) == (SEALED, END + 100)
    after = plan_status(finished_job, FINISHED, SETTINGS, END + 100)
    assert after.artifact is not None
    assert (after.artifact.state, after.action, after.check_at) == ("expired", None, END + 1000)
    short = plan_status(ended_job(SEALED, 0, ttlSecondsAfterFinished=10), None, SETTINGS, END + 100)
    assert (short.artifact, short.action) == (SEALED, DeletePhJob())


def test_the_status_of_a_phjob_without_ttl_expires_too() -> None:
    finished_job = ended_job(SEALED, 0, ttlSecondsAfterFinished=0)
    assert plan_status(finished_job, None, SETTINGS, END + 50).check_at == END + 100
    after = plan_status(finished_job, None, SETTINGS, END + 100)
    assert after.artifact is not None
    assert (after.artifact.state, after.action, after.check_at) == ("expired", None, None)


def test_the_pod_is_deleted_after_the_ttl_even_if_the_artifacts_stay_longer() -> None:
    finished_job = ended_job(SEALED, 0, ttlSecondsAfterFinished=10)
    assert plan_status(finished_job, FINISHED, SETTINGS, END + 20).action == DeletePod(POD_UID)


def test_the_outcome_is_reported_before_the_expiry() -> None:
    """If no controller ran meanwhile, the first plan has the new outcome, and the second the expiry."""
    late = ended_job(ArtifactStatus("collecting", POD_UID), 0, ttlSecondsAfterFinished=1000)
    finished_pod = pod(main=ended(), sidecar=ended(message=summary(expiredAt=END + 100)), phase="Succeeded")
    first = plan_status(late, finished_pod, SETTINGS, END + 200).artifact
    assert first is not None
    assert (first.state, is_new_outcome(late.status_artifact, first)) == ("sealed", True)
    second = plan_status(replace(late, status_artifact=first), finished_pod, SETTINGS, END + 200).artifact
    assert second is not None
    assert second.state == "expired"
