"""Determines the status of a PhJob's artifacts from its pod. Pure.

The sidecar's summary is its termination message, which is untrusted. The outcome of each pod is reported once: the
pod's UID in the status marks it as reported.
"""

from dataclasses import replace
from typing import Any

from artifacts.errors import InvalidDocument
from artifacts.summary import read_summary
from controller.documents import format_time, printable, text_field
from controller.inject.injection import OUTCOMES, WITH_SIDECAR
from controller.reconcile.artifact_status import (
    COLLECTING,
    MAX_EXPIRY,
    NOT_INJECTED,
    SYNCING,
    UNKNOWN,
    ArtifactStatus,
    is_recreation,
)
from controller.reconcile.phjob import CANCELLED, OVER_DEADLINE, PhJob
from controller.reconcile.pod import Pod
from controller.reconcile.settings import ReconcilerSettings
from controller.reconcile.sidecar_health import (
    change_reason,
    collection_deadline,
    crash_reason,
    outcome_deadline,
)

# Why a pod has no sidecar: the outcomes of injection, and reasons that only the reconciler can determine.
NOT_INJECTED_REASONS = {
    **{name: text for name, text in OUTCOMES.items() if name not in (*WITH_SIDECAR, "opted-out")},
    "webhook": (
        "the webhook did not review the pod: it was down, injection is switched off, or the pod's JSON is larger than "
        "3 MiB; ask an administrator"
    ),
    "quota": "with the sidecar the pod would exceed the quota: free quota, or ask an administrator to raise it",
    "refused": "the API server accepts the pod only without the sidecar: the controller's log has the error",
    "start": "the sidecar did not start",
    "changed": "another webhook changed or removed the sidecar: ask an administrator",
}
_SUMMARY_MISSED = "the pod was deleted before the controller read the sidecar's summary"
_DELETED_EARLY = "the pod was deleted without waiting for its containers, so the sidecar could not report"
_HELD_OPEN = "main has ended, but another container of the pod still runs: the sidecar ends after it"


def next_artifact_status(
    before: ArtifactStatus | None, pod: Pod | None, settings: ReconcilerSettings, now: float
) -> ArtifactStatus | None:
    """Return the current status; `before` if it has not changed. `pod` is None only if it certainly does not exist."""
    if before and before.is_pending and (pod is None or before.pod_uid != pod.uid):
        return replace(before, state=UNKNOWN, message=_SUMMARY_MISSED)
    if pod is None or (before and _is_final(before, pod)):
        return before
    if not pod.has_sidecar:
        return _without_sidecar(before, pod, settings)
    if not (before and before.is_pending) and _has_not_started(pod):
        return before
    return _with_sidecar(pod, settings, now)


def with_end_cause(artifact: ArtifactStatus | None, job: PhJob, now: float) -> ArtifactStatus | None:
    """Add why another controller deleted the job's pod: PrimeHub's grants no grace period on cancel and deadline."""
    if artifact is None or artifact.message not in (_SUMMARY_MISSED, _DELETED_EARLY):
        return artifact
    seconds, started_at = job.active_deadline_seconds, job.started_at
    is_over_deadline = bool(seconds and started_at is not None and now >= started_at + seconds)
    if job.is_cancelled or job.phase == CANCELLED:
        return replace(artifact, message=f"the job was cancelled: {artifact.message}")
    if is_over_deadline or text_field(job.status, "reason") == OVER_DEADLINE:
        return replace(artifact, message=f"the job exceeded its active deadline: {artifact.message}")
    return artifact


def sidecar_summary(pod: Pod) -> dict[str, Any]:
    """Return the fields of the sidecar's summary; empty if it left none or an invalid one."""
    message = pod.sidecar.termination_message
    try:
        return read_summary(message.encode("utf-8", "replace")) if message else {}
    except InvalidDocument:
        return {}


def has_collection_ended(pod: Pod) -> bool:
    """Whether the sidecar's summary is final. In a finished pod no container runs, even if its state says so."""
    return pod.is_gone or pod.is_finished or (pod.has_main_ended and pod.sidecar.has_ended)


def _running_message(pod: Pod) -> str:
    """Return a message for users while the job runs. It does not change with every restart of the sidecar."""
    if not crash_reason(pod):
        return ""
    return "the sidecar ended early without a summary, so artifacts may not be collected"


def _is_final(status: ArtifactStatus, pod: Pod) -> bool:
    """Whether the status is the pod's outcome. A main that starts after its sidecar was given up reopens it."""
    has_started_after_all = status.reason == "start" and pod.has_sidecar and pod.has_main_started
    return status.pod_uid == pod.uid and not status.is_pending and not has_started_after_all


def _has_not_started(pod: Pod) -> bool:
    return pod.has_never_run or not (pod.has_main_started or pod.is_finished)


def _with_sidecar(pod: Pod, settings: ReconcilerSettings, now: float) -> ArtifactStatus:
    if has_collection_ended(pod):
        return _final_status(pod, now)
    if not pod.has_main_ended:
        return ArtifactStatus(SYNCING, pod.uid, _running_message(pod))
    given_up_at = outcome_deadline(pod, settings, now)
    if given_up_at is not None and now >= given_up_at:
        message = f"the sidecar was still running {now - (pod.main.finished_at or now):.0f} s after main ended"
        return ArtifactStatus(UNKNOWN, pod.uid, message)
    is_held = pod.has_other_running and now >= collection_deadline(pod, settings, now)
    return ArtifactStatus(COLLECTING, pod.uid, _HELD_OPEN if is_held else _running_message(pod))


def _without_sidecar(before: ArtifactStatus | None, pod: Pod, settings: ReconcilerSettings) -> ArtifactStatus | None:
    if pod.no_sidecar_reason in NOT_INJECTED_REASONS:
        reason = pod.no_sidecar_reason
    elif pod.is_opted_out or (not settings.collects and not pod.decline_reason):
        return before
    else:
        reason = pod.decline_reason if pod.decline_reason in NOT_INJECTED_REASONS else "webhook"
    if before and is_recreation(before, NOT_INJECTED, reason):
        return replace(before, pod_uid=pod.uid)  # reported when the pod was recreated
    message = ": ".join(filter(None, [NOT_INJECTED_REASONS[reason], change_reason(pod)]))
    return ArtifactStatus(NOT_INJECTED, pod.uid, message, reason=reason)


def _final_status(pod: Pod, now: float) -> ArtifactStatus:
    summary = sidecar_summary(pod)
    if not summary and is_cut_off(pod):
        return ArtifactStatus(UNKNOWN, pod.uid, _DELETED_EARLY)
    if not summary:
        return ArtifactStatus(UNKNOWN, pod.uid, f"the sidecar left no summary: {_missing_summary_reason(pod)}")
    state, message = summary["state"], summary["message"]
    if state == SYNCING:  # killed between two syncs: files may have been written since the last one
        state, message = "incomplete", message or "the sidecar was killed before its last sync"
    files, size = summary.get("files", 0), summary.get("bytes", 0)
    expired_at = _expiry(pod, summary, now)
    message = printable(message) or _default_message(state, summary, expired_at)
    return ArtifactStatus(state, pod.uid, message, files, size, expired_at)


def _expiry(pod: Pod, summary: dict[str, Any], now: float) -> int:
    """Return the expiry in the summary, but not before main's end plus the retention; 0 if the summary has none.

    If the sidecar's clock is behind, its expiry is too early, even in the past.
    """
    expired_at: int = summary.get("expiredAt", 0)
    if not expired_at:
        return 0
    finished_at = min(pod.main.finished_at or now, now)
    return min(max(expired_at, int(finished_at) + pod.retention_seconds), MAX_EXPIRY)


def is_cut_off(pod: Pod) -> bool:
    """Whether the pod was deleted without waiting for its containers, so that nothing can be read of their end."""
    return pod.is_gone and not pod.sidecar.has_ended and not pod.is_finished


def _missing_summary_reason(pod: Pod) -> str:
    if pod.sidecar.is_lost:
        return "the kubelet lost its status"
    return crash_reason(pod) or "it was killed or never started"


def _default_message(state: str, summary: dict[str, Any], expired_at: int) -> str:
    """Return the message for a summary without one."""
    if state == "sealed":
        files, size = summary.get("files", 0), summary.get("bytes", 0)
        until = f", kept until {format_time(expired_at)}" if expired_at else ""
        return f"{files} files, {size} bytes{until}"
    if state == "rejected":
        return f"{summary.get('foundFiles', 0)} files, {summary.get('foundBytes', 0)} bytes: they exceed a limit"
    return ""
