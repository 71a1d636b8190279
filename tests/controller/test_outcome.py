"""The status of artifacts for different pods; the outcome of each pod is new once."""

from dataclasses import replace
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from controller.reconcile.artifact_status import (
    ArtifactStatus,
    format_artifact_status,
    format_result_annotation,
    is_new_outcome,
    read_artifact_status,
    read_result_annotation,
)
from controller.reconcile.outcome import NOT_INJECTED_REASONS, next_artifact_status, with_end_cause
from controller.reconcile.phjob import PhJob
from controller.reconcile.pod import Pod, read_pod
from tests.controller.objects import (
    NOW,
    POD_UID,
    SETTINGS,
    WATCHING,
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
from tests.controller.test_status_plan_properties import PODS


def status_of(
    current: Pod | None, before: ArtifactStatus | None = None, now: float = NOW + 20
) -> ArtifactStatus | None:
    return next_artifact_status(before, current, SETTINGS, now)


DELETED = replace(pod(main=running(), sidecar=running(), phase="Running"), is_gone=True)
SYNCING = ArtifactStatus("syncing", POD_UID)
FINISHED = {"main": ended(), "phase": "Succeeded"}

TABLE = {
    "not started": (pod(sidecar=running()), None),
    "main runs": (pod(main=running(), sidecar=running()), "syncing"),
    "main ended": (pod(main=ended(), sidecar=running(), phase="Running"), "collecting"),
    "sealed": (pod(**FINISHED, sidecar=ended(message=summary())), "sealed"),
    "rejected": (pod(**FINISHED, sidecar=ended(message=summary("rejected"))), "rejected"),
    "empty": (pod(**FINISHED, sidecar=ended(message=summary("empty"))), "empty"),
    "incomplete": (pod(**FINISHED, sidecar=ended(message=summary("incomplete"))), "incomplete"),
    "killed between two syncs": (pod(**FINISHED, sidecar=ended(message=summary("syncing"))), "incomplete"),
    "no summary": (pod(**FINISHED, sidecar=ended()), "unknown"),
    "invalid summary": (pod(**FINISHED, sidecar=ended(message='{"version": 1, "state": []}')), "unknown"),
    "evicted, status lost": (pod(main=ended(137), phase="Failed", sidecar=lost()), "unknown"),
    "evicted, with a summary": (pod(phase="Failed", sidecar=ended(message=summary())), "sealed"),
    "sidecar restarts while main runs": (pod(main=running(), sidecar=ended(message=summary())), "syncing"),
    "no webhook": (pod(), "not-injected"),
    "opted out": (pod(annotations={"primehub.io/artifact-enabled": "False"}), None),
    "too many annotations": (pod(annotations={"team": "a" * 262_000}), "not-injected"),
    "declined by the webhook": (pod(annotations={"primehub.io/artifact-sidecar": "no-phfs"}), "not-injected"),
    "sidecar does not end": (pod(main=ended(at=NOW - 170), sidecar=running(), phase="Running"), "collecting"),
    "sidecar does not end when deleted": (
        pod(main=ended(at=NOW - 170), sidecar=running(), phase="Running", deleting=NOW - 100),
        "unknown",
    ),
    "sidecar is being ended": (
        pod(main=ended(at=NOW - 170), sidecar=running(), phase="Running", deleting=NOW),
        "collecting",
    ),
    "deleted without a grace period": (DELETED, "unknown"),
    "deleted before it ran": (pod(main=ended(137, since=None), sidecar=ended(), deleting=NOW, phase="Failed"), None),
}


@pytest.mark.parametrize("case", TABLE)
def test_pods_have_artifact_states(case: str) -> None:
    current, state = TABLE[case]
    artifact = status_of(current)
    assert (artifact.state if artifact else None) == state


@pytest.mark.parametrize(
    ("other", "state", "message"),
    [
        (
            running(),
            "collecting",
            "main has ended, but another container of the pod still runs: the sidecar ends after it",
        ),
        (ended(), "unknown", "the sidecar was still running 190 s after main ended"),
        (None, "unknown", "the sidecar was still running 190 s after main ended"),
    ],
)
def test_beside_primehub_a_sidecar_waits_for_other_containers(
    other: dict[str, Any] | None, state: str, message: str
) -> None:
    current = pod(main=ended(at=NOW - 170), sidecar=running(), phase="Running", other=other)
    artifact = next_artifact_status(SYNCING, current, WATCHING, NOW + 20)
    assert artifact is not None
    assert (artifact.state, artifact.message) == (state, message)


CUT_OFF = "the pod was deleted without waiting for its containers, so the sidecar could not report"


@pytest.mark.parametrize(
    ("phjob", "message"),
    [
        (job(), CUT_OFF),
        (job(cancel=True), f"the job was cancelled: {CUT_OFF}"),
        (job({"phase": "Cancelled"}), f"the job was cancelled: {CUT_OFF}"),
        (job({"reason": "OverActivateDeadline"}), f"the job exceeded its active deadline: {CUT_OFF}"),
        (
            job({"startTime": rfc3339(NOW)}, activeDeadlineSeconds=15),
            f"the job exceeded its active deadline: {CUT_OFF}",
        ),
        (job({"startTime": rfc3339(NOW)}, activeDeadlineSeconds=90), CUT_OFF),
        (job(activeDeadlineSeconds=15), CUT_OFF),
    ],
)
def test_a_pod_deleted_without_a_grace_period_is_reported_with_the_cause(phjob: PhJob, message: str) -> None:
    artifact = with_end_cause(status_of(DELETED, SYNCING), phjob, NOW + 20)
    assert artifact == ArtifactStatus("unknown", POD_UID, message)


def test_other_outcomes_get_no_cause() -> None:
    sealed = status_of(pod(**FINISHED, sidecar=ended(message=summary())))
    assert with_end_cause(sealed, job(cancel=True), NOW) is sealed
    assert with_end_cause(None, job(cancel=True), NOW) is None


def test_the_summary_is_copied_to_the_status() -> None:
    finished = pod(
        **FINISHED, sidecar=ended(message=summary(expiredAt=int(NOW) + 50, message="2 files", lagSeconds=1.5))
    )
    assert status_of(finished) == ArtifactStatus("sealed", POD_UID, "2 files", 2, 300, int(NOW) + 50)


def test_control_characters_in_a_summary_are_removed() -> None:
    artifact = status_of(pod(**FINISHED, sidecar=ended(message=summary(message="a\x1b[2J\nb\u202e"))))
    assert artifact is not None
    assert artifact.message == "a [2J b"


def test_the_summary_before_a_restart_is_used_if_the_status_is_lost() -> None:
    document = pod_document(main=ended(137), phase="Failed", sidecar=lost())
    (status,) = document["status"]["initContainerStatuses"]
    status["lastState"] = ended(message=summary("syncing"))
    artifact = status_of(read_pod(document))
    assert artifact is not None
    assert (artifact.state, artifact.files) == ("incomplete", 2)


@pytest.mark.parametrize(
    ("sidecar", "reason"),
    [
        (lost(), "the kubelet lost its status"),
        (ended(3), "it ended with exit code 3"),
        (ended(137), "it was killed or never started"),
    ],
)
def test_a_missing_summary_is_explained(sidecar: dict[str, Any], reason: str) -> None:
    artifact = status_of(pod(**FINISHED, sidecar=sidecar))
    assert artifact is not None
    assert artifact.message == f"the sidecar left no summary: {reason}"


def test_a_crash_is_reported_while_main_runs_with_a_constant_message() -> None:
    document = pod_document(main=running(), sidecar=ended(1), phase="Running")
    first = status_of(read_pod(document))
    assert first is not None
    assert (first.state, first.message) == (
        "syncing",
        "the sidecar ended early without a summary, so artifacts may not be collected",
    )
    (status,) = document["status"]["initContainerStatuses"]
    status |= {"state": waiting("CrashLoopBackOff"), "lastState": ended(1), "restartCount": 4}
    assert status_of(read_pod(document), first) == first


@pytest.mark.parametrize("reason", [name for name in NOT_INJECTED_REASONS if name not in ("webhook", "quota", "start")])
def test_reasons_of_the_webhook_are_reported(reason: str) -> None:
    artifact = status_of(pod(annotations={"primehub.io/artifact-sidecar": reason}))
    assert artifact is not None
    assert (artifact.reason, artifact.message) == (reason, NOT_INJECTED_REASONS[reason])


def test_an_unknown_reason_is_replaced() -> None:
    artifact = status_of(pod(annotations={"primehub.io/artifact-sidecar": "x" * 50}))
    assert artifact is not None
    assert artifact.reason == "webhook"


def test_a_variable_that_an_older_webhook_set_is_not_an_opt_out() -> None:
    document = pod_document(annotations={"primehub.io/artifact-sidecar": "injected"})
    document["spec"]["containers"][0]["env"] = [{"name": "PHJOB_ARTIFACT_ENABLED", "value": "false"}]
    artifact = status_of(read_pod(document))
    assert artifact is not None
    assert artifact.state == "not-injected"
    del document["metadata"]["annotations"]
    assert status_of(read_pod(document)) is None


def test_a_pod_created_without_the_sidecar_because_of_the_quota_is_reported() -> None:
    without = {"primehub.io/without-artifact-sidecar": "quota", "primehub.io/artifact-enabled": "false"}
    artifact = status_of(pod(annotations=without))
    assert artifact is not None
    assert artifact.reason == "quota"


def test_a_deleted_pod_is_unknown_unless_its_outcome_was_reported() -> None:
    first = status_of(None, SYNCING)
    assert first is not None
    assert first.state == "unknown"
    assert is_new_outcome(SYNCING, first)
    assert status_of(None, first) == first
    sealed = ArtifactStatus("sealed", POD_UID)
    assert status_of(None, sealed) == sealed
    assert status_of(None, None) is None


def test_the_last_state_of_a_deleted_pod_is_used() -> None:
    deleted = replace(pod(main=ended(), sidecar=ended(message=summary()), deleting=NOW), is_gone=True)
    artifact = status_of(deleted, SYNCING)
    assert artifact is not None
    assert artifact.state == "sealed"


def test_a_replaced_pod_is_reported_before_its_successor() -> None:
    successor = pod(uid="second", main=running(), sidecar=running())
    first = status_of(successor, SYNCING)
    assert first is not None
    assert (first.state, first.pod_uid) == ("unknown", POD_UID)
    assert status_of(successor, first) == ArtifactStatus("syncing", "second")


def test_a_pod_recreated_without_its_sidecar_is_reported_once() -> None:
    dropped = ArtifactStatus("not-injected", POD_UID, "x", reason="start")
    second = status_of(
        pod(uid="second", annotations={"primehub.io/without-artifact-sidecar": "start"}, main=running()), dropped
    )
    assert second == replace(dropped, pod_uid="second")
    assert not is_new_outcome(dropped, second)


def test_a_sidecar_that_started_after_all_is_syncing() -> None:
    dropped = ArtifactStatus("not-injected", POD_UID, "x", reason="start")
    assert status_of(pod(main=running(), sidecar=running()), dropped) == SYNCING


def test_a_slow_start_is_not_an_outcome() -> None:
    assert status_of(pod(sidecar=waiting("ImagePullBackOff"))) is None


ARTIFACTS = st.none() | st.builds(
    ArtifactStatus,
    st.sampled_from(["syncing", "collecting", "sealed", "unknown", "not-injected", "incomplete"]),
    st.sampled_from([POD_UID, "other"]),
    reason=st.sampled_from(["", "start", "webhook"]),
)


@settings(max_examples=400, deadline=None)
@given(ARTIFACTS, st.none() | PODS, st.booleans())
def test_the_outcome_of_a_pod_is_new_once(before: ArtifactStatus | None, current: Pod | None, is_gone: bool) -> None:
    """Also if the same state is observed again, even after a restart, when only the written status is known."""
    current = replace(current, is_gone=True) if current and is_gone else current
    new_outcomes: list[str] = []
    for _ in range(4):
        after = status_of(current, before)
        if after and is_new_outcome(before, after):
            new_outcomes.append(after.pod_uid)
        written = after and read_artifact_status(format_artifact_status(after))
        assert written == after
        assert not after or read_result_annotation(format_result_annotation(after, "own"), "own") == after
        before = written
    assert len(new_outcomes) == len(set(new_outcomes))


@settings(max_examples=200, deadline=None)
@given(st.text() | st.binary().map(lambda content: content.decode("latin-1")) | st.just("[" * 3000))
def test_any_termination_message_is_accepted(message: str) -> None:
    artifact = status_of(pod(**FINISHED, sidecar=ended(message=message)))
    assert artifact is not None
    assert read_result_annotation(message, "own") is None


DAY = 86400
WEEK = 7 * DAY
BEHIND: dict[str, Any] = {"accepted": NOW + 1 - 8 * DAY, "retention": str(WEEK)}  # a node whose clock is 8 days behind
LATE = NOW - 8 * DAY

# main's end and the summary's expiry by the node's clock, the pod -> the expiry in the status
EXPIRIES: dict[str, tuple[float | None, float, dict[str, Any], float]] = {
    "right clock": (NOW + 10, NOW + 11 + WEEK, {"accepted": NOW + 1, "retention": str(WEEK)}, NOW + 11 + WEEK),
    "clock 8 days behind": (LATE + 10, LATE + 11 + WEEK, BEHIND, NOW + 9 + WEEK),
    "clock 8 days behind, not scheduled at once": (
        LATE + 3600,
        LATE + 3601 + WEEK,
        BEHIND | {"created": NOW - DAY},
        NOW + 3599 + WEEK,
    ),
    "clock behind, shorter retention": (LATE + 10, LATE + 11 + 60, BEHIND | {"retention": "60"}, NOW + 9 + 60),
    "clock behind, then right": (NOW + 10, NOW + 11 + WEEK, BEHIND, NOW + 20 + WEEK),
    "main's end unknown": (None, LATE + WEEK, BEHIND, NOW + 20 + WEEK),
    "unknown retention": (NOW + 10, NOW + 11 + WEEK, {}, NOW + 11 + WEEK),
    "invalid retention": (NOW + 10, NOW + 11 + WEEK, {"retention": "$(X)"}, NOW + 11 + WEEK),
    "nothing collected": (NOW + 10, 0, {"retention": "60"}, 0),
}


@pytest.mark.parametrize("case", EXPIRIES)
def test_no_expiry_is_before_the_end_of_the_retention(case: str) -> None:
    ended_at, sealed_expiry, fields, expected = EXPIRIES[case]
    main = lost() if ended_at is None else ended(at=ended_at)
    sealed = ended(message=summary(expiredAt=int(sealed_expiry)))
    now = NOW + 3600 if ended_at == LATE + 3600 else NOW + 20
    status = status_of(pod(main=main, phase="Succeeded", sidecar=sealed, **fields), now=now)
    assert status is not None
    assert (status.state, status.expired_at) == ("sealed", int(expected))
    if expected:
        assert f"kept until {rfc3339(expected)}" in status.message
